package notice

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Duration says a length of time as people do: 340ms, 4s, 1m12s, 3h5m, 2d3h.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < time.Minute:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d < time.Hour:
		return two(d, time.Minute, "m", time.Second, "s")
	case d < 24*time.Hour:
		return two(d, time.Hour, "h", time.Minute, "m")
	}
	return two(d, 24*time.Hour, "d", time.Hour, "h")
}

func two(d, unit time.Duration, name string, sub time.Duration, subName string) string {
	s := strconv.FormatInt(int64(d/unit), 10) + name
	if rest := d % unit / sub; rest > 0 {
		s += strconv.FormatInt(int64(rest), 10) + subName
	}
	return s
}

// Workload is what the event is about: the workload, else the task's name or id, else the collector or
// the node.
func Workload(e *event.Event) string {
	name := e.Data.Workload
	if t := e.Data.Task; t != nil {
		name = cmp.Or(name, t.Name, t.ID)
	}
	if c := e.Data.Collector; c != nil {
		name = cmp.Or(name, c.Name)
	}
	return Cut(clean(cmp.Or(name, e.Data.Node, e.Subject, "?")), 120)
}

// scopeWord is what each runtime calls a scope.
func scopeWord(r event.Runtime) string {
	switch r {
	case event.Docker:
		return "project"
	case event.ECS:
		return "cluster"
	}
	return "namespace"
}

// where is such as "on web-7 (docker, project shop)".
func where(e *event.Event) string {
	var parts []string
	if e.Data.Runtime != "" {
		parts = append(parts, Cut(clean(string(e.Data.Runtime)), 40))
	}
	if e.Data.Scope != "" {
		parts = append(parts, scopeWord(e.Data.Runtime)+" "+Cut(clean(e.Data.Scope), 120))
	}
	s := ""
	if e.Data.Node != "" && e.Type.Kind() != "collector" { // a collector's headline names its node
		s = "on " + Cut(clean(e.Data.Node), 120)
	}
	if len(parts) > 0 {
		s = strings.TrimSpace(s + " (" + strings.Join(parts, ", ") + ")")
	}
	return s
}

// ran is how long the task ran, or false if one of the two times is not known.
func ran(e *event.Event) (time.Duration, bool) {
	t := e.Data.Task
	if t == nil || t.Times.Started.IsZero() {
		return 0, false
	}
	end := t.Times.Stopped
	if end.IsZero() {
		end = e.Time
	}
	if end.IsZero() || end.Before(t.Times.Started) {
		return 0, false
	}
	return end.Sub(t.Times.Started), true
}

// signalNames are the signals that end programs, by number on Linux.
var signalNames = map[int64]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
	10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}

// exit says how a container ended: "exit code 137, which is SIGKILL", or "" if it is not known.
func exit(c *event.Container) string {
	signal := clean(c.Signal)
	var s string
	switch {
	case c.ExitCode == nil && signal == "":
		return ""
	case c.ExitCode == nil:
		s = "ended by " + signal
	case signal != "":
		s = fmt.Sprintf("exit code %d, ended by %s", *c.ExitCode, signal)
	default:
		s = fmt.Sprintf("exit code %d", *c.ExitCode)
		if name := signalNames[*c.ExitCode-128]; name != "" {
			s += ", which is what " + name + " leaves"
		}
	}
	if c.OOMKilled {
		s += ", out of memory"
	}
	return s
}

// confidence says a grade in words.
func confidence(c event.Confidence) string {
	switch c {
	case event.Fact:
		return "a fact"
	case event.Likely:
		return "likely"
	case event.Guess:
		return "a guess; the evidence allows other causes"
	}
	return ""
}

// sentence starts with a capital and ends with a full stop.
func sentence(s string) string {
	s = strings.TrimRight(clean(s), " .")
	if s == "" {
		return ""
	}
	first := []rune(s)[:1]
	s = strings.ToUpper(string(first)) + s[len(string(first)):]
	return Cut(s, MaxLine-1) + "."
}

// day is the time with its date, for readers who come later.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + one + "s"
}
