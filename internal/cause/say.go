package cause

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Placeholders are what a sentence may contain in braces.
func Placeholders() []string {
	return []string{
		"code", "signal", "after", "error", "sent", "policy",
		"meaning", "ending", "reason", "in", "by", "image", "host",
		"requester", "asked", "secret", "group", "endpoint", "resource", "command",
	}
}

func fill(say string, e *Evidence) string {
	before, rest, found := strings.Cut(say, "{")
	if !found {
		return say
	}
	b := make([]byte, 0, len(say)+32)
	for found {
		name, after, closed := strings.Cut(rest, "}")
		if b = append(b, before...); !closed {
			b = append(b, '{')
			before, rest, found = strings.Cut(rest, "{")
			continue
		}
		b = append(b, value(name, e)...)
		before, rest, found = strings.Cut(after, "{")
	}
	return string(append(b, before...))
}

// value is what stands for a placeholder.
func value(name string, e *Evidence) string {
	switch name {
	case "code":
		return codeOf(e)
	case "signal":
		return signalOf(e)
	case "after":
		return unlessEmpty(e.Ran > 0, func() string { return " after " + Duration(e.Ran) })
	case "sent":
		return unlessEmpty(len(e.Kills) > 0, func() string { return " (" + sent(e.Kills) + ")" })
	case "policy":
		return cmp.Or(e.RestartPolicy, "no")
	case "error":
		return cmp.Or(strings.TrimSpace(e.StateError), "no reason given")
	}
	if found, ok := e.named(name); ok {
		return found
	}
	return "{" + name + "}"
}

// named is what stands for the placeholders of a platform's own words.
func (e *Evidence) named(name string) (string, bool) {
	switch name {
	case "meaning":
		return meaningOf(e), true
	case "ending":
		return e.obeyed(), true
	case "reason":
		return e.reason(), true
	case "in":
		return behind(" in container ", e.container()), true
	case "by":
		return behind(" by ", e.Requester), true
	case "requester":
		return cmp.Or(e.Requester, "request"), true
	case "asked":
		return e.asking(), true
	case "image":
		return e.theImage(), true
	case "host":
		return e.theHost(), true
	case "secret":
		return e.theSecret(), true
	case "group":
		return e.theGroup(), true
	case "endpoint":
		return cmp.Or(named(endpointIn, e.from.text), "an AWS endpoint"), true
	case "resource":
		return e.shortage(), true
	case "command":
		return behind(" ", named(commandIn, e.from.text)), true
	}
	return "", false
}

// behind puts a word before a name, if there is one.
func behind(word, name string) string {
	if name == "" {
		return ""
	}
	return word + name
}

func unlessEmpty(there bool, text func() string) string {
	if !there {
		return ""
	}
	return text()
}

// decisive is the exit code that decides: that of the evidence, or of the container that the stop came from.
func (e *Evidence) decisive() *int64 {
	if len(e.Parts) == 0 {
		return e.ExitCode
	}
	return e.platform().end.code
}

func codeOf(e *Evidence) string {
	c := e.decisive()
	if c == nil {
		return "an unknown exit code"
	}
	return "exit code " + strconv.FormatInt(*c, 10)
}

func signalOf(e *Evidence) string {
	c := e.decisive()
	if c == nil {
		return "a signal"
	}
	return cmp.Or(SignalOf(*c), "a signal")
}

func meaningOf(e *Evidence) string {
	c := e.decisive()
	if c == nil {
		return "an unknown exit code"
	}
	return Meaning(*c)
}

// obeyed says how it ended after it had been asked to stop, if that is worth a word.
func (e *Evidence) obeyed() string {
	c := e.decisive()
	switch {
	case c == nil || weight(*c) == weightZero || weight(*c) == weightObeyed:
		return ""
	case *c == 128+sigKill:
		return "; it did not end within its stop timeout and was killed (exit code 137)"
	}
	return ", " + Meaning(*c)
}

// asking is what a user gave as the reason of a stop.
func (e *Evidence) asking() string {
	text := e.stopText().text
	if text == "" || e.stopSays(byUserWords) {
		return ""
	}
	return ": " + start(text, maxReason)
}

func sent(kills []Kill) string {
	names := make([]string, len(kills))
	for i, k := range kills {
		names[i] = cmp.Or(SignalName(k.Signal), "an unknown signal")
	}
	return strings.Join(names, ", then ")
}

// Duration returns a duration as people read it: two units at most.
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return short(d.Round(time.Second))
	case d < 48*time.Hour:
		return short(d.Round(time.Minute))
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + " days"
}

// short drops the units that are zero from the end: 3h0m0s is 3h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
