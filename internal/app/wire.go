package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/router"
	"github.com/bellbuoy/bellbuoy/router/incident"
	"github.com/bellbuoy/bellbuoy/router/notify"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/console"
)

// wiring is a program that is built and not started.
type wiring struct {
	program    *Program
	stream     *stream
	publisher  *bus.Publisher
	supervisor *collectors.Supervisor
	router     *router.Router
	incidents  *incident.Engine
	silences   *silences
	listener   net.Listener
	registry   *prometheus.Registry
	logger     *slog.Logger
	roles      Roles
	sinks      map[string]sinks.Sink
	limits     map[string]*rate.Limiter // of notices, by sink
	gates      []stage                  // tell digests
}

// wire builds every component of the roles. Nothing that can't be built is left out in silence.
func (p *Program) wire(ctx context.Context, st *stream, roles Roles, logger *slog.Logger, registry *prometheus.Registry) (*wiring, error) {
	w := &wiring{
		program: p, stream: st, publisher: st.bus.NewPublisher(), registry: registry, logger: logger, roles: roles,
		sinks: map[string]sinks.Sink{}, limits: map[string]*rate.Limiter{},
	}
	cfg := p.withDefaultSinks()
	ps, err := w.parts(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if roles&Route != 0 {
		if w.silences, err = newSilences(ctx, cfg.Silences, ps.silences, logger.With("component", "silences")); err != nil {
			return nil, err
		}
		if w.router, err = w.buildRouter(cfg, ps); err != nil {
			return nil, err
		}
		if err = w.router.Open(ctx); err != nil {
			return nil, err
		}
	}
	if roles&Collect != 0 {
		if w.supervisor, err = w.buildCollectors(ctx, cfg, ps); err != nil {
			return nil, err
		}
	}
	if cfg.HTTP.Listen != "off" {
		if w.listener, err = net.Listen("tcp", cfg.HTTP.Listen); err != nil {
			return nil, fmt.Errorf(`listen on %s for health and metrics (http.listen; "off" does without): %w`, cfg.HTTP.Listen, err)
		}
	}
	return w, nil
}

// parts opens what components share.
func (w *wiring) parts(ctx context.Context, cfg *config.Config) (parts, error) {
	ps := parts{
		config: cfg, out: w.program.Out, logger: w.logger, registerer: w.registry, publisher: w.publisher,
		letters: w.stream.bus.DeadLetters(), aws: &awsclient.Loader{}, acting: w.acting, dockerHost: dockerHostOf(ctx, cfg),
	}
	for name, bucket := range map[string]**bus.Bucket{
		bus.CursorsBucket: &ps.cursors, bus.ActionsBucket: &ps.actions, bus.VersionsBucket: &ps.versions, bus.IncidentsBucket: &ps.incidents,
		bus.SilencesBucket: &ps.silences,
	} {
		var err error
		if *bucket, err = w.stream.bus.Bucket(ctx, name); err != nil {
			return parts{}, err
		}
	}
	return ps, nil
}

// withDefaultSinks returns the config with a console if it names no sink at all.
func (p *Program) withDefaultSinks() *config.Config {
	c := p.Config
	if len(c.Sinks) == 0 {
		terminal := console.DefaultConfig()
		c.Sinks = map[string]config.Sink{"screen": {Console: &terminal}}
	}
	return &c
}

func (w *wiring) buildRouter(cfg *config.Config, ps parts) (*router.Router, error) {
	rules, err := Rules(cfg)
	if err != nil {
		return nil, err
	}
	var routes []router.Route
	for _, r := range rules {
		if w.sinks[r.To] == nil {
			if w.sinks[r.To], err = ps.sink(r.To, cfg.Sinks[r.To]); err != nil {
				return nil, err
			}
		}
		routes = append(routes, router.Route{Name: r.Name, To: r.To, When: r.When, Sink: w.gated(r, ps), Plan: kindOf(r.Kind).plan})
	}
	own, err := w.buildIncidents(cfg, ps, escalations(rules))
	if err != nil {
		return nil, err
	}
	return router.New(append(routes, own), router.Deps{
		Consumer: func(ctx context.Context, c bus.ConsumerConfig) (router.Source, error) {
			c.Alone = w.stream.server != nil // our own server serves this process alone
			return w.stream.bus.Consumer(ctx, c)
		},
		DeadLetters: w.stream.bus.DeadLetters(), Logger: w.logger, Registerer: w.registry,
	})
}

// gated puts the gate of notices in front of a sink that wakes somebody.
func (w *wiring) gated(r Rule, ps parts) sinks.Sink {
	if !wakes(r.Kind) {
		return w.sinks[r.To]
	}
	if n := ps.config.Notices.PerMinute; n > 0 && r.Kind != "console" && w.limits[r.To] == nil { // a terminal wakes nobody
		w.limits[r.To] = rate.NewLimiter(rate.Limit(float64(n)/60), n)
	}
	gate := notify.New(w.sinks[r.To], notify.Deps{
		Route: r.Name, Sink: r.To, After: r.After, Notes: ps.incidents, Logger: w.logger.With("component", "notices"),
		Limit: w.limits[r.To], Site: ps.config.Site,
		Open: func(ctx context.Context) ([]event.Event, error) { return openOf(ctx, ps.incidents, r.When) },
		Stands: func(ctx context.Context, e *event.Event) (event.Event, bool, error) {
			return incident.Stands(ctx, ps.incidents, e)
		},
	})
	w.gates = append(w.gates, stage{"notices of " + r.Name, gate.Run})
	return gate
}

// openOf are the open incidents that a route takes and nothing silences.
func openOf(ctx context.Context, b incident.Bucket, when *router.Filter) ([]event.Event, error) {
	all, err := incident.List(ctx, b)
	return slices.DeleteFunc(all, func(e event.Event) bool {
		match, err := when.Match(&e)
		return err != nil || !match || e.Data.Incident.State != "open" || e.Data.Incident.Silenced != ""
	}), err
}

// buildIncidents makes the engine of incidents and the route that feeds it.
func (w *wiring) buildIncidents(cfg *config.Config, ps parts, escalations []time.Duration) (router.Route, error) {
	every, err := router.Compile("")
	if err != nil {
		return router.Route{}, err
	}
	w.incidents, err = incident.New(cfg.Incidents, incident.Deps{
		Site: cfg.Site, Bucket: ps.incidents, Publish: ps.publisher.Publish, Alone: w.stream.server != nil,
		Silenced: w.silences.holding, Escalations: escalations,
		Logger: w.logger.With("component", "incidents"), Registerer: w.registry,
	})
	if err != nil {
		return router.Route{}, err
	}
	w.silences.changed = w.incidents.Recheck
	return router.Route{Name: incidentsRoute, To: incidentsRoute, When: every, Stage: w.incidents, Plan: incidentsPlan()}, nil
}

func (w *wiring) buildCollectors(ctx context.Context, cfg *config.Config, ps parts) (*collectors.Supervisor, error) {
	s, err := collectors.NewSupervisor(collectors.Deps{
		Site: cfg.Site, Node: cfg.Node, Publisher: w.publisher, Logger: w.logger, Registerer: w.registry,
	})
	if err != nil {
		return nil, err
	}
	entries := cfg.Collectors
	if len(entries) == 0 {
		entries = detect(ctx)
	}
	if len(entries) == 0 && !w.mayPlay() {
		entries = dockerAt(dockerHosts()[0])
	}
	counts := map[string]int{}
	for _, c := range entries {
		kind := c.Kind()
		counts[kind]++
		name := kind
		if counts[kind] > 1 {
			name += "-" + strconv.Itoa(counts[kind])
		}
		k := collectorTable()[kind]
		err := s.Add(name, k.runtime, func(link *collectors.Link) (collectors.Collector, error) { return k.build(ps, link, c) })
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// acting says whether one of the restart handlers ends this run of the container.
func (w *wiring) acting(container, run string) bool {
	for _, s := range w.sinks {
		if a, ok := s.(interface{ Acting(task, run string) bool }); ok && a.Acting(container, run) {
			return true
		}
	}
	return false
}

func (w *wiring) closeSinks() {
	for name, s := range w.sinks {
		if c, ok := s.(io.Closer); ok {
			if err := c.Close(); err != nil {
				w.logger.Warn("sink not closed", "sink", name, "err", err)
			}
		}
	}
}

func (w *wiring) run(ctx context.Context) error {
	defer w.closeSinks()
	stages := []stage{{"publisher", w.publisher.Run}}
	if w.listener != nil {
		h := handler(w.probes, w.registry)
		stages = slices.Insert(stages, 0, stage{"http", func(ctx context.Context) error { return serve(ctx, w.listener, h) }})
	}
	if w.router != nil {
		stages = append(stages, stage{"routes", w.router.Run}, stage{"incidents", w.incidents.Run}, stage{"silences", w.silences.run})
		stages = append(stages, w.gates...)
	}
	switch {
	case w.plays():
		stages = append(stages, stage{"recording", w.play})
	case w.supervisor != nil:
		stages = append(stages, stage{"collectors", w.supervisor.Run})
	}
	return runStages(ctx, append(stages, stage{"greeting", w.greet}), stopWithin)
}

// watched is how the collectors are doing; none without that role.
func (w *wiring) watched() []collectors.Status {
	if w.supervisor == nil {
		return nil
	}
	return w.supervisor.Status()
}

// mayPlay says whether a recording would be seen on this terminal alone. Otherwise a runtime that starts
// later is waited for.
func (w *wiring) mayPlay() bool { return w.stream.server != nil && len(w.program.Config.Sinks) == 0 }

// plays says that there is nothing to watch, so that a recording is played.
func (w *wiring) plays() bool { return w.supervisor != nil && len(w.watched()) == 0 }

// probes are the lines of /readyz.
func (w *wiring) probes() []probe {
	out := []probe{{"stream", problem(errors.Join(w.stream.bus.Health(), w.publisher.Health()))}}
	if w.stream.server != nil {
		out = append(out, probe{"nats", problem(w.stream.server.Healthz())})
	}
	for _, s := range w.watched() {
		why := ""
		if !s.Connected {
			why = "blind since " + s.Since.UTC().Format("15:04:05") + " UTC: " + problem(s.LastError)
		}
		out = append(out, probe{"collector " + s.Name, why})
	}
	if w.router != nil {
		for _, s := range w.router.Status() {
			why := ""
			if s.Err != nil {
				why = s.Sink + " refuses since " + s.Since.UTC().Format("15:04:05") + " UTC: " + s.Err.Error()
			}
			out = append(out, probe{"route " + s.Route, why})
		}
	}
	return out
}

func problem(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
