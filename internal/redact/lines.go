package redact

import "unicode/utf8"

// Limits bound a log tail. Zero means no limit.
type Limits struct {
	// Lines is how many lines stay, the newest.
	Lines int
	// LineBytes is the length of a line in bytes, Bytes that of all lines together.
	LineBytes, Bytes int
}

const (
	ellipsis = "…"
	// readAhead is how many times the line limit is looked at: a secret must be seen whole to be masked.
	readAhead = 4
)

// Lines returns the newest lines that fit, each cleaned and without secrets. cut says that older lines
// or parts of lines were left out. Private keys are masked over all their lines, also when the tail
// begins within one.
func Lines(lines []string, limits Limits) (out []string, cut bool) {
	if limits.Lines > 0 && len(lines) > limits.Lines {
		cut = true
	}
	older := cut
	clean := make([]string, len(lines))
	for i, line := range lines {
		line, short := clip(line, readAhead*limits.LineBytes)
		clean[i], cut = Clean(line), cut || short
	}
	maskKeys(clean)
	if older {
		clean = clean[len(clean)-limits.Lines:]
	}
	size, first := 0, len(clean)
	for i := len(clean) - 1; i >= 0; i-- {
		line, short := clip(Text(clean[i]), limits.LineBytes)
		if limits.Bytes > 0 && size+len(line) > limits.Bytes {
			if i < len(clean)-1 {
				return clean[first:], true
			}
			line, short = clip(line, limits.Bytes)
		}
		clean[i], first = line, i
		size += len(line)
		cut = cut || short
	}
	return clean[first:], cut
}

// maskKeys masks the lines of private keys in place.
func maskKeys(lines []string) {
	begin := -1 // where the key that is open began
	start := 0  // lines before it were judged
	for i, line := range lines {
		opens, closes := keyBegin.MatchString(line), keyEnd.MatchString(line)
		switch {
		case opens && closes:
			start = i + 1
		case opens:
			begin = i
		case closes && begin < 0: // the tail began within a key
			for j := i - 1; j >= start && keyBody.MatchString(lines[j]); j-- {
				lines[j] = Mask
			}
			lines[i], start = Mask, i+1
		case closes:
			lines[i], begin, start = Mask, -1, i+1
		case begin >= 0 && keyBody.MatchString(line):
			lines[i] = Mask
		case begin >= 0:
			begin, start = -1, i // the log went on with something else
		}
	}
}

// clip keeps at most limit bytes of s, the ellipsis included, and no part of a character.
func clip(s string, limit int) (string, bool) {
	if limit <= 0 || len(s) <= limit {
		return s, false
	}
	end := max(limit-len(ellipsis), 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	if limit < len(ellipsis) {
		return s[:end], true
	}
	return s[:end] + ellipsis, true
}
