package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	escapeByte = 0x1b
	maxString  = 4096 // a longer control string is not one, and looking for its end would take too long
)

// Clean returns s as one line of valid UTF-8 without terminal escapes, control characters and
// characters that reorder or hide text. Tabs, line ends and broken bytes are replaced, not dropped.
func Clean(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for len(s) > 0 {
		if n := escapeLen(s); n > 0 {
			s = s[n:]
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		s = s[size:]
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case unicode.IsControl(r) || hidden(r):
		default:
			b.WriteRune(r) // a broken byte was decoded as U+FFFD
		}
	}
	return strings.TrimRight(b.String(), " ")
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return !strings.HasSuffix(s, " ")
}

// hidden reports characters that show nothing or change the direction of what follows.
func hidden(r rune) bool {
	return r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x2069 ||
		r == 0x2028 || r == 0x2029 || r == 0xfeff
}

// escapeLen returns the length of the terminal escape that s starts with, or 0.
func escapeLen(s string) int {
	switch {
	case strings.HasPrefix(s, "\u009b"): // CSI as one character
		return csiLen(s, 2)
	case s[0] != escapeByte:
		return 0
	case len(s) == 1:
		return 1
	}
	switch s[1] {
	case '[':
		return csiLen(s, 2)
	case ']', 'P', '_', '^', 'X':
		return stringLen(s)
	}
	if s[1] >= 0x20 && s[1] < 0x7f {
		return 2
	}
	return 1
}

// csiLen returns the end of a control sequence whose parameters begin at i.
func csiLen(s string, i int) int {
	for i < len(s) && s[i] >= 0x20 && s[i] < 0x40 {
		i++
	}
	if i < len(s) && s[i] >= 0x40 && s[i] < 0x7f {
		i++
	}
	return i
}

// stringLen returns the end of a control string, such as a window title: up to BEL or ST. One that
// never ends loses its introducer only, so that text behind it stays readable.
func stringLen(s string) int {
	for i := 2; i < min(len(s), maxString); i++ {
		if s[i] == 0x07 {
			return i + 1
		}
		if s[i] == escapeByte && i+1 < len(s) && s[i+1] == '\\' {
			return i + 2
		}
	}
	return 2
}
