package docker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = 20 * time.Second

func fakeFixture(f *fakeDaemon) collectortest.Fixture {
	return fakeFixtureAt(f, f.host(), docker.TLS{})
}

// fakeFixtureOf is a collector that runs on a node of another name.
func fakeFixtureOf(f *fakeDaemon, node string) collectortest.Fixture {
	fixture := fakeFixture(f)
	fixture.New = func(t testing.TB, p collectortest.Parts) collectors.Collector {
		t.Helper()
		cfg := docker.DefaultConfig()
		cfg.Host, cfg.SnapshotEvery = f.host(), time.Second
		c, err := docker.New(cfg, docker.Deps{Site: "test", Node: node, Publisher: p.Publisher, Reporter: p.Reporter, Cursors: p.Cursors})
		require.NoError(t, err)
		return c
	}
	return fixture
}

func fakeFixtureAt(f *fakeDaemon, host string, identity docker.TLS) collectortest.Fixture {
	return collectortest.Fixture{
		Secrets: []string{"hunter2", "tok3nInEnv", "Sw0rdf1sh", "labelS3cret"},
		New: func(t testing.TB, p collectortest.Parts) collectors.Collector {
			t.Helper()
			cfg := docker.DefaultConfig()
			cfg.Host, cfg.TLS, cfg.SnapshotEvery = host, identity, time.Second
			c, err := docker.New(cfg, docker.Deps{Site: "test", Node: "n1", Publisher: p.Publisher, Reporter: p.Reporter, Cursors: p.Cursors})
			require.NoError(t, err)
			return c
		},
		Crash: func(testing.TB) string {
			id := f.create(map[string]string{"db.password": "labelS3cret"})
			f.run(id)
			f.exit(id, 3)
			return id
		},
		Check: func(t testing.TB, e *event.Event) { schematest.Valid(t, *e) },
	}
}

func watch(t *testing.T) (*fakeDaemon, *collectortest.Running) {
	t.Helper()
	f := newFake(t)
	return f, collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
}

func TestConformance(t *testing.T) {
	collectortest.Run(t, func(t *testing.T) collectortest.Fixture { return fakeFixture(newFake(t)) })
}

func TestStopCarriesWhatPeopleNeed(t *testing.T) {
	f, r := watch(t)
	id := f.create(map[string]string{
		"com.docker.compose.project": "shop", "com.docker.compose.service": "pay", "com.docker.compose.config-hash": "0123456789abcdef",
		"bellbuoy.owner": "team-pay", "bellbuoy.alert": "off",
	}, func(in *container.InspectResponse) {
		in.HostConfig.RestartPolicy = container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 3}
	})
	f.run(id)
	f.exit(id, 3)
	e := r.Stopped(id)
	d := e.Data
	assert.Equal(t, []string{"shop", "pay", "0123456789ab", "team-pay"}, []string{d.Scope, d.Workload, d.Revision, d.Owner})
	assert.Equal(t, "shop/pay/"+id, e.Subject)
	assert.Equal(t, "off", d.Labels["bellbuoy.alert"])
	assert.Equal(t, event.Error, e.Severity)
	assert.Equal(t, "exit.error", d.Cause.Class)
	only := d.Task.Containers[0]
	assert.Equal(t, int64(3), *only.ExitCode)
	assert.Equal(t, "on-failure:3", only.RestartPolicy)
	assert.Equal(t, &event.Log{Lines: []string{"password=[redacted]", "boom"}}, d.Task.Log)
	assert.Equal(t, event.ObservedStream, d.Observed)
	assert.Equal(t, e.Data.Task.Run, r.Stream.Of(event.TaskStarted, id)[0].Data.Task.Run)
	schematest.Valid(t, e)
}

func TestLabelsDoNotForgeTheExitCode(t *testing.T) {
	f, r := watch(t)
	id := f.create(map[string]string{"exitCode": "0", "signal": "10"})
	f.run(id)
	f.exit(id, 7)
	e := r.Stopped(id)
	assert.Equal(t, int64(7), *e.Data.Task.Containers[0].ExitCode)
	assert.Equal(t, "exit.error", e.Data.Cause.Class)

	gone := f.create(map[string]string{"exitCode": "0"})
	f.run(gone)
	r.Told(event.TaskStarted, gone)
	f.hide(gone)
	f.exit(gone, 7)
	e = r.Stopped(gone)
	assert.Nil(t, e.Data.Task.Containers[0].ExitCode, "a forged code is worse than none")
	assert.Equal(t, "unknown.lost", e.Data.Cause.Class)
}

