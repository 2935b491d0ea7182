package ecs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
