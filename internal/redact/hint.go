package redact

import "strings"

// hint tells what a text has that a rule needs.
type hint uint

const (
	hasKey hint = 1 << iota
	hasShape
	hasUser
	hasRest
	hasScheme
	hasName
	hasBlank
	hasSeparator
	hasAll hint = 1<<iota - 1
)

var (
	// shapeWords: one of them is in every secret that shapes knows.
	shapeWords = [...]string{"AKIA", "ASIA", "AROA", "AIDA", "gh", "glpat-", "xox", "sk", "rk", "pk", "AIza", "hv", "eyJ"}
	// nameWords: one of them is in every name that secretName calls one, and in every word of wordValue.
	nameWords = [...]string{
		"pass", "pwd", "secret", "token", "key", "authorization", "credential", "creds", "cookie", "jwt", "bearer", "otp", "dsn",
		"session", "connection",
	}
	schemeWords = [...]string{"bearer", "basic", "digest", "negotiate", "token"}
	restWords   = [...]string{"authorization", "cookie"}
)

// shortest is the length of the shortest secret that shapes knows, in bytes without a blank.
const shortest = 14

// look reads a clean text once. What it does not find is not there; a text beyond ASCII, where letters have
// more than two cases, has everything.
func look(s string) hint {
	if !plain(s) {
		return hasAll
	}
	h, run, longest := hint(0), 0, 0
	for i := range len(s) {
		run++
		switch s[i] {
		case ' ':
			h, run = h|hasBlank, 0
		case ':', '=':
			h |= hasSeparator
		}
		longest = max(longest, run)
	}
	if longest >= shortest && containsAny(s, shapeWords[:]) {
		h |= hasShape
	}
	if h&hasSeparator != 0 && strings.Contains(s, "://") && strings.Contains(s, "@") {
		h |= hasUser
	}
	if strings.Contains(s, "-----BEGIN") {
		h |= hasKey
	}
	if h&(hasBlank|hasSeparator) == 0 {
		return h
	}
	lower := strings.ToLower(s)
	if containsAny(lower, nameWords[:]) {
		h |= hasName
	}
	if containsAny(lower, schemeWords[:]) {
		h |= hasScheme
	}
	if containsAny(lower, restWords[:]) {
		h |= hasRest
	}
	return h
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
