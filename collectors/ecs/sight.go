package ecs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors"
)

// blindAfter is how many receives in a row have to fail, for a reason that passes by itself, until the
// collector calls itself blind.
const blindAfter = 3

// sight knows whether the collector sees its queue and why not, and tells the supervisor. It is safe for
// concurrent use.
type sight struct {
	reporter collectors.Reporter
	engine   string
	// restored is called with each blindness that is over; it does not block. Its gap's From is zero if the
	// queue was not seen before.
	restored func(collectors.Gap)

	// empty holds one: a receive brought nothing.
	empty chan struct{}

	mu        sync.Mutex // guards what follows
	failures  int        // in a row
	noReceive error      // why receives fail
	noStream  error      // why the gate is closed
	connected bool
	told      string // the last reason that was reported
	// covered is when the collector saw last; heard is when a message came last.
	covered, heard   time.Time
	reason           string
	tasks, workloads int
}

// received notes that a receive was answered, with so many messages.
func (s *sight) received(messages int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures, s.noReceive = 0, nil
	if messages > 0 {
		s.heard = time.Now()
	} else {
		select {
		case s.empty <- struct{}{}:
		default:
		}
	}
	s.tell()
}

// stale forgets that the queue was found empty.
func (s *sight) stale() {
	select {
	case <-s.empty:
	default:
	}
}

// settle waits until the queue is found empty, or for most.
func (s *sight) settle(ctx context.Context, most time.Duration) {
	timeout := time.NewTimer(most)
	defer timeout.Stop()
	select {
	case <-s.empty:
	case <-timeout.C:
	case <-ctx.Done():
	}
}

// failed notes that a receive was not answered.
func (s *sight) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	var r *refusal
	if errors.As(err, &r) && r.definite() || s.failures >= blindAfter {
		s.noReceive = err
	}
	s.tell()
}

// refused notes that nothing is received because the stream takes nothing.
func (s *sight) refused(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noStream = err
	s.tell()
}

func (s *sight) accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noStream = nil
	s.tell()
}

// watching sets how much is watched.
func (s *sight) watching(tasks, workloads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks, s.workloads = tasks, workloads
	if s.connected {
		s.report(nil)
	}
}

// lastHeard is when a message came last; zero if none came yet.
func (s *sight) lastHeard() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// tell reports what changed.
func (s *sight) tell() {
	now := time.Now()
	err := s.noStream
	if err == nil {
		err = s.noReceive
	}
	switch {
	case err != nil:
		if s.connected || s.told != err.Error() {
			s.connected, s.told, s.reason = false, err.Error(), err.Error()
			s.report(err)
		}
		return
	case s.failures > 0:
		return // not answered, and not yet given up
	case !s.connected:
		gap := collectors.Gap{From: s.covered, To: now, Reason: s.reason}
		s.connected, s.told, s.reason = true, "", ""
		s.report(nil)
		if gap.Reason != "" {
			s.restored(gap)
		}
	}
	s.covered = now
}

func (s *sight) report(err error) {
	s.reporter.Report(collectors.Report{
		Connected: err == nil, Err: err, Engine: s.engine, Containers: s.tasks, Workloads: s.workloads,
	})
}
