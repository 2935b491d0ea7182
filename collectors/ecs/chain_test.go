package ecs

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/ecslife"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// whole runs a collector as it is.
func (s *socketed) whole(t *testing.T) (end func()) {
	t.Helper()
	c, err := New(s.cfg, s.deps)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return sync.OnceFunc(func() {
		t.Helper()
		cancel()
		require.NoError(t, <-done)
	})
}

// verdicts are the last stop of each task and how many of them were told first, by ARN's last part.
func verdicts(events []event.Event) (last map[string]event.Event, first map[string]int) {
	last, first = map[string]event.Event{}, map[string]int{}
	for _, e := range events {
		if e.Type != event.TaskStopped {
			continue
		}
		last[e.Data.Task.ID] = e
		if e.Data.Supersedes == "" {
			first[e.Data.Task.ID]++
		}
	}
	return last, first
}

// Whole lives come through a queue, out of order and twice, and each end is told once with the right cause.
func TestLivesThroughAQueue(t *testing.T) {
	for name, disorder := range map[string]bool{"in order": false, "disorder": true} {
		t.Run(name, func(t *testing.T) {
			stream := &collectortest.Stream{}
			s := newSocketed(t, stream)
			lives := ecslife.All(s.aws)
			want, tasks := map[string]ecslife.Life{}, 0
			for i, life := range lives {
				bodies := life.Bodies
				if disorder {
					bodies = ecslife.Disorder(uint64(i), 5, bodies)
				}
				s.queue.Send(bodies...)
				for _, arn := range life.Tasks {
					want[lastPart(arn)] = life
					tasks++
				}
			}
			defer s.whole(t)()
			require.Eventually(t, func() bool {
				last, _ := verdicts(stream.Events())
				return len(last) == tasks && s.queue.Len() == 0
			}, patience, 20*time.Millisecond)

			last, first := verdicts(stream.Events())
			alerts := map[string]int{}
			for id, life := range want {
				c := last[id].Data.Cause
				assert.Equal(t, life.Class, c.Class, "%s: %s", life.Name, c.Say)
				assert.Equal(t, life.Initiator, c.Initiator, life.Name)
				assert.Equal(t, 1, first[id], life.Name)
				if !c.Expected {
					alerts[life.Name]++
					assert.NotEmpty(t, c.Next, life.Name)
				}
			}
			for _, life := range lives {
				assert.Equal(t, life.Alerts, alerts[life.Name], life.Name)
			}
			require.NoError(t, stream.Faults())
			assert.Empty(t, s.letters.all())
		})
	}
}
