package opensearch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// Deps is what the wiring sets.
type Deps struct {
	// Name is the sink's name in the config, such as search.
	Name string
	// AWS is shared by all that talk to AWS; nil makes one of its own when auth is sigv4.
	AWS *awsclient.Loader
	// Logger tells of installed templates; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil is none.
	Registerer prometheus.Registerer
	// Strict makes the installed mapping refuse fields that it does not know, so that a test finds them.
	Strict bool
}

// Sink writes events into OpenSearch. It is safe for concurrent use.
type Sink struct {
	cfg     Config
	client  *client
	setup   *setup
	metrics *metrics
	bodies  bodies
}

var _ sinks.Sink = (*Sink)(nil)

// New returns a sink. It starts nothing and dials nothing; it reads the ca file. Errors are faults of cfg
// or of the AWS environment.
func New(cfg Config, deps Deps) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c, err := newClient(cfg, deps.AWS)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(deps.Name, deps.Registerer)
	if err != nil {
		return nil, err
	}
	logger := deps.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Sink{
		cfg: cfg, client: c, metrics: m,
		setup: newSetup(cfg, deps.Strict, c, logger),
	}, nil
}

// Close ends the connections. The sink opens them again if it is used again.
func (s *Sink) Close() error { return s.client.close() }

// Setup installs the templates, or makes sure that they are there. Send does it before its first write;
// once it has succeeded it costs nothing.
func (s *Sink) Setup(ctx context.Context) error { return s.setup.ensure(ctx) }

// Send writes each event once; see the package comment for the classes of its error.
func (s *Sink) Send(ctx context.Context, events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("send %d events: %w", len(events), err)
	}
	if err := s.setup.ensure(ctx); err != nil {
		return err
	}
	errs := make([]error, len(events))
	b := s.bodies.take()
	defer s.bodies.give(b, s.cfg.MaxBatchBytes)
	now := time.Now()
	for i := range events {
		if err := fits(&events[i]); err != nil {
			errs[i] = err
			continue
		}
		b.add(i, &events[i], s.cfg.Prefix, now)
		if last := len(b.docs) - 1; last > 0 && len(b.body) > s.cfg.MaxBatchBytes {
			s.post(ctx, b.body[:b.docs[last].start], b.docs[:last], errs)
			b.keep(last)
		}
	}
	if len(b.docs) > 0 {
		s.post(ctx, b.body, b.docs, errs)
	}
	return s.settle(errs)
}

// fits refuses what can't have a document id.
func fits(e *event.Event) error {
	switch {
	case e.ID == "":
		return &sinks.Permanent{Reason: "invalid", Err: errors.New("the event has no id")}
	case len(e.ID) > maxID:
		return &sinks.Permanent{Reason: "invalid", Err: fmt.Errorf("the event's id is %d bytes long; a document id has at most %d", len(e.ID), maxID)}
	}
	return nil
}
