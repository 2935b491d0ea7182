package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

func containerName(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("bb-%s-%d", strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()), time.Now().UnixNano())
}

func dockerFixture(d *harness.Docker) collectortest.Fixture {
	return collectortest.Fixture{
		Secrets: []string{"hunter2", "Sw0rdf1sh", "tok3nInEnv", "labelS3cret"},
		New: func(t testing.TB, p collectortest.Parts) collectors.Collector {
			cfg := docker.DefaultConfig()
			cfg.Host = d.Host
			c, err := docker.New(cfg, docker.Deps{Site: "e2e", Node: "n1", Publisher: p.Publisher, Reporter: p.Reporter, Cursors: p.Cursors})
			require.NoError(t, err)
			return c
		},
		Crash: func(t testing.TB) string {
			return d.Run(t, harness.RunSpec{
				Name: containerName(t), Env: []string{"API_TOKEN=tok3nInEnv"}, Labels: map[string]string{"db.password": "labelS3cret", "team": "payments"},
				Cmd: []string{"sh", "-c", "sleep 0.1; echo password=hunter2; echo postgres://app:Sw0rdf1sh@db/; exit 3"},
			})
		},
		Check: func(t testing.TB, e *event.Event) { schematest.Valid(t, *e) },
	}
}

func watchDocker(t *testing.T) (*harness.Docker, *collectortest.Running) {
	t.Helper()
	d := stand.Docker(t)
	return d, collectortest.Start(t, dockerFixture(d), &collectortest.Stream{}, nil).Connected()
}

func TestDockerCollector(t *testing.T) {
	collectortest.Run(t, func(t *testing.T) collectortest.Fixture { return dockerFixture(stand.Docker(t)) })
}

// TestDockerEnds makes containers end in every way and holds the causes against what was done.
func TestDockerEnds(t *testing.T) {
	d, r := watchDocker(t)
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	for name, tt := range map[string]struct {
		spec     harness.RunSpec
		act      func(id string)
		class    string
		expected bool
		code     int64
	}{
		"exit 0":        {harness.RunSpec{Cmd: sh("exit 0")}, nil, "exit.ok", true, 0},
		"exit 3":        {harness.RunSpec{Cmd: sh("echo boom; exit 3")}, nil, "exit.error", false, 3},
		"auto-removed":  {harness.RunSpec{Cmd: sh("exit 4"), AutoRemove: true}, nil, "exit.error", false, 4},
		"out of memory": {harness.RunSpec{Cmd: sh(harness.OutOfMemory), Memory: 16 << 20}, nil, "oom", false, 137},
		"kill":          {harness.RunSpec{Cmd: sh("sleep 60")}, func(id string) { d.Kill(t, id, "SIGKILL") }, "user.kill", true, 137},
		"stop, ignored": {harness.RunSpec{Cmd: sh("sleep 60")}, func(id string) { d.Stop(t, id, time.Second) }, "user.stop", true, 137},
		"stop, obeyed":  {harness.RunSpec{Cmd: sh("trap 'exit 0' TERM; while :; do sleep 0.1; done")}, func(id string) { d.Stop(t, id, 5*time.Second) }, "user.stop", true, 0},
		"removed":       {harness.RunSpec{Cmd: sh("sleep 60")}, func(id string) { d.Remove(t, id) }, "user.remove", true, 137},
		"segfault":      {harness.RunSpec{Cmd: sh("sh -c 'kill -SEGV $$'; exit $?")}, nil, "exit.signal", false, 139},
		"forged code":   {harness.RunSpec{Cmd: sh("exit 5"), Labels: map[string]string{"exitCode": "0"}}, nil, "exit.error", false, 5},
		"service ended": {harness.RunSpec{Cmd: sh("sleep 0.3"), Restart: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped}}, nil, "exit.ok", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tt.spec.Name = "bb-" + strings.NewReplacer(" ", "-", ",", "").Replace(name) + fmt.Sprint(time.Now().UnixNano())
			id := d.Run(t, tt.spec)
			r.Told(event.TaskStarted, id)
			if tt.act != nil {
				tt.act(id)
			}
			e := r.Stopped(id)
			// What can come late amends the first.
			require.Eventually(t, func() bool {
				all := r.Stream.Of(event.TaskStopped, id)
				e = all[len(all)-1]
				return e.Data.Cause.Class == tt.class || tt.spec.Restart.Name != ""
			}, 5*time.Second, 10*time.Millisecond, "%+v", e.Data.Cause)
			c := e.Data.Cause
			assert.Equal(t, tt.class, c.Class, "%+v", c)
			assert.Equal(t, tt.expected, c.Expected)
			require.NotNil(t, e.Data.Task.Containers[0].ExitCode)
			assert.Equal(t, tt.code, *e.Data.Task.Containers[0].ExitCode)
			assert.Equal(t, tt.spec.Name, e.Data.Task.Name)
			assert.Equal(t, event.ObservedStream, e.Data.Observed)
			schematest.Valid(t, e)
			t.Logf("%s, %dms after the end", e.Data.Message, e.Recorded.Sub(e.Time).Milliseconds())
		})
	}
}

