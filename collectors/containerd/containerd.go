package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/cause"
)

// Deps is what a collector needs from outside.
type Deps struct {
	Site, Node string
	Publisher  collectors.Publisher
	Reporter   collectors.Reporter   // nil: nobody is told what the collector sees
	Cursors    collectors.Bucket     // nil: a restart begins anew
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil keeps metrics to itself
	// Rules go in front of the table of causes.
	Rules cause.Table
	// Acting says whether a restart handler acts on a container right now; nil: never.
	Acting func(container string) bool
}

// Collector watches one containerd.
type Collector struct {
	cfg     Config
	deps    Deps
	table   cause.Table
	metrics *metrics
}

var _ collectors.Collector = (*Collector)(nil)

// New returns a collector that has not connected yet.
func New(cfg Config, deps Deps) (*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Publisher == nil || deps.Site == "" || deps.Node == "" {
		return nil, errors.New("containerd collector needs a publisher, a site and a node")
	}
	deps.Logger = cmp.Or(deps.Logger, slog.New(slog.DiscardHandler))
	if deps.Reporter == nil {
		deps.Reporter = collectors.Silent{}
	}
	m, err := newMetrics(deps.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register containerd metrics: %w", err)
	}
	return &Collector{cfg: cfg, deps: deps, table: tableOf(deps.Rules), metrics: m}, nil
}

func tableOf(rules cause.Table) cause.Table {
	return append(slices.Clone(rules), cause.Containerd()...)
}

// Check asks containerd what a collector asks it, once, and says why it would not work.
func (c *Config) Check(ctx context.Context) error {
	if err := c.Validate(); err != nil {
		return err
	}
	a, err := dial(c.socket())
	if err != nil {
		return err
	}
	defer a.close()
	if _, err := a.inquire(ctx); err != nil {
		return err
	}
	_, err = a.spaces(ctx)
	return err
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 250 * time.Millisecond // nothing is replayed: each moment of blindness loses something
)

// Run watches containerd until ctx ends, through its restarts. It returns an error if what was saved
// can't be read or another containerd answers at the same address.
func (c *Collector) Run(ctx context.Context) error {
	a, err := dial(c.cfg.socket())
	if err != nil {
		return err
	}
	defer a.close()
	s, err := c.greet(ctx, a)
	if err != nil {
		return nil // ctx ended
	}
	w, err := c.newWatch(ctx, a, s)
	if err != nil {
		return err
	}
	return w.run(ctx)
}

// greet asks until containerd answers; the error is that of ctx.
func (c *Collector) greet(ctx context.Context, a *api) (server, error) {
	delay := backoff.New(firstRetry, lastRetry)
	for {
		s, err := a.inquire(ctx)
		if err == nil {
			return s, nil
		}
		if ctx.Err() == nil {
			c.deps.Reporter.Report(collectors.Report{Err: err})
		}
		if err := delay.Wait(ctx); err != nil {
			return server{}, err
		}
	}
}
