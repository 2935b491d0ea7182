package console

import (
	"bytes"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// Text returns the lines of one event, each ending in a newline.
func Text(e *event.Event, color bool) string {
	var b bytes.Buffer
	write(&b, e, color)
	return b.String()
}

// The terminal attributes in use.
const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	cyan   = "\x1b[36m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
)

// labelWidth is the column of the facts, that of the longest usual label and a space.
const labelWidth = 11

// write lays out one event:
//
//	02:14:07  pay stopped: exit code 3 (ran 4s)  on web-7 (docker, project shop)
//	          Why        The program ended with exit code 3. This is a fact.
func write(b *bytes.Buffer, e *event.Event, color bool) {
	paint := func(style, s string) string {
		if !color || style == "" || s == "" {
			return s
		}
		return style + s + reset
	}
	n := notice.Short(e)
	mark := ""
	if n.Mark != "" {
		mark = paint(cyan, n.Mark) + "  "
	}
	b.WriteString(mark + paint(dim, clock(e.Time)) + "  " + paint(style(e), n.Headline))
	if n.Where != "" {
		b.WriteString("  " + paint(dim, n.Where))
	}
	b.WriteByte('\n')
	if !problem(e) {
		return
	}
	indent := mark + strings.Repeat(" ", len("15:04:05  "))
	for _, part := range n.Parts {
		label := part.Label
		for _, line := range part.Lines {
			pad := strings.Repeat(" ", max(labelWidth-len(label), 1))
			b.WriteString(indent + paint(dim, label) + pad + line + "\n")
			label = ""
		}
	}
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "--:--:--"
	}
	return t.UTC().Format(time.TimeOnly)
}

// problem says whether a person needs more than one line: a stop that nobody wanted, and what else the
// contract gives the severity of an error.
func problem(e *event.Event) bool {
	return event.SeverityOf(e) >= event.Error || e.Type == event.TaskUnhealthy
}

func style(e *event.Event) string {
	switch severity := event.SeverityOf(e); {
	case severity >= event.Error:
		return red
	case severity >= event.Warn:
		return yellow
	}
	return ""
}
