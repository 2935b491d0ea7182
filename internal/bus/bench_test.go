package bus_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func benchBus(b *testing.B, d bus.Durability) (*bus.Bus, *natsserver.Server) {
	b.Helper()
	s := bustest.Server(b, natsserver.Options{Strict: d == bus.Strict})
	return bustest.Connect(b, bus.Options{Server: s, Durability: d}), s
}

// BenchmarkDurableOneByOne is what a publisher without group commit does: one synced event at a time.
func BenchmarkDurableOneByOne(b *testing.B) {
	_, s := benchBus(b, bus.Strict)
	js := raw(b, s)
	e := bustest.Event(1)
	n := 0
	for b.Loop() {
		n++
		e.ID = event.NewID("bench", time.Now().String())
		body, err := event.Append(nil, &e)
		require.NoError(b, err)
		_, err = js.Publish(b.Context(), event.NATSSubject(&e), body, jetstream.WithMsgID(e.ID))
		require.NoError(b, err)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// benchPublish keeps many events waiting, as many collectors do in a storm.
func benchPublish(b *testing.B, d bus.Durability) {
	b.Helper()
	conn, _ := benchBus(b, d)
	p := bustest.Publisher(b, conn)
	e := bustest.Event(1)
	var open sync.WaitGroup
	n := 0
	ack := func(err error) {
		if err != nil {
			b.Error(err)
		}
		open.Done()
	}
	b.ReportAllocs()
	for b.Loop() {
		n++
		e.ID = event.NewID("bench", time.Now().String())
		open.Add(1)
		require.NoError(b, p.PublishAsync(b.Context(), e, ack))
	}
	open.Wait()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDurableGroupCommit(b *testing.B) { benchPublish(b, bus.Strict) }

func BenchmarkRelaxed(b *testing.B) { benchPublish(b, bus.Relaxed) }

// BenchmarkConsumeAndAck reads what is there, in batches as the router does, and acknowledges each.
func BenchmarkConsumeAndAck(b *testing.B) {
	conn, s := benchBus(b, bus.Relaxed)
	p := bustest.Publisher(b, conn)
	const stored = 50_000
	var open sync.WaitGroup
	e := bustest.Event(1)
	for i := range stored {
		open.Add(1)
		e.ID = event.NewID("bench", time.Unix(int64(i), 0).String())
		require.NoError(b, p.PublishAsync(b.Context(), e, func(error) { open.Done() }))
	}
	open.Wait()
	js := raw(b, s)
	b.Run("bus", func(b *testing.B) {
		read(b, stored, func(name string) func() int {
			c, err := conn.Consumer(b.Context(), bus.ConsumerConfig{Name: name})
			require.NoError(b, err)
			return func() int {
				got, err := c.Fetch(b.Context(), 500, 0)
				require.NoError(b, err)
				for _, d := range got {
					require.NoError(b, d.Ack())
				}
				return len(got)
			}
		})
	})
	b.Run("fetch without decoding", func(b *testing.B) {
		read(b, stored, func(name string) func() int {
			c, err := js.CreateConsumer(b.Context(), bus.EventsStream, jetstream.ConsumerConfig{
				Durable: name, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 5000, FilterSubject: "bellbuoy.events.v1.>",
			})
			require.NoError(b, err)
			return func() (n int) {
				batch, err := c.Fetch(500, jetstream.FetchMaxWait(time.Second))
				require.NoError(b, err)
				for msg := range batch.Messages() {
					require.NoError(b, msg.Ack())
					n++
				}
				return n
			}
		})
	})
}

// read reads the whole stream with a new consumer as often as b.N needs.
func read(b *testing.B, stored int, open func(name string) func() int) {
	b.Helper()
	n, round := 0, 0
	for n < b.N {
		fetch := open("bench" + event.NewID(b.Name(), time.Now().String())[:8])
		for left := stored; left > 0 && n < b.N; round++ {
			got := fetch()
			n, left = n+got, left-got
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkLatency is the time from Publish to a delivery, one event at a time.
func BenchmarkLatency(b *testing.B) {
	for _, d := range durabilities {
		b.Run(string(d), func(b *testing.B) {
			conn, _ := benchBus(b, d)
			p := bustest.Publisher(b, conn)
			c, err := conn.Consumer(b.Context(), bus.ConsumerConfig{Name: "bench"})
			require.NoError(b, err)
			e := bustest.Event(1)
			for b.Loop() {
				e.ID = event.NewID("bench", time.Now().String())
				require.NoError(b, p.Publish(context.Background(), e))
				got, err := c.Fetch(b.Context(), 1, 0)
				require.NoError(b, err)
				require.NoError(b, got[0].Ack())
			}
		})
	}
}

// BenchmarkAckAt10k offers 10 000 events a second and reports how long the acknowledgements take.
func BenchmarkAckAt10k(b *testing.B) {
	for _, d := range durabilities {
		b.Run(string(d), func(b *testing.B) {
			conn, _ := benchBus(b, d)
			p := bustest.Publisher(b, conn)
			e := bustest.Event(1)
			var mu sync.Mutex
			var took []time.Duration
			var open sync.WaitGroup
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			began := time.Now()
			for n := 0; n < b.N; {
				<-tick.C
				for due := int(time.Since(began).Seconds() * 10_000); n < min(due, b.N); n++ {
					e.ID = event.NewID("bench", time.Now().String())
					at := time.Now()
					open.Add(1)
					require.NoError(b, p.PublishAsync(b.Context(), e, func(error) {
						mu.Lock()
						took = append(took, time.Since(at))
						mu.Unlock()
						open.Done()
					}))
				}
			}
			open.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