func TestGoneBeforeItCouldBeAsked(t *testing.T) {
	f, r := watch(t)
	id := f.create(nil)
	f.hide(id)
	f.run(id)
	f.exit(id, 4)
	f.remove(id)
	e := r.Stopped(id)
	assert.Equal(t, int64(4), *e.Data.Task.Containers[0].ExitCode)
	assert.Equal(t, "exit.error", e.Data.Cause.Class)
	r.Told(event.TaskRemoved, id)
}

func TestLoggingDriverThatKeepsNothing(t *testing.T) {
	f, r := watch(t)
	id := f.create(nil)
	f.dropLog(id)
	f.run(id)
	f.exit(id, 1)
	assert.Equal(t, "its logging driver does not keep logs that can be read", r.Stopped(id).Data.Task.Log.None)
}

func TestLateOutOfMemoryAmends(t *testing.T) {
	f, r := watch(t)
	id := f.create(nil)
	f.run(id)
	f.exit(id, 137)
	first := r.Stopped(id)
	assert.Equal(t, "exit.sigkill", first.Data.Cause.Class)
	f.emit(id, "oom")
	require.Eventually(t, func() bool { return len(r.Stream.Of(event.TaskStopped, id)) == 2 }, deadline, 5*time.Millisecond)
	second := r.Stream.Of(event.TaskStopped, id)[1]
	assert.Equal(t, "oom", second.Data.Cause.Class)
	assert.Equal(t, first.ID, second.Data.Supersedes)
	assert.NotEqual(t, first.ID, second.ID)
	schematest.Valid(t, second)
}

func TestEarlyOutOfMemoryWithinTheHold(t *testing.T) {
	f, r := watch(t)
	id := f.create(nil)
	f.run(id)
	f.exit(id, 137)
	f.emit(id, "oom")
	assert.Equal(t, "oom", r.Stopped(id).Data.Cause.Class)
	assert.Len(t, r.Stream.Of(event.TaskStopped, id), 1)
}

func TestCutStreamLosesNothing(t *testing.T) {
	f, r := watch(t)
	var ids []string
	for range 20 {
		f.cut()
		ids = append(ids, fakeFixture(f).Crash(t))
	}
	for _, id := range ids {
		r.Stopped(id)
		assert.Len(t, r.Stream.Of(event.TaskStarted, id), 1)
		assert.Len(t, r.Stream.Of(event.TaskStopped, id), 1)
	}
	assert.Greater(t, f.streamsOpened(), 1)
}

// TestDroppedEventsAreReadAgain: the daemon drops events for a slow subscriber and says nothing, but its
// log still has them.
func TestDroppedEventsAreReadAgain(t *testing.T) {
	f, r := watch(t)
	var born string
	f.quietly(func() { born = fakeFixture(f).Crash(t) })
	e := r.Stopped(born)
	assert.Equal(t, event.ObservedStream, e.Data.Observed)
	assert.Equal(t, "exit.error", e.Data.Cause.Class)
	assert.Greater(t, f.streamsOpened(), 1)
	assert.Empty(t, r.Reporter.Gaps(), "nothing was lost, and nobody was blind for long")
}

// TestEventsDroppedInBetweenAreReadAgain: others came after them.
func TestEventsDroppedInBetweenAreReadAgain(t *testing.T) {
	f, r := watch(t)
	var born string
	f.quietly(func() {
		born = fakeFixture(f).Crash(t)
		f.remove(born) // nobody can be asked
	})
	after := fakeFixture(f).Crash(t)
	assert.Equal(t, event.ObservedStream, r.Stopped(after).Data.Observed)
	e := r.Stopped(born)
	assert.Equal(t, event.ObservedStream, e.Data.Observed)
	assert.Equal(t, int64(3), *e.Data.Task.Containers[0].ExitCode)
	r.Told(event.TaskRemoved, born)
	assert.Equal(t, 2, f.streamsOpened())
	assert.Empty(t, r.Reporter.Gaps())
}

