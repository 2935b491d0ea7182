package collectors

import (
	"context"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Collector watches one runtime.
type Collector interface {
	// Run blocks until ctx ends, then returns nil after it has joined every goroutine it started. Any
	// other return is an error that says why it can't go on; Run may be called again.
	Run(ctx context.Context) error
}

// Publisher hands events to the stream.
type Publisher interface {
	// Publish returns nil after the stream has acknowledged the event, a duplicate included. It blocks
	// and retries while the stream refuses or is away; an error means that ctx ended or that the event
	// itself can't be published.
	Publish(ctx context.Context, e event.Event) error
}

// Bucket keeps small values that survive a restart, such as cursors.
type Bucket interface {
	// Get returns the value and its revision, or revision 0 if there is none.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Put writes if the key still has this revision (0: does not exist) and returns the new one. won is
	// false if another writer was first.
	Put(ctx context.Context, key string, value []byte, revision uint64) (next uint64, won bool, err error)
}

// Reporter is how a collector tells the supervisor what it can see.
type Reporter interface {
	// Report replaces what is known of the collector. It never blocks.
	Report(Report)
	// Gap tells the stream that the collector was blind for a time, and returns after the stream has
	// acknowledged it. It is called when the gap is over and reconciled.
	Gap(ctx context.Context, g Gap) error
	// Conflict tells the stream that another collector watches the same runtime, or no longer does, and
	// returns after the stream has acknowledged it.
	Conflict(ctx context.Context, c Conflict) error
}

// Silent is a Reporter that tells nobody.
type Silent struct{}

// Report drops it.
func (Silent) Report(Report) {}

// Gap drops it.
func (Silent) Gap(context.Context, Gap) error { return nil }

// Conflict drops it.
func (Silent) Conflict(context.Context, Conflict) error { return nil }

// Report is what a collector sees right now.
type Report struct {
	// Connected is false while the collector is blind; Err then says why.
	Connected bool
	Err       error
	// Engine and Version identify the runtime once it has answered.
	Engine, Version string
	// Containers, on ECS tasks, and Workloads count what is watched.
	Containers, Workloads int
}

// Gap is a time in which a collector was blind.
type Gap struct {
	// From is the last moment that is known to be covered; zero is unknown. To is when sight came back.
	From, To time.Time
	Reason   string
	// Reconciled counts the transitions that only a snapshot told.
	Reconciled int
	// UnknownCodes counts the ends among them whose exit code can't be known.
	UnknownCodes int
	// UnseenRuns counts the runs that the runtime's own counter knows of and nothing tells.
	UnseenRuns int
	// Unknown lists what can't be known about this time; empty means that nothing was lost.
	Unknown []string
}

// Conflict is another collector that watches the same runtime. Both keep running, and the stream keeps
// each event once.
type Conflict struct {
	// Key is the same for both sides, and another one for every pair of collectors.
	Key string
	// Self and Peer name the two, such as "docker on web-7".
	Self, Peer string
	// Advice says what to do, in a few words.
	Advice string
	// Since is when both were first seen alive; Until is when the peer was found gone, zero as long as it
	// lives.
	Since, Until time.Time
}
