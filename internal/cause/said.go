package cause

import (
	"strings"

	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// The limits of what is read of a platform's texts; its own are lower.
const (
	maxText  = 4 << 10
	maxTexts = 64
)

// said is one text of the platform: its reason for the stop, or what it says of a part.
type said struct {
	text, lower string // lower has the letters of ASCII in lower case, at the same offsets
	part        int    // the index in Parts; none for the reason of the stop
	asked, held uint64 // a bit for each phrase
}

const none = -1

// platform is what a platform's own words come to, read once for all rows.
type platform struct {
	texts []said
	plain bool // every text is one of the sentences that tell no cause
	end   ending
}

// platform reads what ECS told.
func (e *Evidence) platform() *platform {
	if e.seenPlatform == nil {
		p := &platform{plain: true, end: endingOf(e)}
		p.add(e.StopReason, none)
		for i := range e.Parts {
			if !e.bystander(i) {
				p.add(e.Parts[i].Reason, i)
			}
		}
		e.seenPlatform = p
	}
	return e.seenPlatform
}

func (p *platform) add(text string, part int) {
	if text == "" || len(p.texts) == maxTexts {
		return
	}
	text = strings.TrimSpace(redact.Clean(text[:min(len(text), maxText)]))
	s := said{text: text, lower: lower(text), part: part}
	p.texts = append(p.texts, s)
	if !strings.HasPrefix(s.lower, "essential container in task exited") && !strings.HasPrefix(s.lower, "task stopped by user") {
		p.plain = false
	}
}

// told reports that a platform has words for the stop.
func (e *Evidence) told() bool {
	return e.StopCode != "" || e.StopReason != "" || len(e.Parts) > 0 || e.FailedAttachment != ""
}

// bystander reports a part that did not end the task: it is not essential, and an essential one ended.
func (e *Evidence) bystander(i int) bool {
	essential := e.Parts[i].Essential
	return essential != nil && !*essential && e.essentialExited()
}

// lower changes ASCII only, so that offsets stay.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}

// says reports whether the text says the phrase, and remembers it: many rows ask for the same.
func (s *said) says(p phrase) bool {
	bit := uint64(1) << p
	if s.asked&bit == 0 {
		s.asked |= bit
		if vocabulary[p].in(s.lower) {
			s.held |= bit
		}
	}
	return s.held&bit != 0
}

func (w words) in(s string) bool {
	return (w.any == nil || containsAny(s, w.any)) && (w.re == nil || w.re.MatchString(s)) && !containsAny(s, w.not)
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// find returns the text in which all phrases are: that of a part, because it names the container, before the
// reason of the stop.
func (e *Evidence) find(phrases []phrase) (said, bool) {
	p := e.platform()
	if p.plain {
		return said{}, false
	}
	var found said
	ok := false
next:
	for i := range p.texts {
		for _, ph := range phrases {
			if !p.texts[i].says(ph) {
				continue next
			}
		}
		if found, ok = p.texts[i], true; found.part != none {
			break
		}
	}
	return found, ok
}

// says are the tests of texts: one of them says all of it. The first test is the first phrase, so that a
// near miss names the one that is not there.
func says(phrases ...phrase) []Test {
	tests := make([]Test, len(phrases))
	for i, ph := range phrases {
		text := "a reason says " + vocabulary[ph].means
		if i > 0 {
			text = "the same reason says " + vocabulary[ph].means
		}
		upTo := phrases[:i+1]
		tests[i] = Test{text, func(e *Evidence) bool {
			_, ok := e.find(upTo)
			return ok
		}}
	}
	return tests
}

// stopSays is a test of the reason of the stop alone, which no app can write.
func stopSays(ph phrase) Test {
	return Test{"the reason of the stop says " + vocabulary[ph].means, func(e *Evidence) bool { return e.stopSays(ph) }}
}

func (e *Evidence) stopSays(ph phrase) bool {
	texts := e.platform().texts
	return len(texts) > 0 && texts[0].part == none && texts[0].says(ph)
}

// source is where the stop came from: a part, or none, and a text about it.
type source struct {
	part int
	text string
}

// stopText is the reason of the stop.
func (e *Evidence) stopText() source {
	if e.StopReason == "" {
		return source{part: none}
	}
	return source{none, e.platform().texts[0].text}
}

// text finds the source of a row by what it says.
func text(phrases ...phrase) func(*Evidence) source {
	return func(e *Evidence) source {
		s, ok := e.find(phrases)
		if !ok {
			return anyText(e)
		}
		if s.part == none {
			s.part = e.mentioned(s.text)
		}
		return source{s.part, s.text}
	}
}

// mentioned returns the part whose image a text names, if it is one only.
func (e *Evidence) mentioned(text string) int {
	found := none
	for i := range e.Parts {
		if image := e.Parts[i].Image; image != "" && strings.Contains(text, image) {
			if found != none {
				return none
			}
			found = i
		}
	}
	return found
}

// anyText is the first text that tells something.
func anyText(e *Evidence) source {
	texts := e.platform().texts
	for i := range texts {
		if s := &texts[i]; !s.says(emptyWords) {
			return source{s.part, s.text}
		}
	}
	return source{part: none}
}

// Token returns the name of the error that a platform's reason begins with, such as CannotPullContainerError of
// "CannotPullContainerError: …", or empty.
func Token(reason string) string {
	s := strings.TrimLeft(reason, " ")
	n := 0
	for n < len(s) && n < 64 && (s[n] == '_' || '0' <= s[n] && s[n] <= '9' || 'A' <= s[n]&^0x20 && s[n]&^0x20 <= 'Z') {
		n++
	}
	word := s[:n]
	if end := lower(word); n < len("AError") || !strings.HasSuffix(end, "error") && !strings.HasSuffix(end, "exception") {
		return ""
	}
	if n < len(s) && s[n] != ':' && s[n] != ' ' {
		return ""
	}
	return word
}

// token is that of the text that the cause came from, else of the first text that has one.
func (e *Evidence) token() string {
	if !e.told() {
		return ""
	}
	if t := Token(e.from.text); t != "" {
		return t
	}
	for _, s := range e.platform().texts {
		if t := Token(s.text); t != "" {
			return t
		}
	}
	return ""
}