// TestLostEventsAreFound: the daemon drops events for a slow subscriber, and its log has turned over.
func TestLostEventsAreFound(t *testing.T) {
	f, r := watch(t)
	runs := f.create(nil)
	f.run(runs)
	r.Told(event.TaskStarted, runs)
	var born string
	f.quietly(func() {
		f.exit(runs, 3)
		born = fakeFixture(f).Crash(t)
		f.forgetEvents()
	})
	assert.Equal(t, event.ObservedReconcile, r.Stopped(runs).Data.Observed)
	assert.Equal(t, "exit.error", r.Stopped(born).Data.Cause.Class)
	require.Eventually(t, func() bool { return len(r.Reporter.Gaps()) > 0 }, deadline, 5*time.Millisecond)
	gap := r.Reporter.Gaps()[0]
	assert.Equal(t, "the daemon's event stream lost events", gap.Reason)
	assert.Positive(t, gap.Reconciled)
}

// TestDaemonRestart: exits while it was down have no event, and its log is empty afterwards.
func TestDaemonRestart(t *testing.T) {
	f, r := watch(t)
	exits, vanishes, auto := f.create(nil), f.create(nil), f.create(nil, func(in *container.InspectResponse) { in.HostConfig.AutoRemove = true })
	for _, id := range []string{exits, vanishes, auto} {
		f.run(id)
		r.Told(event.TaskStarted, id)
	}
	f.stop()
	require.Eventually(t, func() bool { return !r.Reporter.Last().Connected }, deadline, 5*time.Millisecond)
	f.exit(exits, 9)
	f.remove(vanishes)
	f.remove(auto)
	f.restart()
	r.Connected()
	assert.Equal(t, int64(9), *r.Stopped(exits).Data.Task.Containers[0].ExitCode)
	assert.Contains(t, r.Stopped(exits).Data.Cause.Evidence, "no event told of it: it happened while nobody could see")
	assert.Equal(t, "user.remove", r.Stopped(vanishes).Data.Cause.Class)
	assert.True(t, r.Stopped(vanishes).Data.Cause.Expected)
	assert.Equal(t, "unknown.lost", r.Stopped(auto).Data.Cause.Class)
	assert.False(t, r.Stopped(auto).Data.Cause.Expected)
	r.Told(event.TaskRemoved, auto)
	require.Eventually(t, func() bool { return len(r.Reporter.Gaps()) == 1 }, deadline, 5*time.Millisecond)
	assert.NotEmpty(t, r.Reporter.Gaps()[0].Unknown)
}

func TestDaemonShutdownIsRecognised(t *testing.T) {
	f, r := watch(t)
	ids := []string{f.create(nil), f.create(nil)}
	for _, id := range ids {
		f.run(id)
		r.Told(event.TaskStarted, id)
	}
	for _, id := range ids {
		f.emit(id, "kill", "signal", "15")
	}
	for _, id := range ids {
		f.exit(id, 143)
		assert.Equal(t, "user.stop", r.Stopped(id).Data.Cause.Class)
	}
	f.stop()
	for _, id := range ids {
		require.Eventually(t, func() bool { return len(r.Stream.Of(event.TaskStopped, id)) == 2 }, deadline, 5*time.Millisecond)
		assert.Equal(t, "host.shutdown", r.Stream.Of(event.TaskStopped, id)[1].Data.Cause.Class)
	}
	f.restart()
}

func TestOtherDaemonEndsTheRun(t *testing.T) {
	f := newFake(t)
	c := fakeFixture(f).New(t, collectortest.Parts{Publisher: &collectortest.Stream{}, Reporter: &collectortest.Reporter{}})
	done := make(chan error, 1)
	go func() { done <- c.Run(t.Context()) }()
	require.Eventually(t, func() bool { return f.streamsOpened() > 0 }, deadline, 5*time.Millisecond)
	f.mu.Lock()
	f.id = "OTHER"
	f.mu.Unlock()
	f.cut()
	require.ErrorContains(t, <-done, "another Docker daemon answers at the same address")
}

