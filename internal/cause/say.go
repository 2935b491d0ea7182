package cause

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Placeholders are what a sentence may contain in braces.
func Placeholders() []string { return []string{"code", "signal", "after", "error", "sent", "policy"} }

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
	switch {
	case name == "code" && e.ExitCode == nil:
		return "an unknown exit code"
	case name == "code":
		return "exit code " + strconv.FormatInt(*e.ExitCode, 10)
	case name == "signal" && e.ExitCode != nil:
		return cmp.Or(SignalOf(*e.ExitCode), "a signal")
	case name == "signal":
		return "a signal"
	case name == "after" && e.Ran > 0:
		return " after " + Duration(e.Ran)
	case name == "sent" && len(e.Kills) > 0:
		return " (" + sent(e.Kills) + ")"
	case name == "policy":
		return cmp.Or(e.RestartPolicy, "no")
	case name == "error":
		return cmp.Or(strings.TrimSpace(e.StateError), "no reason given")
	case name == "after" || name == "sent":
		return ""
	}
	return "{" + name + "}"
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
