package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const (
	// queueSize is how many events wait at most; then Publish blocks.
	queueSize = 4096
	// groupFrom is from how many waiting events on one atomic batch is cheaper than one sync each;
	// groupMax bounds the batch and with it the latency of the last in it.
	groupFrom, groupMax = 32, 512
	// usualSize holds most events, so that encoding does not grow its buffer again and again.
	usualSize = 2 << 10
	// attemptTimeout is after what time without an answer an outcome counts as unknown.
	attemptTimeout = 5 * time.Second
	// drainBound is how long Run goes on after its context has ended, for what is queued.
	drainBound = 5 * time.Second

	retryFirst, retryLimit = 50 * time.Millisecond, 2 * time.Second
)

// ErrStopped is returned by Publish when Run has ended before the event was acknowledged. The event may
// have been stored.
var ErrStopped = errors.New("the publisher has stopped")

// Publisher puts events on the stream, in the order in which they come, whoever calls. Any number of
// goroutines may publish; one must be in Run.
type Publisher struct {
	b     *Bus
	queue chan *item
	// nonce makes this publisher's batch ids and reply subjects its own.
	nonce   string
	replies chan *nats.Msg
	count   uint64 // of the requests so far; owned by Run

	// gate is held for reading by who enqueues, and for writing to end that.
	gate    sync.RWMutex
	stopped chan struct{}

	mu      sync.Mutex
	problem error
}

// item is one event on its way.
type item struct {
	msg   nats.Msg
	since time.Time
	done  func(error)
	// twins have the same id and came while this one waited: they share its fate.
	twins []*item
}

// NewPublisher returns a publisher that works while its Run does.
func (b *Bus) NewPublisher() *Publisher {
	return &Publisher{
		b: b, queue: make(chan *item, queueSize), replies: make(chan *nats.Msg, queueSize),
		nonce: b.nc.NewInbox(), stopped: make(chan struct{}),
	}
}

// Publish returns nil once the stream has acknowledged the event, also if it already had it. It blocks as
// long as the stream is away or refuses. An error means that ctx or Run has ended, after which the event
// may or may not be stored, or wraps event.ErrInvalid if this event can never be published.
func (p *Publisher) Publish(ctx context.Context, e event.Event) error {
	result := make(chan error, 1)
	if err := p.PublishAsync(ctx, e, func(err error) { result <- err }); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("publish event %s: %w", e.ID, ctx.Err())
	}
}

// PublishAsync queues the event, blocks while the queue is full, and returns. If it returns nil, done is
// called once with what Publish would have returned, from the goroutine of Run: it must not block.
func (p *Publisher) PublishAsync(ctx context.Context, e event.Event, done func(error)) error {
	it, err := newItem(&e, done)
	if err != nil {
		p.b.metrics.refused.WithLabelValues(reasonInvalid).Inc()
		return fmt.Errorf("publish event %s: %w", e.ID, err)
	}
	p.gate.RLock()
	defer p.gate.RUnlock()
	select {
	case <-p.stopped:
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("publish event %s: %w", e.ID, ctx.Err())
	default:
	}
	select {
	case p.queue <- it:
		return nil
	case <-p.stopped:
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("publish event %s: %w", e.ID, ctx.Err())
	}
}

func newItem(e *event.Event, done func(error)) (*item, error) {
	data, err := event.Append(make([]byte, 0, usualSize), e) // the client keeps it until it is acknowledged
	if err != nil {
		return nil, err
	}
	header := nats.Header{"Content-Type": {event.ContentType}, "Nats-Msg-Id": {e.ID}}
	return &item{msg: nats.Msg{Subject: event.NATSSubject(e), Header: header, Data: data}, since: time.Now(), done: done}, nil
}

// Health returns why events wait, or nil while they flow.
func (p *Publisher) Health() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problem
}

