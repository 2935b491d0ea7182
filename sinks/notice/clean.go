package notice

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine bounds a line in bytes.
const MaxLine = 500

// escapes matches terminal control sequences: CSI, OSC with its end, and other two-character ones.
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]`)

// Clean makes one line of s that is safe on a terminal and in a mail: terminal sequences go, white
// space of any kind becomes one space each, other control characters become visible (^G, \u202e), bytes
// that are not UTF-8 become U+FFFD. It is cut at MaxLine.
func Clean(s string) string { return Cut(clean(s), MaxLine) }

func clean(s string) string {
	if plain(s) {
		return s
	}
	s = escapes.ReplaceAllString(strings.ToValidUTF8(s, "\uFFFD"), "")
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range strings.TrimSpace(s) {
		switch {
		case r > ' ' && r < 0x7f:
			b.WriteByte(byte(r))
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case r < ' ':
			b.WriteByte('^')
			b.WriteRune(r + '@')
		case unprintable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unprintable are characters that a reader can't see or that reorder what is seen (bidirectional
// controls, tags, the rest of Unicode's format and control classes) and the noncharacters that XML
// refuses. The zero-width joiners stay, because scripts and emoji need them.
func unprintable(r rune) bool {
	if r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) || r&0xFFFE == 0xFFFE || r >= 0xFDD0 && r <= 0xFDEF
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) == 0 || s[0] != ' ' && s[len(s)-1] != ' '
}

// Cut shortens s to at most limit bytes without splitting a character, and ends it in an ellipsis.
func Cut(s string, limit int) string {
	const ellipsis = "…"
	if len(s) <= limit {
		return s
	}
	if limit < len(ellipsis) {
		return ""
	}
	return Prefix(s, limit-len(ellipsis)) + ellipsis
}

// Prefix returns the longest beginning of s that has at most limit bytes and splits no character.
func Prefix(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
