package e2e_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/restart"
)

// healing is a daemon, its collector and a restart handler with a real ledger. The stream between them is
// a list in memory that delivers again as the router does.
type healing struct {
	t       *testing.T
	docker  *harness.Docker
	handler *restart.Handler

	mu     sync.Mutex
	events []event.Event
	fresh  chan struct{}
}

func (s *healing) Publish(_ context.Context, e event.Event) error {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	select {
	case s.fresh <- struct{}{}:
	default:
	}
	return nil
}

func newHealing(t *testing.T, change ...func(*restart.Config)) *healing {
	t.Helper()
	s := &healing{t: t, docker: stand.Docker(t), fresh: make(chan struct{}, 1)}
	ledger, err := bustest.New(t).Bucket(t.Context(), bus.ActionsBucket)
	require.NoError(t, err)
	cfg := restart.DefaultConfig()
	cfg.Mode, cfg.VerifyAfter, cfg.Docker.Host = restart.Act, time.Second, s.docker.Host
	cfg.Backoff = restart.Backoff{First: 200 * time.Millisecond, Limit: time.Second}
	for _, c := range change {
		c(&cfg)
	}
	s.handler, err = restart.New(cfg, restart.Deps{Name: "healer", Node: "n1", Publisher: s, Ledger: ledger})
	require.NoError(t, err)
	dcfg := docker.DefaultConfig()
	dcfg.Host = s.docker.Host
	collector, err := docker.New(dcfg, docker.Deps{Site: "e2e", Node: "n1", Publisher: s, Acting: s.handler.Acting})
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { assert.NoError(t, collector.Run(ctx)) })
	wg.Go(func() { s.route(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		require.NoError(t, s.handler.Close())
	})
	return s
}

// route delivers each event until it is done, every delivery twice at the end.
func (s *healing) route(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for next := 0; ; {
		s.mu.Lock()
		batch := slices.Clone(s.events[next:])
		next = len(s.events)
		s.mu.Unlock()
		for _, e := range batch {
			wg.Go(func() { s.deliver(ctx, e) })
		}
		select {
		case <-s.fresh:
		case <-ctx.Done():
			return
		}
	}
}

func (s *healing) deliver(ctx context.Context, e event.Event) {
	for done := 0; done < 2 && ctx.Err() == nil; {
		err := s.handler.Send(ctx, []event.Event{e})
		wait := 50 * time.Millisecond
		var throttled *sinks.Throttled
		switch {
		case err == nil:
			done++
		case errors.As(err, &throttled):
			wait = max(wait, throttled.After)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func (s *healing) run(spec harness.RunSpec, want string) string {
	s.t.Helper()
	if spec.Labels == nil {
		spec.Labels = map[string]string{}
	}
	spec.Name = containerName(s.t)
	spec.Labels["bellbuoy.restart"] = want
	return s.docker.Run(s.t, spec)
}

// actions returns what was told about the container, each event once.
func (s *healing) actions(id string) []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var told []event.Event
	seen := map[string]bool{}
	for _, e := range s.events {
		if e.Data.Action != nil && e.Data.Task.ID == id && !seen[e.ID] {
			seen[e.ID] = true
			told = append(told, e)
		}
	}
	return told
}

func (s *healing) words(id string) []string {
	var words []string
	for _, e := range s.actions(id) {
		words = append(words, e.Type.Event())
	}
	return words
}

// await waits until something was told and checks all that was told against the schemas.
func (s *healing) await(id, word string) event.Event {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return slices.Contains(s.words(id), word) }, time.Minute, 50*time.Millisecond, "no action %s", word)
	told := s.actions(id)
	for _, e := range told {
		schematest.Valid(s.t, e)
	}
	return told[slices.IndexFunc(told, func(e event.Event) bool { return e.Type.Event() == word })]
}

func (s *healing) starts(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range s.events {
		if e.Type == event.TaskStarted && e.Data.Task.ID == id {
			seen[e.Data.Task.Run] = true
		}
	}
	return len(seen)
}

// counting is a script that knows which of its runs it is.
const counting = `n=$(cat /n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /n; `

func sh(script string) []string { return []string{"sh", "-c", script} }

func TestRestartGivesUpOnce(t *testing.T) {
	s := newHealing(t)
	id := s.run(harness.RunSpec{Cmd: sh(counting + `exit 7`)}, "on-failure")
	gaveUp := s.await(id, "gaveup")
	require.Equal(t, "budget", gaveUp.Data.Action.Rule)
	require.Equal(t, 5, s.starts(id), "its own start and the budget of four")
	require.False(t, s.docker.Inspect(t, id).State.Running)
	s.docker.Start(t, id)
	require.Eventually(t, func() bool { return s.starts(id) == 6 }, 20*time.Second, 50*time.Millisecond)
	s.idle(id)
	words := s.words(id)
	require.Equal(t, 1, len(words)-len(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "gaveup" })), "%v", words)
	require.Equal(t, 6, s.starts(id))
}

// idle waits until no run of the container was begun for two seconds.
func (s *healing) idle(id string) {
	s.t.Helper()
	n, since := s.starts(id), time.Now()
	require.Eventually(s.t, func() bool {
		if now := s.starts(id); now != n {
			n, since = now, time.Now()
		}
		return time.Since(since) > 2*time.Second
	}, time.Minute, 50*time.Millisecond)
}

func TestRestartDryRunTouchesNothing(t *testing.T) {
	s := newHealing(t, func(c *restart.Config) { c.Mode = restart.DryRun })
	id := s.run(harness.RunSpec{Cmd: sh(`exit 3`)}, "always")
	requested := s.await(id, "requested")
	require.Contains(t, requested.Data.Action.Reason, "would have started")
	s.idle(id)
	require.Equal(t, []string{"requested"}, s.words(id))
	require.Equal(t, 1, s.starts(id))
}