// Run commits what is published until ctx ends; then it commits what is queued, for at most five seconds.
// It returns an error if events were left, whose Publish then returned ErrStopped. It is called once.
func (p *Publisher) Run(ctx context.Context) error {
	sub, err := p.b.nc.ChanSubscribe(p.nonce+".>", p.replies)
	if err != nil {
		return errors.Join(fmt.Errorf("subscribe to acknowledgements: %w", err), p.stop(nil))
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection may be gone already
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainBound, cancel) })()
	for {
		items := p.take(ctx)
		if len(items) == 0 || work.Err() != nil {
			return p.stop(items)
		}
		p.b.metrics.queued.Set(float64(len(p.queue)))
		if left := p.commit(work, items); len(left) > 0 {
			return p.stop(left)
		}
	}
}

// take waits for the first event and adds those that wait behind it, as many as one commit takes. It
// returns none when ctx has ended and nothing waits.
func (p *Publisher) take(ctx context.Context) []*item {
	var first *item
	select {
	case first = <-p.queue:
	default:
		select {
		case first = <-p.queue:
		case <-ctx.Done():
			return nil
		}
	}
	items := []*item{first}
	if p.b.o.Durability == Strict && len(p.queue)+1 < groupFrom {
		return items
	}
	return p.more(items, groupMax)
}

// more adds what waits, up to limit.
func (p *Publisher) more(items []*item, limit int) []*item {
	for len(items) < limit {
		select {
		case it := <-p.queue:
			items = append(items, it)
		default:
			return items
		}
	}
	return items
}

// commit returns when each event was acknowledged or refused for good, or, with those that were not, when
// ctx has ended.
func (p *Publisher) commit(ctx context.Context, items []*item) (left []*item) {
	switch {
	case len(items) == 1:
		return p.singles(ctx, items)
	case p.b.o.Durability == Relaxed:
		return p.stream(ctx, items)
	}
	return p.group(ctx, joinTwins(items))
}

// stop ends the queue and tells everyone who waits.
func (p *Publisher) stop(left []*item) error {
	close(p.stopped) // wakes those who wait for room and hold the gate
	p.gate.Lock()
	defer p.gate.Unlock()
	left = p.more(left, len(left)+queueSize)
	for _, it := range left {
		it.finish(ErrStopped)
	}
	p.b.metrics.queued.Set(0)
	if len(left) > 0 {
		return fmt.Errorf("%d events were not acknowledged before the end: %w", len(left), errors.Join(ErrStopped, p.Health()))
	}
	return nil
}

// joinTwins hangs an event behind the earlier one with the same id: a batch with a duplicate is refused.
func joinTwins(items []*item) []*item {
	first := make(map[string]*item, len(items))
	unique := items[:0]
	for _, it := range items {
		id := it.msg.Header["Nats-Msg-Id"][0]
		if twin := first[id]; twin != nil {
			twin.twins = append(twin.twins, it)
			continue
		}
		first[id] = it
		unique = append(unique, it)
	}
	return unique
}

func (it *item) finish(err error) {
	it.done(err)
	for _, twin := range it.twins {
		twin.finish(err)
	}
}

// stored finishes items that the stream has.
func (p *Publisher) stored(items []*item, duplicate bool) {
	for _, it := range items {
		p.b.metrics.acked(it.since, duplicate)
		for _, twin := range it.twins {
			p.b.metrics.acked(twin.since, true)
		}
		it.finish(nil)
	}
	p.note(nil)
}

// again notes why a publish did not succeed and waits before the next attempt.
func (p *Publisher) again(ctx context.Context, wait *backoff.Backoff, f failure) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.b.metrics.retries.WithLabelValues(f.reason).Inc()
	p.note(f)
	return wait.Wait(ctx)
}

// note keeps the state for Health and logs where it changes.
func (p *Publisher) note(problem error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case problem == nil && p.problem != nil:
		p.b.o.Logger.Info("stream accepts events again", "server", p.b.where)
	case problem != nil && (p.problem == nil || p.problem.Error() != problem.Error()):
		p.b.o.Logger.Warn("stream takes no events, publishing waits", "server", p.b.where, "err", problem)
	}
	p.problem = problem
}
