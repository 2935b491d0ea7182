package ecs

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
)

// BenchmarkIntake is receive, publish and delete over sockets, with a real bus that does not sync: the stand-in
// of AWS shares the processors.
func BenchmarkIntake(b *testing.B) {
	environment(b)
	for _, machine := range []string{"echo", "machine"} {
		b.Run(machine, func(b *testing.B) {
			nats := bustest.New(b)
			fake := awsfake.Start(b, awsfake.Options{})
			q := fake.CreateQueue("events", nil)
			cfg := DefaultConfig()
			cfg.QueueURL, cfg.Endpoint, cfg.Pollers = q.URL, fake.URL, maxPollers
			store, err := nats.Bucket(b.Context(), "VERSIONS")
			require.NoError(b, err)
			c, err := New(cfg, Deps{Site: "test", Node: "node", Publisher: strictly{bustest.Publisher(b, nats)}, Bucket: store, AWS: loader(b)})
			require.NoError(b, err)
			w := work{machine: &echo{}, read: readWord}
			if machine == "machine" {
				w.machine = newMachine(machineOptions{Store: store})
			}
			bodies := make([]string, b.N)
			for i := range bodies {
				bodies[i] = fmt.Sprintf("t%d/%d", i/8, 1+i%8) // a task's life is about eight changes
			}
			q.Send(bodies...)
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			b.ResetTimer()
			go func() { done <- c.run(ctx, w) }()
			require.Eventually(b, func() bool { return q.Len() == 0 }, 10*time.Minute, 5*time.Millisecond)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			cancel()
			require.NoError(b, <-done)
		})
	}
}

// BenchmarkAsk is what 10,000 stops of 50 services ask, by as many at once as a collector handles, behind the
// documented limits: calls for all of them, and how long they wait.
func BenchmarkAsk(b *testing.B) {
	environment(b)
	const stops, services, atOnce = 10_000, 50, 80
	for b.Loop() {
		fake := awsfake.Start(b, awsfake.Options{Buckets: true})
		definitions := make([]string, services)
		for i := range definitions {
			name := fmt.Sprint("web-", i)
			d := fake.PutDefinition(types.TaskDefinition{Family: &name, ContainerDefinitions: []types.ContainerDefinition{{Name: &name, Image: &name}}})
			fake.PutService("prod", types.Service{ServiceName: &name, TaskDefinition: d.TaskDefinitionArn})
			definitions[i] = *d.TaskDefinitionArn
		}
		cfg := DefaultConfig()
		cfg.QueueURL, cfg.Endpoint = fake.CreateQueue("events", nil).URL, fake.URL
		c, err := New(cfg, Deps{Site: "test", Node: "node", Publisher: &collectortest.Stream{}, AWS: loader(b)})
		require.NoError(b, err)
		asker := newCloud(c.api(), discard())
		var unknown atomic.Int64
		var group errgroup.Group
		group.SetLimit(atOnce)
		for i := range stops {
			group.Go(func() error {
				ctx, cancel := context.WithTimeout(b.Context(), askBound)
				defer cancel()
				_, err := asker.definition(ctx, definitions[i%services])
				s, err2 := asker.service(ctx, testCluster, fmt.Sprint("web-", i%services))
				if err != nil || err2 != nil || s == nil {
					unknown.Add(1)
				}
				return nil
			})
		}
		require.NoError(b, group.Wait())
		b.ReportMetric(float64(fake.Count("ecs:DescribeTaskDefinition")), "definition-calls")
		b.ReportMetric(float64(fake.Count("ecs:DescribeServices")), "service-calls")
		b.ReportMetric(float64(fake.Throttled()), "throttled")
		b.ReportMetric(float64(unknown.Load()), "unknown")
	}
}
