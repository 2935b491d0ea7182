package bus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

var durabilities = []bus.Durability{bus.Strict, bus.Relaxed}

// inOrder checks that the events of each publisher, who took every n-th number, are stored in its order.
func inOrder(t *testing.T, events []event.Event, publishers int) {
	t.Helper()
	last := map[int]int{}
	for _, e := range events {
		var number int
		_, err := fmt.Sscanf(e.Data.Message, "occurrence %d", &number)
		require.NoError(t, err)
		before, seen := last[number%publishers]
		assert.False(t, seen && number <= before, "%d came after %d", number, before)
		last[number%publishers] = number
	}
}

// publishAll publishes from many goroutines, each of which takes every n-th event and waits for it.
func publishAll(t *testing.T, p *bus.Publisher, events []event.Event, publishers int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range publishers {
		wg.Go(func() {
			for i, e := range events {
				if i%publishers == w {
					assert.NoError(t, p.Publish(t.Context(), e))
				}
			}
		})
	}
	wg.Wait()
}

func TestTwoHundredPublishers(t *testing.T) {
	for _, durability := range durabilities {
		t.Run(string(durability), func(t *testing.T) {
			reg := prometheus.NewRegistry()
			b := bustest.Connect(t, bus.Options{Server: bustest.Server(t, natsserver.Options{Strict: durability == bus.Strict}), Durability: durability, Registerer: reg})
			p := bustest.Publisher(t, b)
			publishAll(t, p, bustest.Numbers(0, 2000), 200)
			inOrder(t, bustest.Events(t, b, 2000), 200)
			require.NoError(t, p.Health())
			publishAll(t, p, bustest.Numbers(1000, 2200), 200) // half of them were published before
			inOrder(t, bustest.Events(t, b, 2200), 200)
			assert.Equal(t, 3200.0, sum(t, reg, "bellbuoy_bus_published_events_total"))
			assert.Equal(t, 0.0, sum(t, reg, "bellbuoy_bus_publish_refused_events_total"))
		})
	}
}

// sum adds the values of a counter over its labels.
func sum(t *testing.T, reg *prometheus.Registry, name string) (total float64) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

func TestGroupCommitBatchesAndFallsBack(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := bustest.Server(t, natsserver.Options{Strict: true})
	b := bustest.Connect(t, bus.Options{Server: s, Registerer: reg})
	p := b.NewPublisher()
	var acks sync.WaitGroup
	enqueue := func(events ...event.Event) {
		for _, e := range events {
			acks.Add(1)
			require.NoError(t, p.PublishAsync(t.Context(), e, func(err error) { assert.NoError(t, err); acks.Done() }))
		}
	}
	// Queued before Run, so that they are one batch for sure; with two equal ones in it.
	enqueue(bustest.Numbers(0, 100)...)
	enqueue(bustest.Event(7), bustest.Event(7))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	acks.Wait()
	cancel()
	require.NoError(t, <-done)
	inOrder(t, bustest.Events(t, b, 100), 1)
	assert.Equal(t, 1, batches(t, reg), "one batch, twins within it")

	// Two that the stream knows already, among new ones: the batch is refused and they go one by one.
	p = b.NewPublisher()
	enqueue(bustest.Numbers(98, 140)...)
	ctx, cancel = context.WithCancel(t.Context())
	go func() { done <- p.Run(ctx) }()
	acks.Wait()
	cancel()
	require.NoError(t, <-done)
	inOrder(t, bustest.Events(t, b, 140), 1)
	assert.Equal(t, 1+42, batches(t, reg))
	assert.InDelta(t, 4, published(t, reg, "duplicate"), 0)
}

