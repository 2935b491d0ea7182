package collectors_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stream keeps what was published; while refusing, Publish blocks as the contract says.
type stream struct {
	mu       sync.Mutex
	events   []event.Event
	refusing bool
}

func (s *stream) Publish(ctx context.Context, e event.Event) error {
	for {
		s.mu.Lock()
		if !s.refusing {
			s.events = append(s.events, e)
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *stream) all() []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]event.Event(nil), s.events...)
}

func (s *stream) types() []string {
	var names []string
	for _, e := range s.all() {
		names = append(names, e.Type.Event())
	}
	return names
}

type run func(ctx context.Context) error

func (r run) Run(ctx context.Context) error { return r(ctx) }

func supervise(t *testing.T, s *stream, body func(ctx context.Context, l *collectors.Link) error) *collectors.Supervisor {
	t.Helper()
	sup, err := collectors.NewSupervisor(collectors.Deps{Site: "test", Node: "n1", Publisher: s, Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	require.NoError(t, sup.Add("docker", event.Docker, func(l *collectors.Link) (collectors.Collector, error) {
		return run(func(ctx context.Context) error { return body(ctx, l) }), nil
	}))
	return sup
}

func start(t *testing.T, sup *collectors.Supervisor) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sup.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func TestStartedHeartbeatStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{}
		sup := supervise(t, s, func(ctx context.Context, l *collectors.Link) error {
			l.Report(collectors.Report{Connected: true, Engine: "E", Version: "29.1", Containers: 3, Workloads: 2})
			<-ctx.Done()
			return nil
		})
		assert.False(t, sup.Status()[0].Connected)
		stop := start(t, sup)
		<-time.After(2*time.Minute + time.Second)
		assert.True(t, sup.Status()[0].Connected)
		stop()
		assert.Equal(t, []string{"started", "heartbeat", "heartbeat", "stopped"}, s.types())
		for _, e := range s.all() {
			require.NoError(t, event.Validate(&e))
		}
		first := s.all()[0]
		assert.Equal(t, "29.1", first.Data.Collector.Version)
		assert.Equal(t, "collector docker watches 3 containers of 2 workloads", first.Data.Message)
		assert.Equal(t, "asked to stop", s.all()[3].Data.Collector.Reason)
		assert.False(t, sup.Status()[0].Connected)
	})
}

func TestFailedRunIsToldAndStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{}
		var starts []time.Time
		sup := supervise(t, s, func(_ context.Context, l *collectors.Link) error {
			starts = append(starts, time.Now())
			l.Report(collectors.Report{Connected: true})
			synctest.Wait()
			return errors.New("boom")
		})
		stop := start(t, sup)
		<-time.After(4 * time.Second)
		assert.EqualError(t, sup.Status()[0].LastError, "boom")
		stop()
		require.GreaterOrEqual(t, len(starts), 3)
		assert.InDelta(t, time.Second, starts[1].Sub(starts[0]), float64(250*time.Millisecond))
		assert.InDelta(t, 2*time.Second, starts[2].Sub(starts[1]), float64(500*time.Millisecond))
		assert.Contains(t, s.types(), "stopped")
		assert.Equal(t, "boom", s.all()[1].Data.Collector.Reason)
	})
}

func TestBlindIsAnnouncedOnceAndMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{}
		begun := time.Now()
		sup := supervise(t, s, func(ctx context.Context, l *collectors.Link) error {
			for range 40 { // a new text each time must not announce again
				l.Report(collectors.Report{Err: errors.New("no socket")})
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(time.Second):
				}
			}
			l.Report(collectors.Report{Connected: true, Containers: 1})
			if err := l.Gap(ctx, collectors.Gap{To: time.Now(), Reason: "no socket", Reconciled: 2, UnknownCodes: 1, UnseenRuns: 3, Unknown: []string{"exit codes"}}); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		})
		stop := start(t, sup)
		<-time.After(50 * time.Second)
		stop()
		var gaps []event.Event
		for _, e := range s.all() {
			require.NoError(t, event.Validate(&e))
			if e.Type == event.CollectorGap {
				gaps = append(gaps, e)
			}
		}
		require.Len(t, gaps, 2)
		assert.Equal(t, begun.UTC(), gaps[0].Data.Collector.From)
		assert.True(t, gaps[0].Data.Collector.To.IsZero())
		assert.Equal(t, gaps[0].ID, gaps[1].Data.Supersedes)
		assert.Equal(t, int64(2), gaps[1].Data.Collector.Reconciled)
		assert.Equal(t, event.Warn, gaps[1].Severity)
		assert.Contains(t, gaps[1].Data.Message, "2 transitions found afterwards, 1 of them without an exit code, 3 runs that nobody saw")
		assert.Equal(t, []int64{1, 3}, []int64{gaps[1].Data.Collector.UnknownCodes, gaps[1].Data.Collector.UnseenRuns})
	})
}

