package ecs

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/bellbuoy/bellbuoy/collectors"
)

// applier is what the intake needs of the machine.
type applier interface {
	// load reads what is saved; it is called once, before handle.
	load(ctx context.Context) error
	// resume tells what a run before has claimed and not told.
	resume(ctx context.Context, tell func(context.Context, out) error) error
	// handle returns nil after all that follows from a fact was told and saved.
	handle(ctx context.Context, f *fact, tell func(context.Context, out) error) error
}

// work is what a run does besides receiving.
type work struct {
	machine applier
	// read makes a fact of a body; a *poison error says why there will never be one.
	read func(body []byte) (*fact, error)
	// reconcile compares what is known with what ECS lists until ctx ends, and each time that blind has
	// something; then it tells of the gap. Nil: gaps are told as they are.
	reconcile func(ctx context.Context, s *sight, blind *outages)
}

// run receives until ctx ends. It returns an error if what was saved can't be read.
func (c *Collector) run(ctx context.Context, w work) error {
	defer c.metrics.gate.Set(0)
	if err := w.machine.load(ctx); err != nil {
		return fmt.Errorf("read what is known of tasks: %w", err)
	}
	client := c.cfg.sqsClient(c.aws)
	blind := newOutages()
	in := c.newIntake(client, w.machine, w.read, blind.add)
	if err := w.machine.resume(ctx, in.publish); err != nil && ctx.Err() == nil {
		c.deps.Logger.Warn("stops that were claimed before are told with the next event of their tasks", "err", err)
	}
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { c.greet(ctx, client) })
	beside.Go(func() {
		if w.reconcile != nil {
			w.reconcile(ctx, in.sight, blind)
			return
		}
		c.tellGaps(ctx, blind)
	})
	in.run(ctx)
	return nil
}

// greet looks at the queue once, and says what keeps events from coming.
func (c *Collector) greet(ctx context.Context, client *sqs.Client) {
	warnings, problems := c.cfg.inspect(ctx, client)
	if ctx.Err() != nil {
		return
	}
	for _, err := range problems {
		c.deps.Logger.Warn("queue may get no events", "err", err)
	}
	for _, warning := range append(c.cfg.Warnings(), warnings...) {
		c.deps.Logger.Warn("queue is set up unwisely", "warning", warning)
	}
}

func (c *Collector) tellGaps(ctx context.Context, blind *outages) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-blind.wake:
		}
		gap, ok := blind.take()
		if !ok {
			continue
		}
		if err := c.deps.Reporter.Gap(ctx, gap); err != nil && ctx.Err() == nil {
			c.deps.Logger.Error("gap not published", "err", err)
		}
	}
}

// newIntake returns the intake of one run.
func (c *Collector) newIntake(api queueAPI, m applier, read func([]byte) (*fact, error), restored func(collectors.Gap)) *intake {
	a := c.cfg.address()
	return &intake{
		queue:   &queue{api: api, url: c.cfg.QueueURL, name: c.cfg.queueLabel(), metrics: c.metrics},
		pollers: c.cfg.Pollers, gate: newGate(),
		sight:     &sight{empty: make(chan struct{}, 1), reporter: c.deps.Reporter, engine: "Amazon ECS " + c.cfg.region() + " of " + a.account, restored: restored},
		read:      read,
		handle:    m.handle,
		renew:     c.renew,
		answers:   c.answers,
		publisher: c.deps.Publisher, letters: c.deps.Quarantine,
		name: c.deps.Name, metrics: c.metrics, logger: c.deps.Logger,
	}
}

// outages hands times of blindness that are over to who reconciles them. It is safe for concurrent use.
type outages struct {
	wake chan struct{} // holds one

	mu      sync.Mutex // guards what follows
	waiting bool
	gap     collectors.Gap
}

func newOutages() *outages { return &outages{wake: make(chan struct{}, 1)} }

// add never blocks; one that waits still grows.
func (o *outages) add(g collectors.Gap) {
	o.mu.Lock()
	if o.waiting {
		g.From, g.Reason = o.gap.From, cmp.Or(o.gap.Reason, g.Reason)
	}
	o.waiting, o.gap = true, g
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take returns what waits, once.
func (o *outages) take() (g collectors.Gap, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g, ok = o.gap, o.waiting
	o.waiting = false
	return g, ok
}
