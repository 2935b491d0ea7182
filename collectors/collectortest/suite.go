package collectortest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Parts are what the suite gives a collector.
type Parts struct {
	Publisher collectors.Publisher
	Reporter  collectors.Reporter
	Cursors   collectors.Bucket
}

// Fixture is one runtime to watch.
type Fixture struct {
	// New returns a collector of the runtime, always of the same site and node.
	New func(t testing.TB, p Parts) collectors.Collector
	// Crash lets a new task start and end by itself with an error, and returns its id. Its environment,
	// command line, labels and log must hold the secrets.
	Crash func(t testing.TB) string
	// Secrets must not be found in any event.
	Secrets []string
	// Check, if set, is called with every event, such as to hold it against its schema.
	Check func(t testing.TB, e *event.Event)
}

const patience = 30 * time.Second

// Run runs the suite. The factory is called once per test.
func Run(t *testing.T, factory func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"ends with ctx":                 endsWithContext,
		"ends while the stream refuses": endsWhileRefused,
		"loses nothing when refused":    losesNothing,
		"ids do not depend on who saw":  sameIDs,
		"goes on after a crash":         goesOn,
		"events hold no secret":         noSecret,
	} {
		t.Run(name, func(t *testing.T) { test(t, factory(t)) })
	}
}

// Running is a collector at work.
type Running struct {
	Stream   *Stream
	Reporter *Reporter
	Cursors  *Bucket

	t      testing.TB
	cancel context.CancelFunc
	done   chan error
}

// Start runs a collector until Stop, or the end of the test. Nil cursors are new ones.
func Start(t testing.TB, f Fixture, s *Stream, cursors *Bucket) *Running {
	t.Helper()
	if cursors == nil {
		cursors = &Bucket{}
	}
	r := &Running{Stream: s, Reporter: &Reporter{}, Cursors: cursors, t: t, done: make(chan error, 1)}
	c := f.New(t, Parts{s, r.Reporter, cursors})
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- c.Run(ctx) }()
	t.Cleanup(r.Stop)
	return r
}

// Connected waits until the collector sees its runtime.
func (r *Running) Connected() *Running {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return r.Reporter.Last().Connected }, patience, 10*time.Millisecond, "the collector does not connect")
	return r
}

// Stopped waits for the end of a task and returns it.
func (r *Running) Stopped(task string) event.Event {
	r.t.Helper()
	return r.Told(event.TaskStopped, task)
}

// Told waits for an event of a task and returns the first.
func (r *Running) Told(typ event.Type, task string) event.Event {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return len(r.Stream.Of(typ, task)) > 0 }, patience, 10*time.Millisecond, "%s of %s is not told", typ, task)
	return r.Stream.Of(typ, task)[0]
}

// Stop ends the collector and demands that it ends well and soon. It may be called twice.
func (r *Running) Stop() {
	r.t.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	select {
	case err := <-r.done:
		require.NoError(r.t, err)
	case <-time.After(patience):
		require.Fail(r.t, "the collector does not end")
	}
	require.NoError(r.t, r.Stream.Faults())
}

func endsWithContext(t *testing.T, f Fixture) {
	before := goleak.IgnoreCurrent()
	r := Start(t, f, &Stream{}, nil).Connected()
	f.Crash(t)
	r.Stop()
	goleak.VerifyNone(t, before)
}

func endsWhileRefused(t *testing.T, f Fixture) {
	before := goleak.IgnoreCurrent()
	r := Start(t, f, &Stream{}, nil).Connected()
	r.Stream.Refuse(true)
	f.Crash(t)
	require.Eventually(t, func() bool { return r.Stream.Blocked() > 0 }, patience, 5*time.Millisecond)
	begun := time.Now()
	r.Stop()
	assert.Less(t, time.Since(begun), 10*time.Second)
	goleak.VerifyNone(t, before)
}

func losesNothing(t *testing.T, f Fixture) {
	r := Start(t, f, &Stream{}, nil).Connected()
	r.Stream.Refuse(true)
	tasks := []string{f.Crash(t), f.Crash(t), f.Crash(t)}
	require.Eventually(t, func() bool { return r.Stream.Blocked() > 0 }, patience, 5*time.Millisecond)
	assert.Empty(t, r.Stream.Of(event.TaskStopped, tasks[2]))
	r.Stream.Refuse(false)
	for _, task := range tasks {
		assert.False(t, r.Stopped(task).Data.Cause.Expected)
		assert.NotEmpty(t, r.Stream.Of(event.TaskStarted, task))
	}
}

func sameIDs(t *testing.T, f Fixture) {
	live := Start(t, f, &Stream{}, nil).Connected()
	both := Start(t, f, &Stream{}, nil).Connected()
	task := f.Crash(t)
	first, second := live.Stopped(task), both.Stopped(task)
	assert.Equal(t, first.ID, second.ID)
	assert.Equal(t, live.Told(event.TaskStarted, task).ID, both.Told(event.TaskStarted, task).ID)
	seen := map[string]bool{}
	for _, e := range live.Stream.Events() {
		assert.False(t, seen[e.ID], "%s has the id of another event", e.Type)
		seen[e.ID] = true
	}
}

func goesOn(t *testing.T, f Fixture) {
	r := Start(t, f, &Stream{}, nil).Connected()
	before := f.Crash(t)
	r.Stopped(before)
	r.Stop()
	crash := r.Cursors.Copy()
	after := f.Crash(t)
	again := Start(t, f, &Stream{}, crash).Connected()
	assert.False(t, again.Stopped(after).Data.Cause.Expected)
	require.Eventually(t, func() bool { return len(again.Reporter.Gaps()) > 0 }, patience, 10*time.Millisecond, "the gap is not told")
	assert.Empty(t, again.Stream.Of(event.TaskStopped, before), "what was told before is told again")
	assert.False(t, again.Reporter.Gaps()[0].From.IsZero())
}

func noSecret(t *testing.T, f Fixture) {
	r := Start(t, f, &Stream{}, nil).Connected()
	r.Stopped(f.Crash(t))
	r.Stop()
	require.NotEmpty(t, f.Secrets)
	for _, e := range r.Stream.Events() {
		b, err := event.Append(nil, &e)
		require.NoError(t, err)
		for _, secret := range f.Secrets {
			assert.False(t, strings.Contains(string(b), secret), "%s holds %q: %s", e.Type, secret, b)
		}
		if f.Check != nil {
			f.Check(t, &e)
		}
	}
}