func TestDockerFailedStartIsToldSoon(t *testing.T) {
	d, r := watchDocker(t)
	created, err := d.Client().ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: containerName(t), Config: &container.Config{Image: d.Image, Cmd: []string{"no-such-command", "--password", "hunter2"}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { d.Remove(harnessCleanup{t}, created.ID) })
	begun := time.Now()
	_, err = d.Client().ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{})
	require.Error(t, err)
	e := r.Stopped(created.ID)
	assert.Less(t, time.Since(begun), 10*time.Second)
	assert.Equal(t, "start.error", e.Data.Cause.Class)
	assert.Equal(t, int64(127), *e.Data.Task.Containers[0].ExitCode)
	assert.Contains(t, e.Data.Message, "could not start: the command is missing")
	schematest.Valid(t, e)
}

// TestDockerLogTail looks at the log lines of a stop: newest, clean, without secrets, of this run.
func TestDockerLogTail(t *testing.T) {
	d, r := watchDocker(t)
	id := d.Run(t, harness.RunSpec{
		Name: containerName(t), Labels: map[string]string{"bellbuoy.logs": "3", "bellbuoy.owner": "team-pay"},
		Cmd: []string{"sh", "-c", `echo one; echo two; printf 'red \033[31mtext\033[0m \007\n'; echo token=abcdef; sleep 0.2; echo bad >&2; sleep 0.1; exit 1`},
	})
	e := r.Stopped(id)
	require.NotNil(t, e.Data.Task.Log)
	lines := e.Data.Task.Log.Lines
	require.Len(t, lines, 3)
	assert.ElementsMatch(t, []string{"red text", "token=[redacted]", "bad"}, lines)
	assert.Equal(t, "team-pay", e.Data.Owner)

	quiet := r.Stopped(d.Run(t, harness.RunSpec{Name: containerName(t), Labels: map[string]string{"bellbuoy.logs": "off"}, Cmd: []string{"sh", "-c", "echo x; exit 1"}}))
	assert.Nil(t, quiet.Data.Task.Log)

	gone := r.Stopped(d.Run(t, harness.RunSpec{Name: containerName(t), AutoRemove: true, Cmd: []string{"sh", "-c", "echo x; exit 1"}}))
	require.NotNil(t, gone.Data.Task.Log)
	if gone.Data.Task.Log.None != "" { // the daemon may be slow to remove it
		assert.Contains(t, gone.Data.Task.Log.None, "removed")
	}

	done := r.Stopped(d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sh", "-c", "echo x"}}))
	assert.Nil(t, done.Data.Task.Log, "an expected stop needs no log")
}

func TestDockerHealth(t *testing.T) {
	d, r := watchDocker(t)
	id := d.Run(t, harness.RunSpec{
		Name: containerName(t), Cmd: []string{"sleep", "60"},
		Healthcheck: &container.HealthConfig{Test: []string{"CMD-SHELL", "echo password=hunter2; exit 1"}, Interval: 200 * time.Millisecond, Retries: 2},
	})
	e := r.Told(event.TaskUnhealthy, id)
	assert.Equal(t, "password=[redacted]", e.Data.Task.Containers[0].HealthOutput)
	d.Stop(t, id, time.Second)
	stop := r.Stopped(id)
	assert.Equal(t, "health.container", stop.Data.Cause.Class)
	for _, e := range r.Stream.Events() {
		if e.Data.Native != nil {
			assert.NotContains(t, e.Data.Native.Action, "exec")
		}
	}
}

// TestDockerFirstStart: what ran is told, what had ended before is not.
func TestDockerFirstStart(t *testing.T) {
	d := stand.Docker(t)
	runs := d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sleep", "60"}})
	dead := d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sh", "-c", "exit 1"}})
	d.Wait(t, dead, time.Minute)
	ended := time.Now()
	require.Eventually(t, func() bool { return time.Since(ended) > 2500*time.Millisecond }, time.Minute, 50*time.Millisecond)
	r := collectortest.Start(t, dockerFixture(d), &collectortest.Stream{}, nil).Connected()
	assert.Equal(t, event.ObservedReconcile, r.Told(event.TaskStarted, runs).Data.Observed)
	d.Kill(t, runs, "KILL")
	r.Stopped(runs)
	assert.Empty(t, r.Stream.Of(event.TaskStopped, dead))
	assert.Empty(t, r.Reporter.Gaps())
}

// TestDockerDaemonRestarts: containers that the daemon stopped are told as such, what nobody could see
// is told as a gap, and watching goes on.
func TestDockerDaemonRestarts(t *testing.T) {
	d, r := watchDocker(t)
	var ids []string
	for range 3 {
		ids = append(ids, d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"}}))
	}
	for _, id := range ids {
		r.Told(event.TaskStarted, id)
	}
	d.StopDaemon(t)
	require.Eventually(t, func() bool { return !r.Reporter.Last().Connected }, 30*time.Second, 10*time.Millisecond)
	for _, id := range ids {
		assert.Eventually(t, func() bool {
			all := r.Stream.Of(event.TaskStopped, id)
			return len(all) > 0 && all[len(all)-1].Data.Cause.Class == "host.shutdown"
		}, 30*time.Second, 20*time.Millisecond, "%+v", r.Stream.Of(event.TaskStopped, id))
		for _, e := range r.Stream.Of(event.TaskStopped, id) {
			assert.True(t, e.Data.Cause.Expected, "%+v", e.Data.Cause)
		}
	}
	d.StartDaemon(t)
	r.Connected()
	require.Eventually(t, func() bool { return len(r.Reporter.Gaps()) > 0 }, 30*time.Second, 10*time.Millisecond)
	assert.NotEmpty(t, r.Reporter.Gaps()[0].Unknown)
	after := d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sh", "-c", "exit 3"}})
	assert.Equal(t, "exit.error", r.Stopped(after).Data.Cause.Class)
}

// TestDockerDaemonKilled: ends that no event told are found, with their exit code.
func TestDockerDaemonKilled(t *testing.T) {
	d, r := watchDocker(t)
	id := d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sleep", "60"}})
	r.Told(event.TaskStarted, id)
	d.KillDaemon(t)
	require.Eventually(t, func() bool { return !r.Reporter.Last().Connected }, 30*time.Second, 10*time.Millisecond)
	d.StartDaemon(t)
	r.Connected()
	e := r.Stopped(id)
	assert.Len(t, r.Stream.Of(event.TaskStopped, id), 1)
	t.Logf("%s %+v", e.Data.Message, e.Data.Cause)
}

// harnessCleanup gives a clean-up function a context that has not ended.
type harnessCleanup struct{ testing.TB }

func (harnessCleanup) Context() context.Context { return context.Background() }
