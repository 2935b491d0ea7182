package restart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// Publisher puts the handler's own events on the stream.
type Publisher interface {
	// Publish returns nil after the stream has acknowledged the event, a duplicate included.
	Publish(ctx context.Context, e event.Event) error
}

// Deps is what the wiring sets.
type Deps struct {
	// Name is the handler's name in the config, such as healer.
	Name string
	// Node is this host; tasks of other hosts are left to their own handlers. Empty takes every task.
	Node      string
	Publisher Publisher
	Ledger    Ledger
	// Docker and Containerd are daemons to act on in place of the configured one, if there are any.
	Docker     []Docker
	Containerd []Containerd
	// ECS is how ECS is reached in each account and region whose events come, by means of AWS. Without any,
	// events of ECS are left alone.
	ECS []ECSAccount
	AWS *awsclient.Loader
	// Restarters act on the tasks of their runtime; nil is those of these daemons.
	Restarters map[event.Runtime]Restarter
	// Logger tells of actions; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil is none.
	Registerer prometheus.Registerer
}

// The bounds of an action.
const (
	// callTimeout bounds one call of a restarter: a restart waits for the task's own stop timeout.
	callTimeout = time.Minute
	// lease is how long nobody else acts on a claim whose holder is silent; it outlives the call.
	lease = callTimeout + 30*time.Second
	// verifyTimeout is how long a new run may take to turn healthy.
	verifyTimeout = 30 * time.Second
	// poll is the distance between two looks at a task that another attempt or a probe keeps busy.
	poll = 2 * time.Second
	// parallel bounds how many tasks of one batch are worked on at once.
	parallel = 8
	// maxRaces bounds how often an event starts over because another writer was first.
	maxRaces = 20
)

// Handler restarts tasks. It is safe for concurrent use.
type Handler struct {
	cfg        Config
	name, node string
	publisher  Publisher
	ledger     Ledger
	restarters map[event.Runtime]Restarter
	own        []io.Closer // restarters that New made
	cloud      cloud
	logger     *slog.Logger
	metrics    *metrics

	mu    sync.Mutex
	stops map[string]ending // under mu: by task, the run that this handler ends
}

var _ sinks.Sink = (*Handler)(nil)

