package incident

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Bucket keeps the records; *bus.Bucket is one.
type Bucket interface {
	// Get returns the value and its revision, or revision 0 if there is none.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Put writes if the key still has this revision (0: does not exist) and returns the new one. won is false
	// if another writer was first.
	Put(ctx context.Context, key string, value []byte, revision uint64) (next uint64, won bool, err error)
	Delete(ctx context.Context, key string, revision uint64) (won bool, err error)
	// Each calls do for every value whose key matches the filter.
	Each(ctx context.Context, filter string, do func(key string, value []byte, revision uint64) error) error
}

// Deps is what the wiring sets.
type Deps struct {
	Site   string
	Bucket Bucket
	// Publish returns after the stream has acknowledged the event.
	Publish func(ctx context.Context, e event.Event) error
	// Silenced says what holds notices back; nil is nothing.
	Silenced Silenced
	// Escalations are after how long an open incident is told to the next in line.
	Escalations []time.Duration
	// Alone says that no other instance can work on the same stream.
	Alone      bool
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Engine runs a machine on the stream. Handle and Run may be called at the same time.
type Engine struct {
	cfg     Config
	deps    Deps
	metrics *metrics

	mu      sync.Mutex
	machine *Machine // nil until the records are read, and after they can't be trusted
	clock   clock
	// leads says that this instance is given the events; pending is how many are still to come.
	leads   bool
	pending uint64
}

// New returns an engine; it reads and starts nothing.
func New(cfg Config, deps Deps) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(deps.Registerer)
	if err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, deps: deps, metrics: m}, nil
}

// maxRaces bounds how often a batch is tried against another writer before it is left to come again.
const maxRaces = 10

// Handle takes a batch of events, in order. It returns nil after all that follows from them is written and
// published; after an error all of them may be handled again.
func (g *Engine) Handle(ctx context.Context, batch []*bus.Delivery) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leads = true
	for range maxRaces {
		if err := g.load(ctx); err != nil {
			return err
		}
		for _, d := range batch {
			g.machine.Apply(&d.Event, d.Sequence, g.clock.at(d.Stored, time.Now()))
			g.pending = d.Pending
		}
		lost, err := g.commit(ctx)
		if err != nil {
			g.machine = nil // it knows more than what is written
			return err
		}
		if !lost {
			return nil
		}
		g.machine = nil
	}
	return errors.New("other instances keep changing the same incidents")
}

// tickEvery is how often deadlines are looked at.
const tickEvery = time.Second

// startGrace is how long the first events may take before there are none.
const startGrace = 3 * time.Second

// Run lets time pass for the incidents until ctx ends.
func (g *Engine) Run(ctx context.Context) error {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	begin := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if g.deps.Alone && time.Since(begin) > startGrace {
			g.lead()
		}
		if err := g.tick(ctx); err != nil && ctx.Err() == nil {
			g.deps.Logger.Warn("incidents not written, tried again", "err", err)
		}
	}
}

func (g *Engine) lead() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leads = true
}

// Recheck looks at the next tick whether what is silenced still is.
func (g *Engine) Recheck() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.machine != nil {
		g.machine.Recheck()
	}
}

// tick does what is due, unless events that the stream stored before now are still to come.
func (g *Engine) tick(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if jump := g.clock.jumped(time.Now()); jump != 0 {
		g.deps.Logger.Warn("the clock has jumped; deadlines of incidents stay where they are", "by", jump)
	}
	if !g.leads || g.pending > 0 {
		return nil
	}
	if err := g.load(ctx); err != nil {
		return err
	}
	g.machine.Tick(g.clock.now(time.Now()))
	lost, err := g.commit(ctx)
	if lost || err != nil {
		g.machine, g.leads = nil, g.deps.Alone
	}
	return err
}

// load reads the records, once. What was decided and perhaps not published is published again: its ids are the
// same.
func (g *Engine) load(ctx context.Context) error {
	if g.machine != nil {
		return nil
	}
	m := NewMachine(g.cfg, g.deps.Site, g.deps.Escalations)
	m.Silence(g.deps.Silenced)
	err := each(ctx, g.deps.Bucket, func(r *record) { m.add(r) }, func(key string, err error) {
		g.deps.Logger.Error("incident record can't be read and is left alone", "key", key, "err", err)
	})
	if err != nil {
		return fmt.Errorf("read incidents: %w", err)
	}
	m.start(g.clock.now(time.Now()))
	for _, r := range m.records {
		if err := g.publish(ctx, r); err != nil {
			return err
		}
	}
	g.machine = m
	return nil
}
