package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
	"github.com/bellbuoy/bellbuoy/router"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/opensearch"
)

// rig is a new, empty stream in this process, on the disk of the temporary folder.
type rig struct {
	dir    string
	server *natsserver.Server
	bus    *bus.Bus
}

func newRig(ctx context.Context, d bus.Durability) (*rig, error) {
	dir, err := os.MkdirTemp("", "bellbuoy-bench-stream-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the stream: %w", err)
	}
	r := &rig{dir: dir}
	if r.server, err = natsserver.Start(ctx, natsserver.Options{Dir: dir, Strict: d == bus.Strict}); err != nil {
		return nil, errors.Join(err, r.close())
	}
	if r.bus, err = bus.Connect(ctx, bus.Options{Server: r.server, Durability: d}); err == nil {
		err = r.bus.Setup(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *rig) close() error {
	if r.bus != nil {
		r.bus.Close()
	}
	if r.server != nil {
		r.server.Shutdown()
	}
	return os.RemoveAll(r.dir)
}

const routeName = "search"

// plan is that of a route to OpenSearch in the product.
func plan() router.Plan {
	return router.Plan{
		From: bus.All(), Batch: 1000, Linger: 2 * time.Millisecond, Workers: 2, AckWait: time.Minute, Deliveries: 50,
	}
}

// pipe is the whole path on a rig.
type pipe struct {
	*rig
	publisher *bus.Publisher
	router    *router.Router
	sink      *opensearch.Sink
	meter     *meter
}

// openPipe makes the path for n events, to the bulk endpoint at url.
func openPipe(ctx context.Context, d bus.Durability, url string, n int) (*pipe, error) {
	r, err := newRig(ctx, d)
	if err != nil {
		return nil, err
	}
	p := &pipe{rig: r, publisher: r.bus.NewPublisher()}
	if err := p.wire(ctx, url, n); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *pipe) wire(ctx context.Context, url string, n int) (err error) {
	config := opensearch.DefaultConfig()
	config.Addresses = []string{url}
	if p.sink, err = opensearch.New(config, opensearch.Deps{Name: routeName}); err != nil {
		return err
	}
	p.meter = newMeter(p.sink, n)
	every, err := router.Compile("")
	if err != nil {
		return err
	}
	p.router, err = router.New(
		[]router.Route{{Name: routeName, To: routeName, When: every, Sink: p.meter, Plan: plan()}},
		router.Deps{
			Consumer:    func(ctx context.Context, c bus.ConsumerConfig) (router.Source, error) { return p.bus.Consumer(ctx, c) },
			DeadLetters: p.bus.DeadLetters(),
		})
	if err != nil {
		return err
	}
	if err := p.sink.Setup(ctx); err != nil {
		return err
	}
	return p.router.Open(ctx)
}

func (p *pipe) close() error {
	var err error
	if p.sink != nil {
		err = p.sink.Close()
	}
	return errors.Join(err, p.rig.close())
}

// run runs publisher and router while feed publishes, and until all of it was delivered and acknowledged.
func (p *pipe) run(ctx context.Context, feed func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	working, stop := context.WithCancel(ctx)
	g.Go(func() error { return p.publisher.Run(working) })
	g.Go(func() error { return p.router.Run(working) })
	g.Go(func() error {
		defer stop()
		if err := feed(ctx); err != nil {
			return err
		}
		if err := p.meter.wait(ctx); err != nil {
			return err
		}
		return p.bus.AwaitDelivered(ctx, routeName, uint64(p.meter.want))
	})
	return g.Wait()
}

// meter counts what the sink accepted and how long that took since it was published.
type meter struct {
	sink sinks.Sink
	want int
	all  chan struct{} // closed when want events were accepted

	mu        sync.Mutex
	latencies []time.Duration
}

func newMeter(sink sinks.Sink, want int) *meter {
	return &meter{sink: sink, want: want, all: make(chan struct{}), latencies: make([]time.Duration, 0, want)}
}

// Send hands the batch to the sink. Recorded is when Publish was called.
func (m *meter) Send(ctx context.Context, batch []event.Event) error {
	if err := m.sink.Send(ctx, batch); err != nil {
		return err
	}
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.latencies)
	for i := range batch {
		m.latencies = append(m.latencies, now.Sub(batch[i].Recorded))
	}
	if before < m.want && len(m.latencies) >= m.want {
		close(m.all)
	}
	return nil
}

func (m *meter) wait(ctx context.Context) error {
	select {
	case <-m.all:
		return nil
	case <-ctx.Done():
		m.mu.Lock()
		defer m.mu.Unlock()
		return fmt.Errorf("%d of %d events arrived: %w", len(m.latencies), m.want, context.Cause(ctx))
	}
}
