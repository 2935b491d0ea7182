// Package bustest gives tests a real bus: an embedded NATS server in a temporary folder, all streams and
// buckets made, and helpers that publish and that wait for what must come.
//
// It stands beside the code under test and is linked into no program. Guarantee: everything is shut down
// and gone when the test ends. On failure it fails the test.
package bustest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Wait bounds every wait of this package.
const Wait = 20 * time.Second

// New returns a bus on a server of its own that serves this process alone and does not sync the disk.
func New(t testing.TB) *bus.Bus {
	t.Helper()
	return Connect(t, bus.Options{Server: Server(t, natsserver.Options{}), Durability: bus.Relaxed})
}

// Server starts a server that ends with the test; an empty Dir is a temporary one.
func Server(t testing.TB, o natsserver.Options) *natsserver.Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := natsserver.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(s.Shutdown)
	return s
}

// Connect returns a bus with all streams and buckets set up.
func Connect(t testing.TB, o bus.Options) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	require.NoError(t, b.Setup(t.Context()))
	return b
}

// Publisher returns a publisher that runs until the test ends.
func Publisher(t testing.TB, b *bus.Bus) *bus.Publisher {
	t.Helper()
	p := b.NewPublisher()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return p
}

// Publish publishes the events and returns when all are stored.
func Publish(t testing.TB, b *bus.Bus, events ...event.Event) {
	t.Helper()
	p := Publisher(t, b)
	for _, e := range events {
		require.NoError(t, p.Publish(t.Context(), e))
	}
}

// Events waits until the stream has n events and returns all it has, oldest first. It fails if there are
// more.
func Events(t testing.TB, b *bus.Bus, n int) []event.Event {
	t.Helper()
	var events []event.Event
	require.Eventually(t, func() bool {
		events = nil
		err := b.Tail(t.Context(), bus.TailOptions{}, func(d bus.Delivery) error {
			require.NoError(t, d.Err)
			events = append(events, d.Event)
			return nil
		})
		return err == nil && len(events) >= n
	}, Wait, 20*time.Millisecond, "%d events on the stream", n)
	require.Len(t, events, n)
	return events
}

// Fetch waits for exactly n deliveries of the consumer.
func Fetch(t testing.TB, c *bus.Consumer, n int) []*bus.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Wait)
	defer cancel()
	var got []*bus.Delivery
	for len(got) < n {
		more, err := c.Fetch(ctx, n-len(got), 0)
		require.NoError(t, err, "%d of %d deliveries came", len(got), n)
		got = append(got, more...)
	}
	return got
}

// Event returns a valid task event. Each number is another occurrence; ten numbers in turn share a workload
// and a task.
func Event(number int) event.Event {
	name := fmt.Sprintf("app-%d", number%10)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(number) * time.Millisecond)
	subject := event.SubjectOf("shop", name, fmt.Sprintf("%064x", number%10))
	return event.Event{
		ID:     event.NewID("bustest", fmt.Sprint(number)),
		Source: event.SourceOf("test", event.Docker, "node-1"), Type: event.TaskStopped, Subject: subject,
		Time: at, Recorded: at.Add(time.Millisecond), Severity: event.Error, PartitionKey: subject,
		Sequence: fmt.Sprintf("%014d-%010d", at.UnixMilli(), number+1),
		Data: event.Data{
			Site: "test", Runtime: event.Docker, Scope: "shop", Node: "node-1", Workload: name,
			Observed: event.ObservedStream, Message: fmt.Sprintf("occurrence %d", number),
			Task: &event.Task{ID: fmt.Sprintf("%064x", number%10), Name: name, Run: fmt.Sprintf("run-%d", number), State: event.StateStopped},
			Cause: &event.Cause{
				Class: "exit.error", Confidence: event.Fact, Initiator: "app", Say: "The program ended with exit code 3.",
				Evidence: []string{"exit code 3"},
			},
		},
	}
}

// Numbers returns the events of the numbers from first up to but without end.
func Numbers(first, end int) []event.Event {
	events := make([]event.Event, 0, end-first)
	for number := first; number < end; number++ {
		events = append(events, Event(number))
	}
	return events
}
