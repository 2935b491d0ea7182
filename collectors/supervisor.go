package collectors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const (
	heartbeatEvery = time.Minute
	// announceAfter is how long a collector is blind before the stream is told that a gap is open.
	announceAfter = 5 * time.Second
	firstRestart  = time.Second
	lastRestart   = time.Minute
	// farewell bounds how long a stop waits for the stream to take the last event.
	farewell = 3 * time.Second
)

// Deps is what a supervisor needs from outside.
type Deps struct {
	Site, Node string
	Publisher  Publisher
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil keeps metrics to itself
}

// Supervisor keeps collectors running and tells the stream about them.
type Supervisor struct {
	deps      Deps
	metrics   *metrics
	links     []*Link
	sequences *sequences
}

// NewSupervisor returns a supervisor without collectors; it starts nothing.
func NewSupervisor(deps Deps) (*Supervisor, error) {
	if deps.Publisher == nil || deps.Site == "" {
		return nil, errors.New("supervisor needs a publisher and a site")
	}
	deps.Logger = cmp.Or(deps.Logger, slog.New(slog.DiscardHandler))
	m, err := newMetrics(deps.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register collector metrics: %w", err)
	}
	return &Supervisor{deps: deps, metrics: m, sequences: newSequences()}, nil
}

// Add builds a collector under a name of its own. The collector publishes and reports through the link
// that build gets. Add must not be called after Run.
func (s *Supervisor) Add(name string, runtime event.Runtime, build func(*Link) (Collector, error)) error {
	for _, l := range s.links {
		if l.name == name {
			return fmt.Errorf("two collectors are named %q", name)
		}
	}
	source := event.SourceOf(s.deps.Site, runtime, s.deps.Node)
	l := &Link{
		name: name, runtime: runtime, source: source, deps: s.deps, metrics: s.metrics,
		sequences: s.sequences, changed: make(chan struct{}, 1), logger: s.deps.Logger.With("collector", name),
	}
	l.status = Status{Name: name, Runtime: runtime, Since: time.Now(), LastError: errNotStarted}
	collector, err := build(l)
	if err != nil {
		return fmt.Errorf("build collector %q: %w", name, err)
	}
	l.collector = collector
	s.metrics.add(name)
	s.links = append(s.links, l)
	return nil
}

var errNotStarted = errors.New("not started yet")

// Run runs every collector, starts each again with back-off when it fails, and returns nil after ctx
// has ended and all have stopped.
func (s *Supervisor) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, l := range s.links {
		wg.Go(func() { l.keep(ctx) })
	}
	wg.Wait()
	return nil
}

// Status tells how each collector is doing, in the order they were added.
func (s *Supervisor) Status() []Status {
	all := make([]Status, len(s.links))
	for i, l := range s.links {
		all[i] = l.current()
	}
	return all
}

// keep runs one collector until ctx ends.
func (l *Link) keep(ctx context.Context) {
	herald, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.herald(herald) })
	delay := backoff.New(firstRestart, lastRestart)
	for ctx.Err() == nil {
		begun := time.Now()
		err := l.collector.Run(ctx)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			err = errors.New("the collector ended without a reason")
		}
		l.failed(ctx, err)
		if time.Since(begun) > lastRestart {
			delay.Reset()
		}
		l.metrics.restarts.WithLabelValues(l.name).Inc()
		if delay.Wait(ctx) != nil {
			break
		}
	}
	stop()
	wg.Wait()
	l.ended(ctx)
}

// herald tells the stream what is not a task event: that the collector started, lives, or is blind.
func (l *Link) herald(ctx context.Context) {
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	blind := time.NewTimer(announceAfter)
	defer blind.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.changed:
			if !l.started(ctx) {
				blind.Reset(announceAfter)
			}
		case <-blind.C:
			l.announce(ctx)
		case <-beat.C:
			l.heartbeat(ctx)
		}
	}
}
