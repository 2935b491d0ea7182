package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const (
	// publishBound is after what time without an acknowledgement the stream counts as refusing.
	publishBound = 5 * time.Second
	// settleBound bounds a message as a whole, what is asked of AWS for it included.
	settleBound = 2 * time.Minute
	// finishBound is how long what is in hand is worked on after the collector's end.
	finishBound = 8 * time.Second
	// giveBack is when a message that the stream did not take may be received again.
	giveBack = time.Second
	// maxRetry bounds the same for a message that fails by itself, which doubles with each receive.
	maxRetry = 15 * time.Minute

	firstProbe, lastProbe     = 500 * time.Millisecond, 30 * time.Second
	firstReceive, lastReceive = 200 * time.Millisecond, 20 * time.Second
)

// outcome is how settling a message ended.
type outcome int

const (
	// outcomePending: nobody knows yet, or the attempt was cut short.
	outcomePending outcome = iota
	// outcomeSettled: everything that follows from it is on the stream and saved, or it is quarantined: delete it.
	outcomeSettled
	// outcomeRefused: the stream or the bucket did not take it in time; the message is as good as before.
	outcomeRefused
	// outcomeFailed: it could not be settled although the stream and the bucket answer.
	outcomeFailed
)

// intake moves what a queue holds through the machine to the stream.
type intake struct {
	queue   *queue
	pollers int
	gate    *gate
	sight   *sight

	// read makes a fact of a body; a *poison error says why there will never be one. It is pure.
	read func(body []byte) (*fact, error)
	// handle returns nil after all that follows from a fact was told and saved.
	handle func(ctx context.Context, f *fact, tell func(context.Context, out) error) error
	// renew forgets credentials that AWS refuses, so that the next call asks for new ones.
	renew func()
	// answers returns nil if the bucket answers.
	answers   func(ctx context.Context) error
	publisher collectors.Publisher
	letters   Quarantine // nil: poison is left to the queue's redrive policy

	name    string
	metrics *intakeMetrics
	logger  *slog.Logger
	deletes complaint
}

// run receives until ctx ends, and returns when what was in hand is settled or given back.
func (in *intake) run(ctx context.Context) {
	var pollers sync.WaitGroup
	defer pollers.Wait()
	for range in.pollers {
		pollers.Go(func() { in.poll(ctx) })
	}
}

func (in *intake) poll(ctx context.Context) {
	delay := backoff.New(firstReceive, lastReceive)
	wait := shortPoll // the first answer comes soon, to know that there is one
	for in.gate.pass(ctx) == nil {
		messages, err := in.queue.receive(ctx, wait)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			in.failed(err)
			wait = shortPoll
			if delay.Wait(ctx) != nil {
				return
			}
			continue
		}
		delay.Reset()
		in.sight.received(len(messages))
		wait = longPoll
		if len(messages) > 0 {
			in.batch(ctx, messages)
		}
	}
}

// failed notes that a receive was refused.
func (in *intake) failed(err error) {
	in.sight.failed(err)
	in.renewed(err)
}

// renewed reports whether a call was refused for its credentials, of which the next call asks for new ones.
func (in *intake) renewed(err error) bool {
	var r *refusal
	if !errors.As(err, &r) || r.reason != reasonCredentials {
		return false
	}
	in.renew()
	return true
}

// batch settles messages and deletes them, or gives them back. If the stream refuses one, it returns after it
// has taken that one.
func (in *intake) batch(ctx context.Context, messages []*message) {
	in.hold(ctx, messages, in.gate.closing(), func(work context.Context) {
		in.settleAll(work, messages)
		in.remove(ctx, those(messages, outcomeSettled))
	})
	for _, m := range those(messages, outcomeFailed) {
		in.release(ctx, []*message{m}, min(time.Second<<min(m.receives, 16), maxRetry))
	}
	in.release(ctx, those(messages, outcomePending), in.pause(ctx))
	left := those(messages, outcomeRefused)
	if len(left) == 0 || ctx.Err() != nil || !in.gate.shut() {
		in.release(ctx, left, in.pause(ctx))
		return
	}
	in.release(ctx, left[1:], giveBack)
	in.probe(ctx, left[0])
}

