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
	if !strings.Contains(say, "{") {
		return say
	}
	code, signal, after, by := "an unknown exit code", "a signal", "", ""
	if e.ExitCode != nil {
		code = "exit code " + strconv.FormatInt(*e.ExitCode, 10)
		signal = cmp.Or(SignalOf(*e.ExitCode), signal)
	}
	if e.Ran > 0 {
		after = " after " + Duration(e.Ran)
	}
	if len(e.Kills) > 0 {
		by = " (" + sent(e.Kills) + ")"
	}
	return strings.NewReplacer(
		"{code}", code, "{signal}", signal, "{after}", after, "{policy}", cmp.Or(e.RestartPolicy, "no"), "{sent}", by,
		"{error}", cmp.Or(strings.TrimSpace(e.StateError), "no reason given"),
	).Replace(say)
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
