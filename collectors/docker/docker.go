package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	Site, Node string
	Publisher  collectors.Publisher
	Reporter   collectors.Reporter   // nil: nobody is told what the collector sees
	Cursors    collectors.Bucket     // nil: a restart begins anew
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil keeps metrics to itself
	// Rules go in front of the table of causes.
	Rules cause.Table
	// Acting says whether a restart handler ends this run of a container; nil: never.
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
	deps.Logger = cmp.Or(deps.Logger, slog.New(slog.DiscardHandler))
	if deps.Reporter == nil {
		deps.Reporter = silent{}
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
	cli, err := once.client()
	if err != nil {
		return fmt.Errorf("make client of the Docker daemon at %s: %w", c.Host, err)
	}
	defer cli.Close() //nolint:errcheck // it closes idle connections
	if _, err := once.inquire(ctx, cli); err != nil {
		return err
	}
	if _, err := cli.ContainerList(ctx, client.ContainerListOptions{All: true, Limit: 1}); err != nil {
		return once.describe(err)
	}
	return nil
}

type silent struct{}

func (silent) Report(collectors.Report)                            {}
func (silent) Gap(context.Context, collectors.Gap) error           { return nil }
func (silent) Conflict(context.Context, collectors.Conflict) error { return nil }

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 2 * time.Second // what lives and is removed while nobody asks can't be known
)

// Run watches the daemon until ctx ends, through restarts of the daemon. It returns an error if the
// cursor can't be read or another daemon answers at the same address.
func (c *Collector) Run(ctx context.Context) error {
	cli, err := c.client()
	if err != nil {
		return fmt.Errorf("make client of the Docker daemon at %s: %w", c.cfg.Host, err)
	}
	defer cli.Close() //nolint:errcheck // it closes idle connections
	d, err := c.greet(ctx, cli)
	if err != nil {
		return nil // ctx ended
	}
	w, err := c.newWatch(ctx, cli, d)
	if err != nil {
		return err
	}
	return w.run(ctx)
}

func (c *Collector) client() (*client.Client, error) {
	options := []client.Opt{client.WithHost(c.cfg.Host), client.WithUserAgent("bellbuoy")}
	if t := c.cfg.TLS; t != (TLS{}) {
		options = append(options, client.WithTLSClientConfig(t.CA, t.Cert, t.Key))
	}
	return client.New(options...)
}

// daemon is who answers at the address.
type daemon struct {
	id, version string
	skew        time.Duration // of its clock against ours
}

func (d daemon) now() int64 { return time.Now().Add(d.skew).UnixNano() }

// greet asks until the daemon answers; the error is that of ctx.
func (c *Collector) greet(ctx context.Context, cli *client.Client) (daemon, error) {
	delay := backoff.New(firstRetry, lastRetry)
	for {
		d, err := c.inquire(ctx, cli)
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
func (c *Collector) inquire(ctx context.Context, cli *client.Client) (daemon, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	info, err := cli.Info(ctx, client.InfoOptions{})
	if err != nil {
		return daemon{}, c.describe(err)
	}
	d := daemon{id: info.Info.ID, version: info.Info.ServerVersion}
	if t, err := time.Parse(time.RFC3339Nano, info.Info.SystemTime); err == nil {
		d.skew = time.Until(t)
	}
	if d.skew.Abs() < time.Second {
		d.skew = 0 // the time of the answer's way, not another clock
	}
	return d, nil
}

// describe says what was attempted and, where it is known, what to do.
func (c *Collector) describe(err error) error {
	hint := ""
	if errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied") {
		hint = "; run as root or as a member of the group that owns the socket"
	}
	return fmt.Errorf("ask the Docker daemon at %s: %w%s", c.cfg.Host, err, hint)
}