func TestConflictIsTheSameEventOnBothSides(t *testing.T) {
	t.Parallel()
	s := &stream{}
	sup, err := collectors.NewSupervisor(collectors.Deps{Site: "test", Node: "n1", Publisher: s})
	require.NoError(t, err)
	since := time.Now()
	for _, name := range []string{"docker", "docker-2"} {
		require.NoError(t, sup.Add(name, event.Docker, func(l *collectors.Link) (collectors.Collector, error) {
			c := collectors.Conflict{Key: "pair", Self: l.Name() + " on n1", Peer: "other on n2", Advice: "remove one", Since: since}
			require.NoError(t, l.Conflict(t.Context(), c))
			c.Until = since.Add(time.Minute)
			return nil, l.Conflict(t.Context(), c)
		}))
	}
	all := s.all()
	require.Len(t, all, 4)
	opened, over := all[0], all[1]
	assert.Equal(t, []string{opened.ID, over.ID}, []string{all[2].ID, all[3].ID})
	assert.Equal(t, event.Error, opened.Severity)
	assert.Equal(t, "docker on n1 and other on n2 watch the same runtime: remove one", opened.Data.Message)
	assert.Equal(t, "other on n2", opened.Data.Collector.Peer)
	assert.Equal(t, opened.ID, over.Data.Supersedes)
	assert.Equal(t, event.Info, over.Severity)
	assert.Equal(t, since.Add(time.Minute).UTC(), over.Data.Collector.To)
	for _, e := range all {
		require.NoError(t, event.Validate(&e))
	}
}

func TestShortBlindnessIsNotAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{}
		sup := supervise(t, s, func(ctx context.Context, l *collectors.Link) error {
			for ctx.Err() == nil {
				l.Report(collectors.Report{Connected: true})
				<-time.After(3 * time.Second)
				l.Report(collectors.Report{Err: errors.New("EOF")})
				<-time.After(3 * time.Second)
			}
			return nil
		})
		stop := start(t, sup)
		<-time.After(55 * time.Second)
		stop()
		assert.NotContains(t, s.types(), "gap")
		assert.Equal(t, "started", s.types()[0])
	})
}

func TestSequenceIsContiguousPerSource(t *testing.T) {
	t.Parallel()
	s := &stream{}
	sup, err := collectors.NewSupervisor(collectors.Deps{Site: "test", Node: "n1", Publisher: s})
	require.NoError(t, err)
	var links []*collectors.Link
	for _, name := range []string{"a", "b"} {
		require.NoError(t, sup.Add(name, event.Docker, func(l *collectors.Link) (collectors.Collector, error) {
			links = append(links, l)
			return run(func(ctx context.Context) error { <-ctx.Done(); return nil }), nil
		}))
	}
	require.Error(t, sup.Add("a", event.Docker, nil))
	var wg sync.WaitGroup
	for _, l := range links {
		for range 4 {
			wg.Go(func() {
				for range 50 {
					assert.NoError(t, l.Publish(t.Context(), event.Event{ID: "x", Type: event.TaskStarted}))
				}
			})
		}
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, e := range s.all() {
		assert.Regexp(t, `^\d{14}-\d{10}$`, e.Sequence)
		assert.Equal(t, "bellbuoy://test/docker/n1", e.Source)
		assert.False(t, e.Recorded.IsZero())
		seen[e.Sequence[15:]] = true
	}
	assert.Len(t, seen, 400)
	assert.True(t, seen["0000000400"])

	for i, source := range []string{"arn:cluster/a", "arn:cluster/b", "arn:cluster/a"} {
		require.NoError(t, links[i%2].Publish(t.Context(), event.Event{ID: "x", Source: source, Type: event.TaskStarted}))
	}
	var own []string
	for _, e := range s.all()[400:] {
		own = append(own, e.Source+" "+e.Sequence[15:])
	}
	assert.Equal(t, []string{"arn:cluster/a 0000000001", "arn:cluster/b 0000000001", "arn:cluster/a 0000000002"}, own,
		"a collector of ECS names each cluster as a source of its own")
}

func TestStopDoesNotWaitForARefusingStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stream{}
		sup := supervise(t, s, func(ctx context.Context, l *collectors.Link) error {
			l.Report(collectors.Report{Connected: true})
			<-ctx.Done()
			return nil
		})
		stop := start(t, sup)
		synctest.Wait()
		s.mu.Lock()
		s.refusing = true
		s.mu.Unlock()
		begun := time.Now()
		stop()
		assert.LessOrEqual(t, time.Since(begun), 5*time.Second)
	})
}

func TestNewSupervisorNeedsItsParts(t *testing.T) {
	t.Parallel()
	_, err := collectors.NewSupervisor(collectors.Deps{Site: "x"})
	require.Error(t, err)
	_, err = collectors.NewSupervisor(collectors.Deps{Publisher: &stream{}})
	require.Error(t, err)
}
