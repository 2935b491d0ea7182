package restart

import (
	"context"
	"strconv"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Restarter is what the handler does to the tasks of one runtime. Errors are those of the runtime; a task
// that is not there is no error of State.
type Restarter interface {
	// State returns what the runtime knows of the task now.
	State(ctx context.Context, task string) (State, error)
	// Start starts a stopped task. It must leave a running one alone.
	Start(ctx context.Context, task string) error
	// Restart stops a running task and starts it again.
	Restart(ctx context.Context, task string) error
}

// State is a task as the runtime sees it now.
type State struct {
	// Found is false if the runtime does not know the task, or is about to forget it.
	Found   bool
	Running bool
	Paused  bool
	// Started is when the last run began; zero before the first one.
	Started time.Time
	// ExitCode is that of the last run; it means nothing while the task runs.
	ExitCode int64
	// Health is healthy, unhealthy or starting; empty without a probe.
	Health string
	// AutoRemove says that the runtime removes the task when it stops.
	AutoRemove bool
	// Policy is the runtime's own restart policy; empty or no is none.
	Policy string
	Name   string
	// Labels are the real ones, which nothing has redacted or cut.
	Labels map[string]string
}

// Run identifies the last run as the events of the runtime do: its start in ns; empty before the first.
func (s *State) Run() string {
	if s.Started.IsZero() {
		return ""
	}
	return strconv.FormatInt(s.Started.UnixNano(), 10)
}

// same tells whether the last run is the one of the event. An event that does not know when its run began
// names it otherwise; then any run that began before the event is taken for it.
func (s *State) same(e *event.Event) bool {
	run := e.Data.Task.Run
	if run == s.Run() {
		return true
	}
	if n, err := strconv.ParseInt(run, 10, 64); err == nil && n > 0 {
		return false
	}
	return !s.Started.After(e.Time)
}
