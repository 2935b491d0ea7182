package ecs

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// The classes of a message that can never become an event.
const (
	classUndecodable = "undecodable"
	classTransformed = "transformed" // an input transformer removed the envelope
	classOversize    = "oversize"
	classInvalid     = "invalid" // the stream can never take what it became
)

var poisonClasses = [...]string{classUndecodable, classTransformed, classOversize, classInvalid}

// Letter is a message that can never become an event.
type Letter struct {
	// Collector read it; Source is the queue's URL and ID the message's in it.
	Collector, Source, ID string
	// Class is undecodable, transformed, oversize or invalid; Reason is a sentence.
	Class, Reason string
	// Body is at most 200 KiB of it, without secrets and without environment and command of overrides.
	Body []byte
}

// Quarantine keeps letters, so that somebody can look at them.
type Quarantine interface {
	// Quarantine returns nil once the letter is kept; a repeated one of the same collector and id is kept
	// once. An error means that it may not be kept: the message stays in its queue.
	Quarantine(ctx context.Context, l Letter) error
}

const (
	maxBody = 200 << 10
	// readAhead is looked at beyond that: a secret must be seen whole to be masked.
	readAhead = 16 << 10
)

// safeBody returns what of a message's body may be kept.
func safeBody(body string) []byte {
	size := len(body)
	body = cutText(body, maxBody+readAhead)
	body = maskLists(body)
	lines, _ := redact.Lines(strings.Split(body, "\n"), redact.Limits{})
	body = strings.Join(lines, "\n")
	if size > maxBody {
		body = cutText(body, maxBody) + "…(cut, " + strconv.Itoa(size) + " bytes)"
	}
	return []byte(body)
}

func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// hiddenLists are lists of an event that never leave, as ECS writes them in JSON, and as others do who repeat what
// it has told them.
var hiddenLists = [...]string{
	"environment", "environmentFiles", "command", "secrets",
	"Environment", "EnvironmentFiles", "Command", "Secrets",
}

// maskLists empties these lists in a text that need not be JSON: it may be broken, or JSON in a string.
func maskLists(s string) string {
	for _, name := range hiddenLists {
		if !strings.Contains(s, name) {
			continue
		}
		var b strings.Builder
		for {
			begin, end, found := listOf(s, name)
			if !found {
				break
			}
			b.WriteString(s[:begin])
			b.WriteString(redact.Mask)
			s = s[end:]
		}
		b.WriteString(s)
		s = b.String()
	}
	return s
}

// listOf returns where the inside of the first list with this name is; one without an end goes to the end.
func listOf(s, name string) (begin, end int, found bool) {
	for from := 0; ; {
		at := strings.Index(s[from:], name)
		if at < 0 {
			return 0, 0, false
		}
		from += at + len(name)
		rest := strings.TrimLeft(s[from:], "\\\"' \t\r\n")
		if !strings.HasPrefix(rest, ":") {
			continue
		}
		rest = strings.TrimLeft(rest[1:], " \t\r\n\\")
		if strings.HasPrefix(rest, "[") {
			begin = len(s) - len(rest) + 1
			return begin, begin + insideOf(rest[1:]), true
		}
	}
}

// insideOf returns the length of a list up to the bracket that ends it. Brackets in strings don't count. In
// JSON within a string every quote has one backslash before it, and an escaped one three: a string ends with
// a quote like the one that began it, behind any number of escaped backslashes.
func insideOf(s string) int {
	depth, quote, slashes := 0, -1, 0 // quote: backslashes before the opening one; -1: outside of a string
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\':
			slashes++
			continue
		case c == '"' && quote < 0:
			quote = slashes
		case c == '"' && quote >= 0 && slashes%(2*(quote+1)) == quote:
			quote = -1
		case quote >= 0:
		case c == '[':
			depth++
		case c == ']' && depth == 0:
			return i
		case c == ']':
			depth--
		}
		slashes = 0
	}
	return len(s)
}
