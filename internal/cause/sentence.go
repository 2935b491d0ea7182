package cause

import (
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Sentence says of a task why it stopped.
func Sentence(task string, c event.Cause) string {
	switch first, _, _ := strings.Cut(c.Say, " "); first {
	case "stopped", "removed", "killed", "replaced":
		return task + " was " + c.Say
	case "completed", "ended", "crashed", "could", "was":
		return task + " " + c.Say
	}
	return task + " stopped: " + c.Say
}
