package awsclient

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

// Bucket keeps the calls of this process within a share of what AWS allows an account in a region, which it has
// in common with everybody else who calls there. While AWS throttles, the bucket gives nothing. It is safe for
// concurrent use.
type Bucket struct {
	limiter *rate.Limiter

	mu    sync.Mutex // guards what follows
	until time.Time  // nothing is given before
	pause time.Duration
}

// A pause doubles with each throttled answer that comes after the one before has ended.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// NewBucket returns a bucket that gives perSecond calls a second and burst calls at once.
func NewBucket(perSecond float64, burst int) *Bucket {
	return &Bucket{limiter: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// Bucket returns the bucket of a name, the same each time; perSecond and burst are those of the first time.
func (l *Loader) Bucket(name string, perSecond float64, burst int) *Bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buckets == nil {
		l.buckets = map[string]*Bucket{}
	}
	b := l.buckets[name]
	if b == nil {
		b = NewBucket(perSecond, burst)
		l.buckets[name] = b
	}
	return b
}

// ErrBusy says that a call would not get its turn before the context's deadline.
var ErrBusy = errors.New("too many calls wait for their turn")

// Wait returns when a call may be made. The error is that of ctx, or ErrBusy at once if its deadline is too soon.
func (b *Bucket) Wait(ctx context.Context) error {
	for {
		if err := b.resumed(ctx); err != nil {
			return err
		}
		if err := b.limiter.Wait(ctx); err != nil {
			if ctx.Err() == nil {
				return ErrBusy // the deadline is too soon
			}
			return err
		}
		if b.paused() <= 0 { // AWS may have begun to throttle meanwhile: then this turn is lost
			return nil
		}
	}
}

// resumed returns when the bucket is not paused.
func (b *Bucket) resumed(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		pause := b.paused()
		if pause <= 0 {
			return nil
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
			return fmt.Errorf("%w: AWS throttles", ErrBusy)
		}
		if err := backoff.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (b *Bucket) paused() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Until(b.until)
}

// Throttled notes that AWS has refused a call for its rate. It returns for how long the bucket gives nothing.
func (b *Bucket) Throttled() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Before(b.until) { // that one was on its way already
		return b.until.Sub(now)
	}
	b.pause = min(max(2*b.pause, firstPause), lastPause)
	b.until = now.Add(b.pause)
	return b.pause
}

// Answered notes that AWS has answered a call.
func (b *Bucket) Answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().After(b.until) {
		b.pause = 0
	}
}
