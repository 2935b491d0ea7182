package ecs

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
)

// benchFacts are the lives of so many tasks, one after the other.
func benchFacts(tasks int) []*fact {
	facts := make([]*fact, 0, 5*tasks)
	for i := range tasks {
		l := scaleIn()
		for _, f := range l.facts {
			f.task.ARN = fmt.Sprintf("arn:aws:ecs:eu-west-1:123456789012:task/prod/%032x", i)
			facts = append(facts, factOfTest(f.task))
		}
	}
	return facts
}

func silent(context.Context, out) error { return nil }

// BenchmarkHandle is one event of a life of five, with a stop in it.
func BenchmarkHandle(b *testing.B) {
	facts := benchFacts(b.N/5 + 1)
	m := testMachine(nil)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := m.handle(b.Context(), facts[i], silent); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHandleRepeated is a duplicate.
func BenchmarkHandleRepeated(b *testing.B) {
	facts := benchFacts(1)
	m := testMachine(nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.handle(b.Context(), facts[1], silent); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHandleNATS is the same with a bucket of a server that does not sync, by as many pollers as work at once.
func BenchmarkHandleNATS(b *testing.B) {
	for _, publish := range []bool{false, true} {
		b.Run(fmt.Sprintf("publish=%v", publish), func(b *testing.B) {
			nats := bustest.New(b)
			bucket, err := nats.Bucket(b.Context(), "VERSIONS")
			require.NoError(b, err)
			publisher := bustest.Publisher(b, nats)
			tell := silent
			if publish {
				tell = func(ctx context.Context, o out) error {
					if o.event.Recorded.IsZero() {
						o.event.Recorded = time.Now()
					}
					return publisher.Publish(ctx, o.event)
				}
			}
			facts := benchFacts(b.N/5 + 1)
			m := testMachine(bucket)
			b.ReportAllocs()
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range 80 {
				wg.Go(func() {
					for {
						life := int(next.Add(5)) - 5
						if life >= b.N {
							return
						}
						for _, f := range facts[life:min(life+5, b.N)] {
							if err := m.handle(b.Context(), f, tell); err != nil {
								b.Error(err)
								return
							}
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkMemory is what 10,000 tasks that live take, and how long it takes to read them again.
func BenchmarkMemory(b *testing.B) {
	const tasks = 10_000
	for b.Loop() {
		nats := bustest.New(b)
		bucket, err := nats.Bucket(b.Context(), "VERSIONS")
		require.NoError(b, err)
		m := testMachine(bucket)
		facts := benchFacts(tasks)
		for i := 0; i < len(facts); i += 5 {
			require.NoError(b, m.handle(b.Context(), facts[i], silent))
		}
		m, facts = nil, nil
		begin := time.Now()
		before := heap()
		m = testMachine(bucket)
		require.NoError(b, m.load(b.Context()))
		b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms/load")
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		require.Len(b, m.live(testCluster), tasks)
		runtime.KeepAlive(facts)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