// TestUpgradedDaemonEndsTheRun: the next run agrees on another version of the API.
func TestUpgradedDaemonEndsTheRun(t *testing.T) {
	f := newFake(t)
	c := fakeFixture(f).New(t, collectortest.Parts{Publisher: &collectortest.Stream{}, Reporter: &collectortest.Reporter{}})
	done := make(chan error, 1)
	go func() { done <- c.Run(t.Context()) }()
	require.Eventually(t, func() bool { return f.streamsOpened() > 0 }, deadline, 5*time.Millisecond)
	f.mu.Lock()
	f.tooOld = true
	f.mu.Unlock()
	f.cut()
	require.ErrorContains(t, <-done, "the Docker daemon speaks another version than was agreed on")
}

func TestFailedStartsAreTold(t *testing.T) {
	f, r := watch(t)
	first := f.create(nil)
	f.set(first, func(in *container.InspectResponse) {
		in.State.ExitCode, in.State.Error = 127, `exec: "nope": executable file not found in $PATH`
	})
	e := r.Stopped(first)
	assert.Equal(t, "start.error", e.Data.Cause.Class)
	assert.Equal(t, int64(127), *e.Data.Task.Containers[0].ExitCode)
	assert.Contains(t, e.Data.Message, "could not start")

	again := f.create(nil) // runs, ends well, then its port is taken
	f.run(again)
	f.exit(again, 0)
	r.Stopped(again)
	f.set(again, func(in *container.InspectResponse) {
		in.State.ExitCode, in.State.Error = 128, "port is already allocated"
	})
	require.Eventually(t, func() bool { return len(r.Stream.Of(event.TaskStopped, again)) == 2 }, deadline, 5*time.Millisecond)
	assert.Equal(t, "start.error", r.Stream.Of(event.TaskStopped, again)[1].Data.Cause.Class)
	assert.Equal(t, event.StateStopped, r.Stream.Of(event.TaskStopped, again)[1].Data.Task.State)
}

// TestBlockedPublisherStopsReading: more events than fit wait, reading stops, and it is said why.
func TestBlockedPublisherStopsReading(t *testing.T) {
	f, r := watch(t)
	id := f.create(nil)
	f.run(id)
	r.Told(event.TaskStarted, id)
	r.Stream.Refuse(true)
	for range 4200 {
		f.emit(id, "pause")
	}
	f.exit(id, 3)
	require.Eventually(t, func() bool { return r.Reporter.Last().Err != nil }, deadline, 5*time.Millisecond)
	assert.ErrorContains(t, r.Reporter.Last().Err, "publishing is blocked")
	opened := f.streamsOpened()
	require.Never(t, func() bool { return f.streamsOpened() != opened }, 500*time.Millisecond, 50*time.Millisecond, "it must not read on")
	r.Stream.Refuse(false)
	r.Connected()
	assert.Equal(t, "exit.error", r.Stopped(id).Data.Cause.Class)
}

// TestCrashRepeatsAndDoesNotLose restarts from what a kill leaves behind at many moments.
func TestCrashRepeatsAndDoesNotLose(t *testing.T) {
	f := newFake(t)
	stream, cursors := &collectortest.Stream{}, &collectortest.Bucket{}
	var ids []string
	for i := range 6 {
		r := collectortest.Start(t, fakeFixture(f), stream, cursors).Connected()
		for range 5 {
			ids = append(ids, fakeFixture(f).Crash(t))
		}
		if i%2 == 0 {
			r.Stopped(ids[len(ids)-1])
		}
		cursors = r.Cursors.Copy() // nothing that Stop saves survives
		r.Stop()
		ids = append(ids, fakeFixture(f).Crash(t))
	}
	r := collectortest.Start(t, fakeFixture(f), stream, cursors).Connected()
	for _, id := range ids {
		r.Stopped(id)
		assert.Len(t, stream.Of(event.TaskStopped, id), 1)
		assert.Len(t, stream.Of(event.TaskStarted, id), 1)
	}
}

func TestStopRequestSurvivesARestart(t *testing.T) {
	f := newFake(t)
	stream := &collectortest.Stream{}
	r := collectortest.Start(t, fakeFixture(f), stream, nil).Connected()
	id := f.create(nil)
	f.run(id)
	f.emit(id, "kill", "signal", "15")
	r.Told(event.TaskStopping, id)
	r.Stop()
	f.forgetEvents()
	f.exit(id, 137)
	f.forgetEvents() // the ring has turned over: only an inspect shows the end
	again := collectortest.Start(t, fakeFixture(f), stream, r.Cursors).Connected()
	c := again.Stopped(id).Data.Cause
	assert.Equal(t, "user.stop", c.Class)
	assert.True(t, c.Expected)
	require.Eventually(t, func() bool { return len(again.Reporter.Gaps()) == 1 }, deadline, 5*time.Millisecond)
	assert.Equal(t, "Bellbuoy was not running; the daemon was restarted, and its log begins anew", again.Reporter.Gaps()[0].Reason)
}

