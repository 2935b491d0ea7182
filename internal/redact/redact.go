package redact

import (
	"regexp"
	"strings"
)

// Mask stands where a secret was.
const Mask = "[redacted]"

var (
	// Shapes that are secrets wherever they stand.
	shapes = regexp.MustCompile(`\b(?:` + strings.Join([]string{
		`(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}`,                        // AWS
		`gh[pousr]_[A-Za-z0-9]{20,}`, `github_pat_[A-Za-z0-9_]{20,}`, // GitHub
		`glpat-[A-Za-z0-9_-]{16,}`, `xox[abeoprs]-[A-Za-z0-9-]{10,}`, // GitLab, Slack
		`(?:sk|rk|pk)[-_](?:live|test|proj|ant|or)[-_][A-Za-z0-9_-]{12,}`, // payment and model providers
		`sk-[A-Za-z0-9]{20,}`, `AIza[A-Za-z0-9_-]{30,}`, `hv[sbr]\.[\w-]{20,}`, // Google, Vault
		`eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?`, // JSON Web Token
	}, "|") + `)`)
	userInfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#"'<>]+@`)
	scheme   = regexp.MustCompile(`(?i)\b(bearer|basic|digest|negotiate|token)(\s+)([A-Za-z0-9._~+/-]{8,}=*)`)
	// assignment is name, separator and value: a quoted one, or all up to a blank or a delimiter.
	assignment = regexp.MustCompile(`([A-Za-z0-9_.\-]+)(\\?["']?\s*(?:=>|:=|[:=])\s*)(\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s,;&"'}\])]+)`)
	flagValue  = regexp.MustCompile(`(^|\s)(--?[A-Za-z][A-Za-z0-9_-]*)(\s+)([^\s-]\S*)`)
	wordValue  = regexp.MustCompile(`(?i)\b(password|passwd|passphrase|secret|token|api[ _-]?key|credentials?)(\s+(?:is|was|of|for)?\s*["']?)([^\s"']{12,})`)
	restValue  = regexp.MustCompile(`(?i)([A-Za-z0-9_-]*(?:authorization|cookie))(\s*[:=]\s*)([^"'\s].*)$`)
	keyBegin   = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	keyEnd     = regexp.MustCompile(`-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----`)
	keyInLine  = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|$)`)
	keyBody    = regexp.MustCompile(`^\s*(?:[A-Za-z0-9+/=]{16,}|(?:Proc-Type|DEK-Info|Version|Comment): .*)?\s*$`)
)

// Text returns one line of text, cleaned and without secrets.
func Text(s string) string {
	s = Clean(s)
	if s == "" {
		return s
	}
	h := look(s)
	for _, r := range rules {
		if h&r.needs == r.needs {
			s = r.mask(s)
		}
	}
	return s
}

// rules are applied in order, each only to a text that looks as if it could match: hardly any text does,
// and a pattern costs microseconds.
var rules = [...]struct {
	needs hint
	mask  func(string) string
}{
	{hasKey, func(s string) string { return keyInLine.ReplaceAllString(s, Mask) }},
	{hasShape, func(s string) string { return shapes.ReplaceAllString(s, Mask) }},
	{hasUser, func(s string) string { return userInfo.ReplaceAllString(s, "${1}"+Mask+"@") }},
	{hasRest, func(s string) string { return restValue.ReplaceAllString(s, "${1}${2}"+Mask) }},
	{hasScheme | hasBlank, func(s string) string {
		return maskWhere(scheme, s, 3, func(m []string) bool { return random(m[3]) })
	}},
	{hasName | hasSeparator, func(s string) string { return maskAssignments(s, maxNested) }},
	{hasName | hasBlank, func(s string) string {
		return maskWhere(flagValue, s, 4, func(m []string) bool { return secretName(m[2]) })
	}},
	{hasName | hasBlank, func(s string) string {
		return maskWhere(wordValue, s, 3, func(m []string) bool { return random(m[3]) })
	}},
}

// Value returns the value of a named thing, such as a label or an attribute.
func Value(name, value string) string {
	if secretName(name) && !harmless(value) {
		return Mask
	}
	return Text(value)
}

// Labels returns a copy of labels with secret values masked; nil for none.
func Labels(labels map[string]string) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	out := make(map[string]string, len(labels))
	for name, value := range labels {
		out[Clean(name)] = Value(name, value)
	}
	return out
}

// harmless reports values that are no secret under any name: empty, already masked, and answers.
func harmless(value string) bool {
	switch strings.ToLower(strings.Trim(value, `"'\`)) {
	case "", "true", "false", "null", "nil", "none", "yes", "no", "on", "off", strings.ToLower(Mask), "[redacted", "<redacted>", "***", "****":
		return true
	}
	return false
}

// maxNested is how many names may stand before a secret's: "error: config: password=…".
const maxNested = 4

// maskAssignments masks the values of secret names, also where the value of a plain name is an assignment.
func maskAssignments(s string, nested int) string {
	var b strings.Builder
	done := 0
	for _, at := range assignment.FindAllStringSubmatchIndex(s, -1) {
		name, value := s[at[2]:at[3]], s[at[6]:at[7]]
		b.WriteString(s[done:at[6]])
		done = at[7]
		switch {
		case secretName(name) && !harmless(value):
			open, end := quotes(value)
			value = open + Mask + end
		case nested > 0 && look(value)&hasSeparator == hasSeparator:
			value = maskAssignments(value, nested-1)
		}
		b.WriteString(value)
	}
	b.WriteString(s[done:])
	return b.String()
}

// maskWhere masks one group of every match that keep agrees to; quotes around it stay.
func maskWhere(re *regexp.Regexp, s string, group int, secret func(m []string) bool) string {
	matches := re.FindAllStringSubmatchIndex(s, -1)
	if matches == nil {
		return s
	}
	var b strings.Builder
	done := 0
	for _, at := range matches {
		m := make([]string, len(at)/2)
		for i := range m {
			if at[2*i] >= 0 {
				m[i] = s[at[2*i]:at[2*i+1]]
			}
		}
		if !secret(m) {
			continue
		}
		open, end := quotes(m[group])
		b.WriteString(s[done:at[2*group]])
		b.WriteString(open + Mask + end)
		done = at[2*group+1]
	}
	b.WriteString(s[done:])
	return b.String()
}

// quotes returns the quotes around a value, a lost closing one included.
func quotes(value string) (open, end string) {
	for _, q := range []string{`\"`, `"`, `'`} {
		if strings.HasPrefix(value, q) {
			return q, q
		}
	}
	return "", ""
}
