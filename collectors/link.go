package collectors

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Link is one collector's side of the supervisor: what it publishes gets its source, time of recording
// and sequence number here. It is safe for concurrent use.
type Link struct {
	name      string
	runtime   event.Runtime
	source    string
	collector Collector
	deps      Deps
	logger    *slog.Logger
	metrics   *metrics
	sequences *sequences
	changed   chan struct{} // wakes the herald; holds one

	mu        sync.Mutex // guards what follows
	status    Status
	told      bool   // collector.started is on the stream and nothing after it
	announced string // id of the open gap that is on the stream
}

var (
	_ Publisher = (*Link)(nil)
	_ Reporter  = (*Link)(nil)
)

// Status is how one collector is doing.
type Status struct {
	Name    string
	Runtime event.Runtime
	// Connected says that it sees its runtime now; LastError says why not, or what went wrong last.
	Connected bool
	LastError error
	// Since is when Connected last changed, LastEvent when an event was last acknowledged.
	Since, LastEvent      time.Time
	Engine, Version       string
	Containers, Workloads int
}

// Publish completes the event and hands it on; see Publisher.
func (l *Link) Publish(ctx context.Context, e event.Event) error {
	e.Source = cmp.Or(e.Source, l.source)
	if e.Recorded.IsZero() {
		e.Recorded = time.Now().UTC()
	}
	e.Sequence = l.sequences.next(e.Source)
	if e.Severity == 0 {
		e.Severity = event.SeverityOf(&e)
	}
	if err := l.deps.Publisher.Publish(ctx, e); err != nil {
		return err
	}
	now := time.Now()
	l.mu.Lock()
	l.status.LastEvent = now
	l.mu.Unlock()
	l.metrics.published(l.name, now)
	return nil
}

// Report takes what the collector sees; see Reporter.
func (l *Link) Report(r Report) {
	l.mu.Lock()
	s := &l.status
	turned, why := s.Connected != r.Connected, errorText(s.LastError) != errorText(r.Err)
	if turned {
		s.Since = time.Now()
	}
	s.Connected, s.LastError = r.Connected, r.Err
	s.Engine, s.Version = cmp.Or(r.Engine, s.Engine), cmp.Or(r.Version, s.Version)
	if r.Connected {
		s.Containers, s.Workloads = r.Containers, r.Workloads
	}
	l.mu.Unlock()
	switch {
	case turned && r.Connected:
		l.logger.Info("collector watches", "engine", r.Engine, "version", r.Version, l.unit(), r.Containers)
	case !r.Connected && (turned || why):
		l.logger.Warn("collector is blind", "err", r.Err)
	}
	l.metrics.connect(l.name, r.Connected)
	if turned {
		l.wake()
	}
}

func (l *Link) wake() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Gap tells the stream of a gap that is over; see Reporter.
func (l *Link) Gap(ctx context.Context, g Gap) error {
	l.mu.Lock()
	announced := l.announced
	l.mu.Unlock()
	e := l.event(event.CollectorGap, g.To, stamp(g.From), stamp(g.To))
	e.Data.Supersedes = announced
	c := e.Data.Collector
	c.From, c.To, c.Reason, c.Reconciled, c.Unknown = g.From.UTC(), g.To.UTC(), g.Reason, int64(g.Reconciled), g.Unknown
	c.UnknownCodes, c.UnseenRuns = int64(g.UnknownCodes), int64(g.UnseenRuns)
	if g.From.IsZero() {
		c.From = time.Time{}
	}
	e.Data.Message = fmt.Sprintf("collector %s was blind%s: %s; %d transitions found afterwards", l.name, span(g.From, g.To), g.Reason, g.Reconciled)
	e.Data.Message += lost(g)
	if len(g.Unknown) == 0 && g.UnseenRuns == 0 && g.UnknownCodes == 0 {
		e.Severity = event.Info
	}
	if err := l.Publish(ctx, e); err != nil {
		return fmt.Errorf("publish gap: %w", err)
	}
	l.metrics.gap(l.name, g)
	l.mu.Lock()
	if l.announced == announced {
		l.announced = ""
	}
	l.mu.Unlock()
	return nil
}

// lost says what a gap cost.
func lost(g Gap) string {
	text := ""
	if g.UnknownCodes > 0 {
		text += fmt.Sprintf(", %d of them without an exit code", g.UnknownCodes)
	}
	if g.UnseenRuns > 0 {
		text += fmt.Sprintf(", %d runs that nobody saw", g.UnseenRuns)
	}
	if text == "" && len(g.Unknown) == 0 {
		text = ", nothing lost"
	}
	return text
}

// Conflict tells the stream of another collector of the same runtime; see Reporter. Both sides publish
// the same event, of which the stream keeps one.
func (l *Link) Conflict(ctx context.Context, c Conflict) error {
	e := l.event(event.CollectorConflict, c.Since)
	opened := event.NewID("collector", "conflict", c.Key)
	e.ID = opened
	e.Data.Collector.From, e.Data.Collector.Peer, e.Data.Collector.Reason = c.Since.UTC(), c.Peer, c.Advice
	e.Data.Message = fmt.Sprintf("%s and %s watch the same runtime: %s", c.Self, c.Peer, c.Advice)
	if !c.Until.IsZero() {
		e.ID, e.Time, e.Severity = event.NewID(opened, "over"), c.Until.UTC(), event.Info
		e.Data.Supersedes, e.Data.Collector.To = opened, c.Until.UTC()
		e.Data.Message = fmt.Sprintf("%s and %s no longer watch the same runtime", c.Self, c.Peer)
	}
	if err := l.Publish(ctx, e); err != nil {
		return fmt.Errorf("publish conflict: %w", err)
	}
	l.metrics.conflicts.WithLabelValues(l.name).Set(1)
	if !c.Until.IsZero() {
		l.metrics.conflicts.WithLabelValues(l.name).Set(0)
	}
	return nil
}