func TestFirstStartTellsWhatRunsAndNotWhatWas(t *testing.T) {
	f := newFake(t)
	old := time.Now().Add(-time.Hour)
	stamp := func(d time.Duration) string { return old.Add(d).Format(time.RFC3339Nano) }
	age := func(in *container.InspectResponse) { in.Created, in.State.StartedAt = stamp(0), stamp(time.Second) }
	runs := f.create(nil, age, func(in *container.InspectResponse) { in.State.Running, in.State.Status = true, "running" })
	dead := f.create(nil, age, func(in *container.InspectResponse) {
		in.State.Status, in.State.ExitCode, in.State.FinishedAt = "exited", 1, stamp(time.Minute)
	})
	f.forgetEvents()
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	assert.Equal(t, event.ObservedReconcile, r.Told(event.TaskStarted, runs).Data.Observed)
	f.exit(runs, 1)
	r.Stopped(runs)
	for _, e := range r.Stream.Events() {
		assert.NotEqual(t, dead, e.Data.Task.ID, "%s", e.Type)
	}
	assert.Empty(t, r.Reporter.Gaps())
}

func TestNoDaemonIsReportedAndWaitedFor(t *testing.T) {
	f := newFake(t)
	f.stop()
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil)
	require.Eventually(t, func() bool { return r.Reporter.Last().Err != nil }, deadline, 5*time.Millisecond)
	assert.ErrorContains(t, r.Reporter.Last().Err, "ask the Docker daemon at unix://")
	f.restart()
	r.Connected()
}

func TestRunEndsWhileNobodyAnswers(t *testing.T) {
	f := newFake(t)
	f.stop()
	c := fakeFixture(f).New(t, collectortest.Parts{Publisher: &collectortest.Stream{}})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.NoError(t, c.Run(ctx))
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := docker.DefaultConfig()
	require.NoError(t, good.Validate())
	for want, change := range map[string]func(*docker.Config){
		"host: \"\" is no address":      func(c *docker.Config) { c.Host = "" },
		"host: \"docker.sock\" is no":   func(c *docker.Config) { c.Host = "docker.sock" },
		"host: ssh is not supported":    func(c *docker.Config) { c.Host = "ssh://h" },
		"host: scheme \"ftp\"":          func(c *docker.Config) { c.Host = "ftp://h" },
		"host: not a valid tcp address": func(c *docker.Config) { c.Host = "tcp://:x" },
		"host: Docker knows no user":    func(c *docker.Config) { c.Host = "tcp://u:p@h:1" },
		"tls: a local socket":           func(c *docker.Config) { c.TLS.CA = "ca.pem" },
		"tls: cert and key":             func(c *docker.Config) { c.Host, c.TLS.Cert = "tcp://h:1", "c.pem" },
		"logs.lines: 201 lines":         func(c *docker.Config) { c.Logs.Lines = 201 },
		"logs.bytes: -1 bytes":          func(c *docker.Config) { c.Logs.Bytes = -1 },
		"snapshot_every: 0s":            func(c *docker.Config) { c.SnapshotEvery = 0 },
	} {
		cfg := docker.DefaultConfig()
		change(&cfg)
		faults := fault.All(cfg.Validate())
		require.Len(t, faults, 1, want)
		assert.Contains(t, faults[0].Error(), want)
		_, err := docker.New(cfg, docker.Deps{Site: "s", Node: "n", Publisher: &collectortest.Stream{}})
		require.Error(t, err)
	}
	_, err := docker.New(good, docker.Deps{})
	require.Error(t, err)
}

func TestTwoCollectorsShareARegistry(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	for i := range 2 {
		_, err := docker.New(docker.DefaultConfig(), docker.Deps{Site: "s", Node: fmt.Sprint(i), Publisher: &collectortest.Stream{}, Registerer: registry})
		require.NoError(t, err)
	}
}
