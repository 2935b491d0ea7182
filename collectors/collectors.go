package collectors

import (
	"context"

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