// pause is when others may have a message that nobody refused for its own sake.
func (in *intake) pause(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	return giveBack
}

// probe tries to settle the message until that works, or ctx ends. It holds one message instead of receiving
// others: a receive costs a good message one of those that the redrive policy allows.
func (in *intake) probe(ctx context.Context, m *message) {
	in.metrics.gate.Set(1)
	in.metrics.refusals.Inc()
	in.sight.refused(m.why)
	in.hold(ctx, []*message{m}, nil, func(work context.Context) {
		delay := backoff.New(firstProbe, lastProbe)
		for m.outcome == outcomeRefused && delay.Wait(ctx) == nil {
			in.settle(work, m)
		}
		if m.outcome == outcomeSettled {
			in.remove(ctx, []*message{m})
		}
	})
	switch m.outcome {
	case outcomeSettled:
	case outcomeFailed:
		in.release(ctx, []*message{m}, giveBack)
	default: // ctx has ended
		in.release(ctx, []*message{m}, 0)
		return
	}
	in.metrics.gate.Set(0)
	in.gate.open()
	in.sight.accepted()
}

// hold calls do and keeps the messages invisible until it returns. The context of do ends when interrupt is
// readable, or some time after ctx has ended.
func (in *intake) hold(ctx context.Context, messages []*message, interrupt <-chan struct{}, do func(work context.Context)) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	done := make(chan struct{})
	var guard sync.WaitGroup
	guard.Go(func() {
		beat := time.NewTicker(visibility / 2)
		defer beat.Stop()
		var last <-chan time.Time
		ending := ctx.Done()
		for {
			select {
			case <-done:
				return
			case <-beat.C:
				in.extend(ctx, messages)
			case <-ending:
				ending = nil
				last = time.After(finishBound)
			case <-last:
				cancel()
			case <-interrupt:
				interrupt = nil
				cancel()
			}
		}
	})
	do(work)
	close(done)
	guard.Wait()
}

func (in *intake) extend(ctx context.Context, messages []*message) {
	in.queue.inHand(nil, nil) // they age
	if err := in.queue.hide(ctx, messages, visibility); err != nil {
		in.logger.Warn("messages not kept invisible, they may come again", "err", err)
		return
	}
	in.metrics.extended.Add(float64(len(messages)))
}

// settleAll settles messages side by side, those of one task in the order of their versions. What tells about
// other tasks goes first, so that a stop in the same batch meets what led to it.
func (in *intake) settleAll(ctx context.Context, messages []*message) {
	var first, then []*message
	for _, m := range messages {
		in.open(m)
		if m.fact != nil && m.fact.note != nil {
			first = append(first, m)
		} else {
			then = append(then, m)
		}
	}
	for _, part := range [][]*message{first, then} {
		var wg sync.WaitGroup
		for _, line := range byTask(part) {
			wg.Go(func() {
				for _, m := range line {
					in.settle(ctx, m)
				}
			})
		}
		wg.Wait()
	}
}

// open reads a message.
func (in *intake) open(m *message) {
	f, err := in.read([]byte(m.body))
	if err == nil {
		m.fact = f
		return
	}
	class, reason := poisonOf(err)
	m.letter = in.letterOf(m, class, reason)
}

func (in *intake) letterOf(m *message, class, reason string) *Letter {
	in.metrics.poisoned(class)
	return &Letter{Collector: in.name, Source: in.queue.url, ID: m.id, Class: class, Reason: reason, Body: safeBody(m.body)}
}

// byTask returns the messages by task, oldest version first.
func byTask(messages []*message) map[string][]*message {
	out := map[string][]*message{}
	for _, m := range messages {
		key := m.id
		if m.fact != nil {
			key = cmp.Or(m.fact.event.PartitionKey, m.id)
		}
		out[key] = append(out[key], m)
	}
	for _, line := range out {
		slices.SortStableFunc(line, func(a, b *message) int { return cmp.Compare(versionOf(a), versionOf(b)) })
	}
	return out
}

func versionOf(m *message) int64 {
	if m.fact == nil || m.fact.task == nil {
		return 0
	}
	return m.fact.task.Version
}

