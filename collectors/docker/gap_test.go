package docker_test

import (
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// gaps waits for that many gaps and returns them.
func gaps(t *testing.T, r *collectortest.Running, n int) []collectors.Gap {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.Reporter.Gaps()) >= n }, deadline, 5*time.Millisecond, "no gap is told")
	require.Len(t, r.Reporter.Gaps(), n)
	return r.Reporter.Gaps()
}

// noise fills the daemon's log with events of another kind.
func (f *fakeDaemon) noise(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.emitLocked(f.other(), "exec_start: probe")
	}
}

// other is a container of which nobody is told.
func (f *fakeDaemon) other() string {
	return "0000000000000000000000000000000000000000000000000000000000000000"
}

// TestQuietDaemonHasNoHole: a daemon that never logged anything forgot nothing.
func TestQuietDaemonHasNoHole(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	for range 3 {
		opened := f.streamsOpened()
		f.cut()
		require.Eventually(t, func() bool { return f.streamsOpened() > opened }, deadline, 5*time.Millisecond)
	}
	id := fakeFixture(f).Crash(t)
	r.Stopped(id)
	r.Stop()
	assert.Empty(t, r.Reporter.Gaps())

	again := collectortest.Start(t, fakeFixture(f), r.Stream, r.Cursors).Connected()
	gap := gaps(t, again, 1)[0]
	assert.Empty(t, gap.Unknown, "its log goes back to before")
	assert.Equal(t, "Bellbuoy was not running", gap.Reason)
	assert.Zero(t, gap.Reconciled)
}

// TestQuietDaemonIsLeftAndFoundAgain: not one event is known, and none came.
func TestQuietDaemonIsLeftAndFoundAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	r.Stop()
	again := collectortest.Start(t, fakeFixture(f), r.Stream, r.Cursors).Connected()
	assert.Empty(t, gaps(t, again, 1)[0].Unknown)
}

// TestShortCutOfABusyLogHasNoHole: what the log forgot was read before.
func TestShortCutOfABusyLogHasNoHole(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	f.noise(2 * fakeRing)
	before := fakeFixture(f).Crash(t)
	r.Stopped(before)
	f.noise(fakeRing / 2)
	f.cut()
	after := fakeFixture(f).Crash(t)
	assert.Equal(t, event.ObservedStream, r.Stopped(after).Data.Observed)
	assert.Empty(t, r.Reporter.Gaps())
}

// TestLogThatTurnedOver: more happened than the daemon remembers. The end states are found, and what can't
// be known is counted.
func TestLogThatTurnedOver(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	stream := &collectortest.Stream{}
	r := collectortest.Start(t, fakeFixture(f), stream, nil).Connected()
	loops := f.create(nil, func(in *container.InspectResponse) {
		in.HostConfig.RestartPolicy.Name = container.RestartPolicyAlways
	})
	ends := f.create(nil)
	for _, id := range []string{loops, ends} {
		f.run(id)
		r.Told(event.TaskStarted, id)
	}
	r.Stop()
	f.exit(ends, 5)
	for range 4 {
		f.exit(loops, 1)
		f.set(loops, func(in *container.InspectResponse) { in.RestartCount++ })
		f.run(loops)
	}
	lives := fakeFixture(f).Crash(t)
	f.remove(lives)
	f.noise(2 * fakeRing)
	again := collectortest.Start(t, fakeFixture(f), stream, r.Cursors).Connected()
	gap := gaps(t, again, 1)[0]
	assert.Contains(t, gap.Reason, "Bellbuoy was not running; the daemon's log keeps 256 events and begins ")
	assert.Len(t, gap.Unknown, 2)
	assert.Equal(t, 3, gap.Reconciled, "the end of one; the end of a run and the start of the last of the other")
	assert.Equal(t, 1, gap.UnknownCodes)
	assert.Equal(t, 3, gap.UnseenRuns)
	assert.Equal(t, int64(5), *again.Stopped(ends).Data.Task.Containers[0].ExitCode)
	assert.Empty(t, stream.Of(event.TaskStopped, lives), "nobody can know it")
}

// TestRestartedDaemonIsAHole: its log begins anew, also while nobody watched.
func TestRestartedDaemonIsAHole(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	r.Stopped(fakeFixture(f).Crash(t))
	f.stop()
	require.Eventually(t, func() bool { return !r.Reporter.Last().Connected }, deadline, 5*time.Millisecond)
	f.restart()
	gap := gaps(t, r, 1)[0]
	assert.Contains(t, gap.Reason, "the daemon was restarted, and its log begins anew")
	assert.NotEmpty(t, gap.Unknown)
	assert.False(t, gap.From.IsZero())
	assert.True(t, gap.From.Before(gap.To))
}

// TestProxyThatCutsIdleStreams: an end of the stream is routine and alarms nobody.
func TestProxyThatCutsIdleStreams(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	r.Stopped(fakeFixture(f).Crash(t))
	opened := time.Now()
	require.Eventually(t, func() bool { return time.Since(opened) > 3100*time.Millisecond }, deadline, 50*time.Millisecond, "until the stream is an old one")
	blind := 0
	f.cut()
	require.Eventually(t, func() bool {
		if !r.Reporter.Last().Connected {
			blind++
		}
		return f.streamsOpened() > 1
	}, deadline, time.Millisecond)
	r.Stopped(fakeFixture(f).Crash(t))
	assert.Zero(t, blind)
	assert.Empty(t, r.Reporter.Gaps())
}

// TestSlowIsNotDead: each answer takes five seconds, the stream's included, and nothing is lost; a daemon
// whose stream stays open and silent, and that answers nothing, is noticed.
func TestSlowIsNotDead(t *testing.T) {
	t.Parallel()
	f, hanging := newFake(t), newFake(t)
	dead := collectortest.Start(t, fakeFixture(hanging), &collectortest.Stream{}, nil).Connected()
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	begun := time.Now()
	hanging.slow(time.Hour, "_ping", "json", "inspect", "events", "info", "version")
	f.slow(5*time.Second, "_ping", "json", "inspect", "info")
	f.slow(time.Second, "events")
	opened := f.streamsOpened()
	ids := []string{fakeFixture(f).Crash(t), fakeFixture(f).Crash(t), fakeFixture(f).Crash(t)}
	for _, id := range ids {
		assert.Equal(t, "exit.error", r.Stopped(id).Data.Cause.Class)
		assert.Equal(t, event.ObservedStream, r.Stopped(id).Data.Observed)
	}
	assert.Equal(t, opened, f.streamsOpened())
	assert.Empty(t, r.Reporter.Gaps())

	require.Eventually(t, func() bool { return !dead.Reporter.Last().Connected }, 30*time.Second, 50*time.Millisecond)
	t.Logf("noticed after %s", time.Since(begun).Round(100*time.Millisecond))
	assert.ErrorContains(t, dead.Reporter.Last().Err, "it hangs, or something on the way holds its answers back")
	hanging.slow(0, "_ping", "json", "inspect", "events", "info", "version")
	dead.Connected()
	dead.Stopped(fakeFixture(hanging).Crash(t))
}

// slow makes answers take long.
func (f *fakeDaemon) slow(by time.Duration, what ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range what {
		f.delay[w] = by
	}
}
