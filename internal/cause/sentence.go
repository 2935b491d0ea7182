package cause

import (
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Sentence says of a task why it stopped.
func Sentence(task string, c event.Cause) string {
	first, _, _ := strings.Cut(c.Say, " ")
	switch strings.TrimRight(first, ",:;") {
	case "stopped", "removed", "killed", "replaced", "interrupted", "lost":
		return task + " was " + c.Say
	case "completed", "ended", "crashed", "could", "was", "failed", "vanished":
		return task + " " + c.Say
	}
	return task + " stopped: " + c.Say
}