// settle sets the outcome on a message.
func (in *intake) settle(ctx context.Context, m *message) {
	if m.letter == nil {
		m.outcome, m.why = in.tellOf(ctx, m)
	}
	if m.letter != nil {
		m.outcome, m.why = in.quarantine(ctx, m)
	}
}

func (in *intake) tellOf(ctx context.Context, m *message) (outcome, error) {
	bound, cancel := context.WithTimeout(ctx, settleBound)
	defer cancel()
	var stream *streamError
	err := in.handle(bound, m.fact, func(ctx context.Context, o out) error {
		err := in.publish(ctx, o)
		if err == nil {
			m.told++
		} else {
			errors.As(err, &stream)
		}
		return err
	})
	switch {
	case err == nil:
		if m.told == 0 {
			in.metrics.duplicates.Inc()
		}
		return outcomeSettled, nil
	case errors.Is(err, event.ErrInvalid):
		m.letter = in.letterOf(m, classInvalid, err.Error())
		return outcomePending, err
	case ctx.Err() != nil:
		return outcomePending, err
	case stream != nil:
		return outcomeRefused, stream
	}
	if away := in.answers(bound); away != nil {
		return outcomeRefused, fmt.Errorf("the bucket of versions does not answer: %w", away)
	}
	in.metrics.failures.Inc()
	in.logger.Warn("message not settled, it comes again", "message_id", m.id, "receives", m.receives, "err", err)
	return outcomeFailed, err
}

// streamError is why an event did not get to the stream.
type streamError struct{ err error }

func (e *streamError) Error() string { return "the stream takes no events: " + e.err.Error() }
func (e *streamError) Unwrap() error { return e.err }

func (in *intake) publish(ctx context.Context, o out) error {
	bound, cancel := context.WithTimeout(ctx, publishBound)
	defer cancel()
	err := in.publisher.Publish(bound, o.event)
	switch {
	case err == nil:
		in.metrics.published.Inc()
		return nil
	case errors.Is(err, event.ErrInvalid):
		return err
	case ctx.Err() == nil && bound.Err() != nil:
		err = fmt.Errorf("no acknowledgement within %s", publishBound)
	}
	return &streamError{err}
}

// quarantine keeps the letter of a message that can never become an event.
func (in *intake) quarantine(ctx context.Context, m *message) (outcome, error) {
	if in.letters == nil {
		return outcomeFailed, errors.New(m.letter.Reason)
	}
	bound, cancel := context.WithTimeout(ctx, publishBound)
	defer cancel()
	err := in.letters.Quarantine(bound, *m.letter)
	switch {
	case ctx.Err() != nil && err != nil:
		return outcomePending, err
	case err != nil:
		return outcomeRefused, fmt.Errorf("quarantine message %s: %w", m.id, err)
	}
	in.logger.Warn("message quarantined", "message_id", m.id, "class", m.letter.Class, "reason", m.letter.Reason)
	return outcomeSettled, nil
}

func (in *intake) remove(ctx context.Context, messages []*message) {
	err := in.queue.remove(ctx, messages)
	if in.renewed(err) {
		err = in.queue.remove(ctx, messages)
	}
	if in.deletes.changed(err) && err != nil {
		in.logger.Warn("messages not deleted, they come again as duplicates", "err", err)
	}
}

func (in *intake) release(ctx context.Context, messages []*message, after time.Duration) {
	if len(messages) == 0 {
		return
	}
	defer in.queue.inHand(nil, messages)
	in.metrics.released.Add(float64(len(messages)))
	if err := in.queue.hide(ctx, messages, after); err != nil {
		in.logger.Warn("messages not given back, they come again later", "err", err)
	}
}

func those(messages []*message, v outcome) []*message {
	var out []*message
	for _, m := range messages {
		if m.outcome == v {
			out = append(out, m)
		}
	}
	return out
}

// complaint tells a trouble that is new from one that goes on.
type complaint struct {
	mu   sync.Mutex // guards last
	last string
}

func (c *complaint) changed(err error) bool {
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := c.last != text
	c.last = text
	return changed
}
