package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/cause"
)

// Deps is what a collector needs from outside.
type Deps struct {
	Name       string // the collector's in the config; empty is docker
	Site, Node string
	Publisher  collectors.Publisher
	Reporter   collectors.Reporter   // nil: nobody is told what the collector sees
	Cursors    collectors.Bucket     // nil: a restart begins anew
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil keeps metrics to itself
	// Rules go in front of the table of causes.
	Rules cause.Table
	// Acting says whether a restart handler ends this run of a container right now; nil: never.
	Acting func(container, run string) bool
}

// Collector watches one daemon.
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
		return nil, errors.New("docker collector needs a publisher, a site and a node")
	}
	deps.Name = cmp.Or(deps.Name, "docker")
	deps.Logger = cmp.Or(deps.Logger, slog.New(slog.DiscardHandler))
	if deps.Reporter == nil {
		deps.Reporter = collectors.Silent{}
	}
	m, err := newMetrics(deps.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register docker metrics: %w", err)
	}
	return &Collector{cfg: cfg, deps: deps, table: append(slices.Clone(deps.Rules), cause.Docker()...), metrics: m}, nil
}

// Check asks the daemon what a collector asks it, once, and says why it would not work.
func (c *Config) Check(ctx context.Context) error {
	if err := c.Validate(); err != nil {
		return err
	}
	once := &Collector{cfg: *c}
	conn, err := c.connect(func(string) {})
	if err != nil {
		return fmt.Errorf("make client of the Docker daemon at %s: %w", c.Host, err)
	}
	defer conn.close()
	if _, err := once.inquire(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.ContainerList(ctx, client.ContainerListOptions{All: true, Limit: 1}); err != nil {
		return once.describe(err)
	}
	return nil
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 500 * time.Millisecond // what lives and is removed while nobody asks can't be known
)

// Run watches the daemon until ctx ends, through restarts of the daemon. It returns an error if the
// cursor can't be read or another daemon answers at the same address.
func (c *Collector) Run(ctx context.Context) error {
	conn, err := c.cfg.connect(func(question string) { c.metrics.calls.WithLabelValues(question).Inc() })
	if err != nil {
		return fmt.Errorf("make client of the Docker daemon at %s: %w", c.cfg.Host, err)
	}
	defer conn.close()
	d, err := c.greet(ctx, conn)
	if err != nil {
		return nil // ctx ended
	}
	if d.podman {
		c.deps.Logger.Info("this is podman: it is watched with best effort, as well as its docker api allows", "version", d.version)
	}
	w, err := c.newWatch(ctx, conn, d)
	if err != nil {
		return err
	}
	return w.run(ctx)
}

// daemon is who answers at the address.
type daemon struct {
	// id and the name of its host identify it: copies of one disk image have the same id.
	id, host, version string
	podman            bool
	*clock
}

// engine identifies the daemon in events: the same for everybody who watches it, another for its clones.
func (d daemon) engine() string {
	if d.host == "" {
		return d.id
	}
	return d.id + " " + d.host
}

// greet asks until the daemon answers; the error is that of ctx.
func (c *Collector) greet(ctx context.Context, conn *connection) (daemon, error) {
	delay := backoff.New(firstRetry, lastRetry)
	for {
		d, err := c.inquire(ctx, conn)
		if err == nil {
			return d, nil
		}
		if ctx.Err() == nil {
			c.deps.Reporter.Report(collectors.Report{Err: err})
		}
		if err := delay.Wait(ctx); err != nil {
			return daemon{}, err
		}
	}
}

// inquire asks the daemon who it is and what time it has.
func (c *Collector) inquire(ctx context.Context, conn *connection) (daemon, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	asked := time.Now()
	info, err := conn.Info(ctx, client.InfoOptions{})
	answered := time.Now()
	if err != nil {
		return daemon{}, c.describe(err)
	}
	if t, err := time.Parse(time.RFC3339Nano, info.Info.SystemTime); err == nil {
		conn.clock.set(t, asked, answered)
	}
	d := daemon{id: info.Info.ID, host: info.Info.Name, version: info.Info.ServerVersion, clock: conn.clock}
	// A proxy may refuse this question.
	if version, err := conn.ServerVersion(ctx, client.ServerVersionOptions{}); err == nil {
		d.version = cmp.Or(version.Version, d.version)
		for _, part := range version.Components {
			d.podman = d.podman || strings.HasPrefix(part.Name, "Podman")
		}
	}
	if d.podman {
		d.version += " (Podman, best effort)"
	}
	return d, nil
}
