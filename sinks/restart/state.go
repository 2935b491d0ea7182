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
	State(ctx context.Context, t Target) (State, error)
	// Start starts a stopped task. It must leave a running one alone.
	Start(ctx context.Context, t Target) error
	// Restart stops a running task and starts it again.
	Restart(ctx context.Context, t Target) error
}

// Target names a task as its runtime does, and the run of it that an event is about.
type Target struct {
	// Scope is the namespace of a containerd task; a Docker id needs none.
	Scope string
	ID    string
	// Run is the run as events name it; Stopped is when it ended, zero while it lives.
	Run     string
	Stopped time.Time
}

func targetOf(e *event.Event) Target {
	t := e.Data.Task
	return Target{Scope: e.Data.Scope, ID: t.ID, Run: t.Run, Stopped: t.Times.Stopped}
}

// State is a task as the runtime sees it now.
type State struct {
	// Found is false if the runtime does not know the task, or is about to forget it.
	Found   bool
	Running bool
	Paused  bool
	// Started is when the last run began; zero before the first one, and where the runtime keeps no such time.
	Started time.Time
	// RunName names the last run where Started can't; empty before the first one.
	RunName string
	// Stopped is when the last run ended, to the ns as events tell it; zero where that is not kept.
	Stopped time.Time
	// ExitCode is that of the last run; it means nothing while the task runs.
	ExitCode int64
	// Health is healthy, unhealthy or starting; empty without a probe.
	Health string
	// AutoRemove says that the runtime removes the task when it stops.
	AutoRemove bool
	// Policy is the runtime's own restart policy; empty or no is none.
	Policy string
	// Setup says what of the task a start would not bring back; empty if it brings back all.
	Setup string
	Name  string
	// Labels are the real ones, which nothing has redacted or cut.
	Labels map[string]string
}

// Run identifies the last run as the events of the runtime do: its name, or its start in ns; empty before
// the first.
func (s *State) Run() string {
	if s.RunName != "" || s.Started.IsZero() {
		return s.RunName
	}
	return strconv.FormatInt(s.Started.UnixNano(), 10)
}

// same tells whether the last run is the one of the event. A runtime that knows of no run has begun none
// since. An event that does not know when its run began names it otherwise; then any run that began before
// the event is taken for it.
func (s *State) same(e *event.Event) bool {
	t := e.Data.Task
	switch run := s.Run(); {
	case run == t.Run, run == "":
		return true
	case s.Started.IsZero():
		return s.endedAt(t.Times.Stopped)
	}
	if n, err := strconv.ParseInt(t.Run, 10, 64); err == nil && n > 0 {
		return false
	}
	return !s.Started.After(e.Time)
}

// endedAt tells whether the last run is one that ended at this time.
func (s *State) endedAt(t time.Time) bool { return !t.IsZero() && s.Stopped.Equal(t) }

// before tells whether the last run began before another task's, which is named by its start; an empty one
// counts as now.
func (s *State) before(run string) bool {
	n, err := strconv.ParseInt(run, 10, 64)
	return err != nil || s.Started.UnixNano() < n
}
