// Package backoff gives growing, capped, jittered delays between attempts.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is the state of one series of attempts. The zero value is not usable; see New. It belongs to
// one goroutine.
type Backoff struct {
	first, limit, next time.Duration
}

// New returns a series that starts at first and doubles up to limit.
func New(first, limit time.Duration) *Backoff {
	return &Backoff{first: first, limit: limit, next: first}
}

// Next returns the delay before the next attempt, ±20 %.
func (b *Backoff) Next() time.Duration {
	d := b.next
	b.next = min(2*b.next, b.limit)
	return Jitter(d)
}

// Reset starts the series again, after a success.
func (b *Backoff) Reset() { b.next = b.first }

// Wait sleeps for Next or until ctx ends, whose error it then returns.
func (b *Backoff) Wait(ctx context.Context) error { return Sleep(ctx, b.Next()) }

// Jitter returns d ±20 %, so that many waiters do not come back at once.
func Jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d)) //nolint:gosec // no secret depends on it
}

// Sleep waits for d or until ctx ends, whose error it then returns.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
