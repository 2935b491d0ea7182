package router

import (
	"context"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

// breaker keeps a route from wasting deliveries on a target that is down. Closed, every worker passes;
// open, one worker at a time passes as a probe after a growing delay.
type breaker struct {
	mu      sync.Mutex
	delays  *backoff.Backoff
	open    bool
	probing bool
	until   time.Time
	since   time.Time
	why     error
	changed chan struct{} // closed and renewed at each change, to wake who waits
}

func newBreaker() *breaker {
	return &breaker{delays: backoff.New(500*time.Millisecond, 30*time.Second), changed: make(chan struct{})}
}

// enter blocks until the caller may fetch, and says whether it is a probe.
func (b *breaker) enter(ctx context.Context) (probe bool, err error) {
	for {
		probe, wait, changed := b.try()
		if wait == 0 {
			return probe, ctx.Err()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (b *breaker) try() (probe bool, wait time.Duration, changed chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch now := time.Now(); {
	case !b.open:
		return false, 0, nil
	case b.probing:
		return false, time.Hour, b.changed
	case now.Before(b.until):
		return false, b.until.Sub(now), b.changed
	}
	b.probing = true
	return true, 0, nil
}

// failed opens the breaker, or keeps it open, and returns when the next attempt is due. after is the
// target's own wish, if it has one.
func (b *breaker) failed(why error, after time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	delay := max(b.delays.Next(), after)
	if !b.open {
		b.since = time.Now()
	}
	b.open, b.probing, b.why, b.until = true, false, why, time.Now().Add(delay)
	b.wake()
	return delay
}

// passed closes the breaker.
func (b *breaker) passed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delays.Reset()
	if b.open {
		b.open, b.probing, b.why = false, false, nil
		b.wake()
	}
}

// release gives a probe back that had nothing to try.
func (b *breaker) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probing {
		b.probing = false
		b.wake()
	}
}

func (b *breaker) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *breaker) state() (open bool, since time.Time, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open, b.since, b.why
}