// New returns a handler. It starts nothing and dials nothing. Errors are faults of cfg, or say which of
// deps is missing.
func New(cfg Config, deps Deps) (*Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Mode != Off && (deps.Publisher == nil || deps.Ledger == nil) {
		return nil, errors.New("a restart handler needs a publisher and a ledger")
	}
	h := &Handler{
		cfg: cfg, name: deps.Name, node: deps.Node, publisher: deps.Publisher, ledger: deps.Ledger,
		restarters: deps.Restarters, logger: deps.Logger, stops: map[string]ending{},
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if h.restarters == nil {
		if err := h.connect(cfg, deps); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	var err error
	if h.cloud, err = newCloud(cfg.ECS, deps); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	h.metrics, err = newMetrics(deps.Name, deps.Registerer)
	return h, err
}

// connect makes the restarters of the daemons.
func (h *Handler) connect(cfg Config, deps Deps) error {
	if len(deps.Docker) == 0 {
		deps.Docker = []Docker{cfg.Docker}
	}
	if len(deps.Containerd) == 0 {
		deps.Containerd = []Containerd{cfg.Containerd}
	}
	var docker, containerd several
	for _, d := range deps.Docker {
		r, err := NewDockerRestarter(d)
		if err != nil {
			return err
		}
		docker, h.own = append(docker, r), append(h.own, r)
	}
	for _, c := range deps.Containerd {
		r, err := NewContainerdRestarter(c.Address)
		if err != nil {
			return err
		}
		containerd, h.own = append(containerd, r), append(h.own, r)
	}
	h.restarters = map[event.Runtime]Restarter{event.Docker: docker, event.Containerd: containerd}
	return nil
}

// Close ends the connections to the daemons that New was told of.
func (h *Handler) Close() error {
	var errs []error
	for _, c := range h.own {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Send handles each event: the events of one task in their order, tasks beside each other. It never waits
// for a back-off or a verification; see the package comment. A batch of which some events are not done
// yet gives a *sinks.Partial, even a batch of one, so that it holds no other event back.
func (h *Handler) Send(ctx context.Context, events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("handle %d events: %w", len(events), err)
	}
	if h.cfg.Mode == Off {
		return nil
	}
	errs := make([]error, len(events))
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, indexes := range byTask(events) {
		group.Go(func() error {
			for _, i := range indexes {
				errs[i] = h.handle(ctx, &events[i])
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("handle %d events: %w", len(events), err)
		}
		return &sinks.Partial{Errs: errs}
	}
	return nil
}

// byTask groups the places of the events that may lead to something.
func byTask(events []event.Event) map[string][]int {
	groups := map[string][]int{}
	for i := range events {
		if kindOf(&events[i]) != "" && events[i].Type != followed {
			key := string(events[i].Data.Runtime) + "/" + aboutOf(&events[i])
			groups[key] = append(groups[key], i)
		}
	}
	return groups
}

// handle takes the event one step or several further.
func (h *Handler) handle(ctx context.Context, e *event.Event) error {
	if !h.concerns(e) {
		return nil
	}
	for range maxRaces {
		r, err := h.load(ctx, e)
		if err != nil {
			return err
		}
		err = h.step(ctx, e, r)
		if !errors.Is(err, errRaced) {
			return err
		}
		if err := backoff.Sleep(ctx, backoff.Jitter(10*time.Millisecond)); err != nil {
			return fmt.Errorf("wait for restart ledger: %w", err)
		}
	}
	return fmt.Errorf("handle event: %w", errRaced)
}

// concerns drops what needs no look at the runtime: most events.
func (h *Handler) concerns(e *event.Event) bool {
	if e.Data.Runtime == event.ECS { // whatever its node: AWS is asked, no daemon
		return h.cloud.concerns(e)
	}
	if h.node != "" && e.Data.Node != "" && e.Data.Node != h.node {
		return false
	}
	if slices.Contains(e.Data.Truncated, "labels") {
		return true // the label may have been cut away; the runtime knows
	}
	_, d := asked(e, e.Data.Labels)
	return d.Rule != RuleNotOptedIn && d.Rule != RuleNoTrigger
}

// step does what the record says is next for the event.
func (h *Handler) step(ctx context.Context, e *event.Event, r *record) error {
	if e.Data.Runtime == event.ECS {
		return h.stepOnECS(ctx, e, r)
	}
	a := r.of(e.ID)
	if a == nil {
		return h.claim(ctx, e, r)
	}
	now := time.Now()
	switch a.Phase {
	case waiting:
		if wait := a.NotBefore.Sub(now); wait > 0 {
			return again(wait, "back-off before "+string(a.Kind))
		}
		if err := h.publish(ctx, e, a, event.ActionRequested); err != nil {
			return err
		}
		return h.act(ctx, e, r, a)
	case acting:
		if wait := a.Lease.Sub(now); wait > 0 {
			return again(wait, "the outcome of a call is not known")
		}
		return h.act(ctx, e, r, a)
	case started:
		return h.verify(ctx, e, r, a)
	}
	if len(a.After) > 0 {
		return h.follow(ctx, e, r, a)
	}
	if err := h.tellEnd(ctx, e, a); err != nil {
		return err
	}
	if r.GaveUp != nil && r.GaveUp.Trigger == e.ID {
		return h.tellGaveUp(ctx, e, r.GaveUp)
	}
	return h.succeed(ctx, e, r, a)
}

// again asks for the event to come again.
func again(after time.Duration, why string) error {
	return &sinks.Throttled{After: max(after, time.Millisecond), Err: errors.New(why)}
}

// ending is a run that this handler ends, or has just ended.
type ending struct {
	run   string
	until time.Time
}

// Acting tells whether this handler ends this run of the task, so that a collector does not take the stop for
// an operator's. The end of the run after it is no longer the handler's.
func (h *Handler) Acting(task, run string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.stops[task]
	return ok && e.run == run && time.Now().Before(e.until)
}

// mark notes until when a stop of the target's run is the handler's own.
func (h *Handler) mark(t Target, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for id, e := range h.stops {
		if now.After(e.until) {
			delete(h.stops, id)
		}
	}
	h.stops[t.ID] = ending{t.Run, until}
}