// published is the number of acknowledged events with this result.
func published(t *testing.T, reg *prometheus.Registry, result string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "bellbuoy_bus_published_events_total" && m.GetLabel()[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

func batches(t *testing.T, reg *prometheus.Registry) int {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "bellbuoy_bus_publish_batch_events" {
			return int(f.GetMetric()[0].GetHistogram().GetSampleCount())
		}
	}
	return -1
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not wait
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// TestServerStopsMidPublish is the promise itself: a server that goes away and comes back under load loses
// nothing and has nothing twice, and the order of each task holds.
func TestServerStopsMidPublish(t *testing.T) {
	for _, durability := range durabilities {
		t.Run(string(durability), func(t *testing.T) {
			o := natsserver.Options{Dir: t.TempDir(), Listen: freeAddress(t), Strict: durability == bus.Strict}
			s, err := natsserver.Start(t.Context(), o)
			require.NoError(t, err)
			defer func() { s.Shutdown() }()
			b := bustest.Connect(t, bus.Options{URL: "nats://" + o.Listen, Durability: durability})
			p := bustest.Publisher(t, b)
			const publishers, each = 10, 150
			var wg sync.WaitGroup
			published := make(chan struct{}, publishers*each)
			for w := range publishers {
				wg.Go(func() {
					for i := range each {
						assert.NoError(t, p.Publish(t.Context(), bustest.Event(i*publishers+w)))
						published <- struct{}{}
					}
				})
			}
			for range 3 {
				for range 200 + rand.IntN(100) {
					<-published
				}
				s.Shutdown()
				require.Eventually(t, func() bool { return p.Health() != nil && b.Health() != nil }, bustest.Wait, time.Millisecond)
				s, err = natsserver.Start(t.Context(), o)
				require.NoError(t, err)
			}
			wg.Wait()
			events := bustest.Events(t, b, publishers*each)
			inOrder(t, events, publishers)
			seen := map[string]bool{}
			for _, e := range events {
				assert.False(t, seen[e.ID])
				seen[e.ID] = true
			}
			require.NoError(t, p.Health())
		})
	}
}

func TestFullStoreBlocksAndRecovers(t *testing.T) {
	for _, durability := range durabilities {
		t.Run(string(durability), func(t *testing.T) {
			s := bustest.Server(t, natsserver.Options{MaxStore: 32 << 20})
			b := bustest.Connect(t, bus.Options{Server: s, Durability: durability})
			js := raw(t, s)
			ballast, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "BALLAST", Subjects: []string{"ballast"}})
			require.NoError(t, err)
			for full := false; !full; {
				_, err := js.Publish(t.Context(), "ballast", make([]byte, 512<<10))
				full = err != nil
			}
			p := bustest.Publisher(t, b)
			var published sync.WaitGroup
			for w := range 50 {
				published.Go(func() { assert.NoError(t, p.Publish(t.Context(), bustest.Event(w))) })
			}
			require.Eventually(t, func() bool { return p.Health() != nil }, bustest.Wait, time.Millisecond)
			require.ErrorContains(t, p.Health(), "stream refuses: ")
			require.NoError(t, b.Health(), "the connection itself is well")
			require.NoError(t, ballast.Purge(t.Context()))
			published.Wait()
			require.NoError(t, p.Health())
			bustest.Events(t, b, 50)
		})
	}
}

func TestPublishEnds(t *testing.T) {
	b := bustest.New(t)
	p := b.NewPublisher()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Publish(ctx, bustest.Event(0)), context.Canceled, "the caller's context")
	acked := make(chan error, 1)
	require.NoError(t, p.PublishAsync(t.Context(), bustest.Event(1), func(err error) { acked <- err }))
	require.NoError(t, p.Run(ctx), "what is queued is committed after the end")
	require.NoError(t, <-acked)
	bustest.Events(t, b, 1)
	require.ErrorIs(t, p.Publish(t.Context(), bustest.Event(2)), bus.ErrStopped)

	invalid := bustest.Event(3)
	invalid.Data.Task.Containers = nil
	invalid.ID = ""
	p = bustest.Publisher(t, b)
	require.ErrorIs(t, p.Publish(t.Context(), invalid), event.ErrInvalid)
	require.NoError(t, p.Publish(t.Context(), bustest.Event(4)), "the next one is not held up")
}

// TestStopWhileRefused: the end has a bound, and who waits is told.
func TestStopWhileRefused(t *testing.T) {
	s := bustest.Server(t, natsserver.Options{})
	b := bustest.Connect(t, bus.Options{Server: s, Durability: bus.Strict})
	require.NoError(t, raw(t, s).DeleteStream(t.Context(), bus.EventsStream))
	p := b.NewPublisher()
	results := make(chan error, 40)
	for i := range 40 {
		require.NoError(t, p.PublishAsync(t.Context(), bustest.Event(i), func(err error) { results <- err }))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	require.Eventually(t, func() bool { return p.Health() != nil }, bustest.Wait, time.Millisecond)
	require.ErrorContains(t, p.Health(), "no stream")
	cancel()
	require.ErrorIs(t, <-done, bus.ErrStopped)
	for range 40 {
		require.ErrorIs(t, <-results, bus.ErrStopped)
	}
}

func TestDurableAcrossRestart(t *testing.T) {
	o := natsserver.Options{Dir: t.TempDir(), Strict: true}
	for life := range 3 {
		s, err := natsserver.Start(t.Context(), o)
		require.NoError(t, err)
		b, err := bus.Connect(t.Context(), bus.Options{Server: s})
		require.NoError(t, err)
		require.NoError(t, b.Setup(t.Context()))
		bustest.Events(t, b, life*10)
		p := b.NewPublisher()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		for i := range 10 {
			require.NoError(t, p.Publish(t.Context(), bustest.Event(life*10+i)))
		}
		cancel()
		require.NoError(t, <-done)
		b.Close()
		s.Shutdown()
	}
}

func Example() {
	// A program connects once, sets up, runs one publisher and hands it to what publishes.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b, err := bus.Connect(ctx, bus.Options{URL: "nats://127.0.0.1:1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	// Output: connect to NATS at nats://127.0.0.1:1 (is it running, and is nats.url right?): nats: no servers available for connection
}
