package sinks

import (
	"context"
	"fmt"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Sink hands events to one target.
type Sink interface {
	// Send blocks until the target accepted or refused the batch. It returns nil if all of it was
	// accepted, a *Permanent if none of it ever will be, a *Throttled if the target asks for time, a
	// *Partial if the verdicts differ, and any other error if a later attempt may succeed. The caller
	// keeps the slice and the events; Send must not change or hold them.
	Send(ctx context.Context, batch []event.Event) error
}

// Permanent is a refusal that no retry can mend: the event goes to the dead letters.
type Permanent struct {
	// Reason is a short, stable word for metrics and dead letters, such as mapping or too_large.
	Reason string
	Err    error
}

func (p *Permanent) Error() string { return fmt.Sprintf("refused for good (%s): %v", p.Reason, p.Err) }

// Unwrap returns the target's own error.
func (p *Permanent) Unwrap() error { return p.Err }

// Throttled asks the router to wait before it tries this target again.
type Throttled struct {
	// After is how long to wait; zero leaves it to the router's back-off.
	After time.Duration
	Err   error
}

func (t *Throttled) Error() string { return fmt.Sprintf("throttled: %v", t.Err) }

// Unwrap returns the target's own error.
func (t *Throttled) Unwrap() error { return t.Err }

// Partial gives a verdict per event of the batch.
type Partial struct {
	// Errs has one entry per event: nil for accepted, else an error with the same classes as Send's.
	Errs []error
}

func (p *Partial) Error() string {
	failed := p.Unwrap()
	if len(failed) == 0 {
		return "no event failed"
	}
	return fmt.Sprintf("%d of %d events failed, the first: %v", len(failed), len(p.Errs), failed[0])
}

// Unwrap returns the errors of the failed events.
func (p *Partial) Unwrap() []error {
	var failed []error
	for _, err := range p.Errs {
		if err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}