// unit is what the runtime calls what it runs.
func (l *Link) unit() string {
	if l.runtime == event.ECS {
		return "tasks"
	}
	return "containers"
}

// Name is the collector's name in the config.
func (l *Link) Name() string { return l.name }

func span(from, to time.Time) string {
	if from.IsZero() {
		return ""
	}
	return " for " + to.Sub(from).Round(100*time.Millisecond).String()
}

// started publishes collector.started when the collector sees its runtime for the first time since it
// was started, and returns whether it sees it.
func (l *Link) started(ctx context.Context) bool {
	s := l.current()
	l.mu.Lock()
	tell := s.Connected && !l.told
	l.told = l.told || s.Connected
	l.mu.Unlock()
	if tell {
		e := l.event(event.CollectorStarted, time.Now(), stamp(time.Now()))
		e.Data.Message = fmt.Sprintf("collector %s watches %d containers of %d workloads", l.name, s.Containers, s.Workloads)
		if l.runtime == event.ECS { // they are counted by a comparison, which comes later
			e.Data.Message = fmt.Sprintf("collector %s watches %s", l.name, s.Engine)
		}
		l.tell(ctx, e)
	}
	return s.Connected
}

func (l *Link) heartbeat(ctx context.Context) {
	if s := l.current(); s.Connected {
		e := l.event(event.CollectorHeartbeat, time.Now(), stamp(time.Now()))
		e.Data.Message = fmt.Sprintf("collector %s is alive", l.name)
		l.tell(ctx, e)
	}
}

// announce publishes that a gap is open, once per gap.
func (l *Link) announce(ctx context.Context) {
	s := l.current()
	l.mu.Lock()
	open := l.announced != ""
	l.mu.Unlock()
	if s.Connected || open {
		return
	}
	e := l.event(event.CollectorGap, time.Now(), stamp(s.Since), "open")
	e.Data.Collector.From = s.Since.UTC()
	e.Data.Collector.Reason = errorText(s.LastError)
	e.Data.Message = fmt.Sprintf("collector %s is blind since %s: %s", l.name, s.Since.UTC().Format(time.TimeOnly), errorText(s.LastError))
	if l.tell(ctx, e) {
		l.mu.Lock()
		l.announced = e.ID
		l.mu.Unlock()
	}
}

// failed notes that a run ended with an error.
func (l *Link) failed(ctx context.Context, err error) {
	l.Report(Report{Err: err})
	l.stopped(ctx, err.Error())
}

// ended says good-bye after ctx has ended.
func (l *Link) ended(ctx context.Context) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	l.stopped(last, "asked to stop")
	l.mu.Lock()
	l.status.Connected, l.status.LastError = false, context.Canceled
	l.mu.Unlock()
	l.metrics.connect(l.name, false)
}

func (l *Link) stopped(ctx context.Context, reason string) {
	l.mu.Lock()
	tell := l.told
	l.told = false
	l.mu.Unlock()
	if tell {
		e := l.event(event.CollectorStopped, time.Now(), stamp(time.Now()))
		e.Data.Collector.Reason = reason
		e.Data.Message = fmt.Sprintf("collector %s stopped: %s", l.name, reason)
		l.tell(ctx, e)
	}
}

// tell publishes and reports whether the stream took it.
func (l *Link) tell(ctx context.Context, e event.Event) bool {
	err := l.Publish(ctx, e)
	if err != nil && ctx.Err() == nil {
		l.logger.Error("collector event not published", "event_id", e.ID, "err", err)
	}
	return err == nil
}

// event returns a collector event whose identity within the source is key.
func (l *Link) event(t event.Type, at time.Time, key ...string) event.Event {
	s := l.current()
	subject := event.SubjectOf("", l.name, l.deps.Node)
	return event.Event{
		ID:     event.NewID(append([]string{"collector", l.source, l.name, t.Event()}, key...)...),
		Source: l.source, Type: t, Subject: subject, PartitionKey: subject, Time: at.UTC(),
		Data: event.Data{
			Site: l.deps.Site, Runtime: l.runtime, Node: l.deps.Node, Workload: l.name, Observed: event.ObservedStream,
			Collector: &event.Collector{
				Name: l.name, Engine: s.Engine, Version: s.Version,
				Containers: int64(s.Containers), Workloads: int64(s.Workloads),
			},
		},
	}
}

func (l *Link) current() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprint(t.UnixNano())
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// sequences numbers the events of each source.
type sequences struct {
	epoch time.Time

	mu     sync.Mutex // guards counts
	counts map[string]uint64
}

func newSequences() *sequences { return &sequences{epoch: time.Now(), counts: map[string]uint64{}} }

// next returns <epoch ms, 14 digits>-<counter, 10 digits>.
func (s *sequences) next(source string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[source]++
	return fmt.Sprintf("%014d-%010d", s.epoch.UnixMilli(), s.counts[source])
}
