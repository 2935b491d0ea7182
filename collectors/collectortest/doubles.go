package collectortest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Stream is a publisher that keeps what it takes. The zero value takes everything.
type Stream struct {
	mu       sync.Mutex // guards what follows
	events   []event.Event
	ids      map[string]bool
	repeated int
	refusing bool
	blocked  int
	faults   []error
}

var _ collectors.Publisher = (*Stream)(nil)

const refusedPoll = 5 * time.Millisecond

// Publish takes the event once per id, as a stream does; while it refuses, it blocks.
func (s *Stream) Publish(ctx context.Context, e event.Event) error {
	blocked := false
	for !s.take(&e, &blocked) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(refusedPoll):
		}
	}
	return nil
}

func (s *Stream) take(e *event.Event, blocked *bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusing {
		if !*blocked {
			s.blocked++
			*blocked = true
		}
		return false
	}
	if s.ids[e.ID] {
		s.repeated++
		return true
	}
	if s.ids == nil {
		s.ids = map[string]bool{}
	}
	s.ids[e.ID] = true
	if e.Recorded.IsZero() {
		e.Recorded = time.Now().UTC()
	}
	s.faults = append(s.faults, check(e))
	s.events = append(s.events, *e)
	return true
}

// check holds an event against the contract and against its own encoding.
func check(e *event.Event) error {
	if err := event.Validate(e); err != nil {
		return err
	}
	b, err := event.Append(nil, e)
	if err != nil {
		return fmt.Errorf("encode %s: %w", e.Type, err)
	}
	if _, err := event.Decode(b); err != nil {
		return fmt.Errorf("decode %s: %w", e.Type, err)
	}
	return nil
}

// Refuse makes Publish block, or go on.
func (s *Stream) Refuse(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing, s.blocked = refuse, 0
}

// Blocked returns how many calls have met the refusal.
func (s *Stream) Blocked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked
}

// Events returns what was taken, in order, each id once.
func (s *Stream) Events() []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]event.Event(nil), s.events...)
}

// Of returns the events of one type and task.
func (s *Stream) Of(typ event.Type, task string) []event.Event {
	var found []event.Event
	for _, e := range s.Events() {
		if e.Type == typ && (task == "" || e.Data.Task != nil && e.Data.Task.ID == task) {
			found = append(found, e)
		}
	}
	return found
}

// Faults returns how the events broke the contract.
func (s *Stream) Faults() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.faults...)
}

// Bucket is a bucket in memory. The zero value is empty.
type Bucket struct {
	mu        sync.Mutex // guards what follows
	values    map[string][]byte
	revisions map[string]uint64
	last      uint64
}

var _ collectors.Bucket = (*Bucket)(nil)

// Get returns the value and its revision.
func (b *Bucket) Get(_ context.Context, key string) ([]byte, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.values[key], b.revisions[key], nil
}

// Put writes if the revision is the current one.
func (b *Bucket) Put(_ context.Context, key string, value []byte, revision uint64) (uint64, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.revisions[key] != revision {
		return 0, false, nil
	}
	if b.values == nil {
		b.values, b.revisions = map[string][]byte{}, map[string]uint64{}
	}
	b.last++
	b.values[key], b.revisions[key] = append([]byte(nil), value...), b.last
	return b.last, true, nil
}

// Copy returns the bucket as it is now: what a crash leaves behind.
func (b *Bucket) Copy() *Bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &Bucket{last: b.last, values: map[string][]byte{}, revisions: map[string]uint64{}}
	for k, v := range b.values {
		c.values[k], c.revisions[k] = v, b.revisions[k]
	}
	return c
}

// Reporter keeps what a collector reported. The zero value is ready.
type Reporter struct {
	mu   sync.Mutex // guards what follows
	last collectors.Report
	gaps []collectors.Gap

	conflicts []collectors.Conflict
}

var _ collectors.Reporter = (*Reporter)(nil)

// Report keeps the report.
func (r *Reporter) Report(report collectors.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = report
}

// Gap keeps the gap.
func (r *Reporter) Gap(_ context.Context, g collectors.Gap) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gaps = append(r.gaps, g)
	return nil
}

// Conflict keeps the conflict.
func (r *Reporter) Conflict(_ context.Context, c collectors.Conflict) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conflicts = append(r.conflicts, c)
	return nil
}

// Conflicts returns all conflicts so far.
func (r *Reporter) Conflicts() []collectors.Conflict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]collectors.Conflict(nil), r.conflicts...)
}

// Last returns the newest report.
func (r *Reporter) Last() collectors.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Gaps returns all gaps so far.
func (r *Reporter) Gaps() []collectors.Gap {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]collectors.Gap(nil), r.gaps...)
}
