package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/router"
	"github.com/bellbuoy/bellbuoy/router/incident"
	"github.com/bellbuoy/bellbuoy/router/notify"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// incidents measures what folds events into incidents: the machine with many live workloads, the conditions of users,
// and a storm of stops of as many workloads, from the stream to the alerts.
func (b *bench) incidents(ctx context.Context) error {
	if !b.parts[partIncidents] {
		return nil
	}
	fmt.Fprintf(b.out, "\nincidents, %d live workloads:\n", b.workloads)
	b.fold()
	if err := b.rules(); err != nil {
		return err
	}
	return b.storm(ctx)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// stepOf is an event of one task of a workload: 1 its start, 2 its end.
func stepOf(workload, step, turn int, at time.Time) event.Event {
	e := life(workload*4 + step)
	e.ID, e.Time = strconv.Itoa(workload)+"."+strconv.Itoa(step)+"."+strconv.Itoa(turn), at
	e.Data.Workload = "w" + strconv.Itoa(workload)
	e.Data.Task.Run = strconv.Itoa(turn)
	return e
}

// fold feeds the machine alone: every workload starts, then each in turn stops and starts again, one in ten of them
// by a crash.
func (b *bench) fold() {
	at, seq := time.Now(), uint64(0)
	before := heap()
	m := incident.NewMachine(incident.DefaultConfig(), "prod-eu", nil)
	told := 0
	apply := func(e *event.Event) {
		if seq++; seq%256 == 0 {
			told += len(m.Events())
		}
		m.Apply(e, seq, at)
	}
	for w := range b.workloads {
		e := stepOf(w, 1, 0, at)
		apply(&e)
	}
	told += len(m.Events())
	perThousand := float64(heap()-before) / (1 << 20) / float64(b.workloads) * 1000
	events := make([]event.Event, 0, 2*b.folded)
	for i := range b.folded {
		w := i * 7919 % b.workloads
		at := at.Add(time.Duration(i) * time.Millisecond)
		stop := stepOf(w, 2, i, at)
		if w%10 != 0 {
			stop.Data.Cause.Class, stop.Data.Cause.Expected = "deploy.replaced", true
		}
		stop.Data.Task.Run = ""
		events = append(events, stop, stepOf(w, 1, i+1, at))
	}
	w := startWatch()
	for i := range events {
		at = events[i].Time
		apply(&events[i])
	}
	told += len(m.Events())
	s := w.stop(len(events))
	fmt.Fprintf(b.out, "machine: %.0f events/s, %.1f s/M, %d transitions; %.2f MiB per 1,000 workloads\n", s.rate(), s.perMillion(), told, perThousand)
	b.figures.set("incident_events_s", s.rate())
	b.figures.set("incident_mib_per_1000", perThousand)
	runtime.KeepAlive(m)
}

// rules asks a hundred conditions about each event.
func (b *bench) rules() error {
	var filters []*router.Filter
	for i := range 100 {
		when := fmt.Sprintf(`kind == "incident" && severity >= warn && labels["team"] == "team-%d" && !(workload startsWith "w%d")`, i, i)
		switch i % 4 {
		case 1:
			when = fmt.Sprintf(`workload matches "^pay-%d(-[a-z]+)?$" && site == "prod-eu"`, i)
		case 2:
			when = fmt.Sprintf(`kind == "task" && event == "stopped" && !cause.expected && owner == "team-%d"`, i)
		case 3:
			when = fmt.Sprintf(`scope in ["shop", "batch-%d"] && incident.stops > %d`, i, i)
		}
		f, err := router.Compile(when)
		if err != nil {
			return err
		}
		filters = append(filters, f)
	}
	e := stepOf(1, 2, 1, time.Now())
	n := max(b.folded/100, 10)
	w := startWatch()
	for range n {
		for _, f := range filters {
			if _, err := f.Match(&e); err != nil {
				return err
			}
		}
	}
	us := w.stop(n).cpu.Seconds() / float64(n) * 1e6
	fmt.Fprintf(b.out, "100 conditions: %.1f µs an event\n", us)
	b.figures.set("rules_100_us", us)
	return nil
}

// alerts counts what a sink that wakes somebody is told.
type alerts struct {
	mu    sync.Mutex
	told  int
	first time.Time
}

func (a *alerts) Send(_ context.Context, batch []event.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told == 0 {
		a.first = time.Now()
	}
	a.told += len(batch)
	return nil
}

func (a *alerts) count() (told int, first time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.told, a.first
}

// passing counts the openings that reach a gate.
type passing struct {
	next   sinks.Sink
	mu     sync.Mutex
	opened int
}

func (p *passing) Send(ctx context.Context, batch []event.Event) error {
	if err := p.next.Send(ctx, batch); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range batch {
		if batch[i].Type == event.IncidentOpened {
			p.opened++
		}
	}
	return nil
}

func (p *passing) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened
}

// storm lets as many workloads stop at once as fast as the stream takes it.
func (b *bench) storm(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 4*runBound, errors.New("the storm takes too long"))
	defer cancel()
	r, err := newRig(ctx, bus.Relaxed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	bucket, err := r.bus.Bucket(ctx, bus.IncidentsBucket)
	if err != nil {
		return err
	}
	publisher := r.bus.NewPublisher()
	engine, err := incident.New(incident.DefaultConfig(), incident.Deps{Site: "prod-eu", Bucket: bucket, Publish: publisher.Publish, Alone: true})
	if err != nil {
		return err
	}
	pager := &alerts{}
	gate := notify.New(pager, notify.Deps{
		Route: "page", Notes: bucket, Limit: rate.NewLimiter(0.5, 30), Site: "prod-eu",
		Open: func(ctx context.Context) ([]event.Event, error) { return incident.List(ctx, bucket) },
	})
	reached := &passing{next: gate}
	rt, err := stormRouter(r, engine, reached)
	if err != nil {
		return err
	}
	if err := rt.Open(ctx); err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	g, working := errgroup.WithContext(working)
	for _, run := range []func(context.Context) error{publisher.Run, rt.Run, engine.Run, gate.Run} {
		g.Go(func() error { return run(working) })
	}
	before, began := heap(), time.Now()
	g.Go(func() error {
		defer stop()
		for w := range b.stormy {
			e := stepOf(w, 2, 0, time.Now())
			e.ID = event.NewID("storm", began.String(), strconv.Itoa(w))
			e.Subject = event.SubjectOf("shop", e.Data.Workload, e.Data.Task.ID)
			e.PartitionKey, e.Recorded = e.Subject, e.Time
			if err := publisher.PublishAsync(working, e, func(error) {}); err != nil {
				return err
			}
		}
		published := time.Since(began)
		for reached.count() < b.stormy {
			if err := backoff.Sleep(working, 50*time.Millisecond); err != nil {
				return fmt.Errorf("%d of %d incidents: %w", reached.count(), b.stormy, context.Cause(ctx))
			}
		}
		all := time.Since(began)
		if !b.short { // the first digest counts, too
			if err := backoff.Sleep(working, max(0, 25*time.Second-all)); err != nil {
				return err
			}
		}
		told, first := pager.count()
		mib := float64(heap()-min(before, heap())) / (1 << 20)
		fmt.Fprintf(b.out, "storm of %d stops, published in %s: first alert after %s, all folded and decided after %s (%.0f/s), %d messages, %.0f MiB of heap\n",
			b.stormy, published.Round(time.Millisecond), first.Sub(began).Round(time.Millisecond), all.Round(time.Millisecond), float64(b.stormy)/all.Seconds(), told, mib)
		b.figures.set("storm_messages", float64(told))
		b.figures.set("storm_first_alert_ms", ms(first.Sub(began)))
		b.figures.set("storm_s", all.Seconds())
		return nil
	})
	return g.Wait()
}

func stormRouter(r *rig, engine *incident.Engine, page sinks.Sink) (*router.Router, error) {
	every, err := router.Compile("")
	if err != nil {
		return nil, err
	}
	when, err := router.Compile(`kind == "incident"`)
	if err != nil {
		return nil, err
	}
	return router.New([]router.Route{
		{Name: "incidents", To: "incidents", When: every, Stage: engine, Plan: router.Plan{
			From: bus.All(), Batch: 256, Linger: 2 * time.Millisecond, Workers: 1, AckWait: 6 * time.Second, Pinned: true, Deliveries: 200,
		}},
		{Name: "page", To: "pager", When: when, Sink: page, Plan: router.Plan{
			From: bus.All(), Batch: 10, Linger: 5 * time.Millisecond, Workers: 1, AckWait: 12 * time.Second, Pinned: true, Deliveries: 12,
		}},
	}, router.Deps{
		Consumer: func(ctx context.Context, c bus.ConsumerConfig) (router.Source, error) {
			c.Alone = true
			return r.bus.Consumer(ctx, c)
		},
		DeadLetters: r.bus.DeadLetters(),
	})
}
