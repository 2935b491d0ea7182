package e2e_test

import (
	"slices"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// onEachDocker runs a test on each daemon, with a collector that watches it.
func onEachDocker(t *testing.T, test func(t *testing.T, d *harness.Docker, r *collectortest.Running)) {
	t.Helper()
	stand.EachDocker(t, func(t *testing.T, d *harness.Docker) {
		test(t, d, collectortest.Start(t, dockerFixture(d), &collectortest.Stream{}, nil).Connected())
	})
}

// The log of a container that the daemon removes at once is there, if its label asks for it.
func TestDockerLogOfARemovedContainer(t *testing.T) { onEachDocker(t, logOfARemovedContainer) }

func logOfARemovedContainer(t *testing.T, d *harness.Docker, r *collectortest.Running) {
	id := d.Run(t, harness.RunSpec{
		Name: containerName(t), AutoRemove: true, Labels: map[string]string{"bellbuoy.logs": "2"},
		Cmd: []string{"sh", "-c", "echo one; sleep 0.7; echo two; echo token=abcdef; exit 3"},
	})
	e := r.Stopped(id)
	assert.Equal(t, &event.Log{Lines: []string{"two", "token=[redacted]"}, Cut: true}, e.Data.Task.Log)
	r.Told(event.TaskRemoved, id)
}

// What is foretold of the restart policy comes true.
func TestDockerRestartPolicyKeepsItsWord(t *testing.T) { onEachDocker(t, restartPolicyKeepsItsWord) }

func restartPolicyKeepsItsWord(t *testing.T, d *harness.Docker, r *collectortest.Running) {
	id := d.Run(t, harness.RunSpec{
		Name: containerName(t), Cmd: []string{"sh", "-c", "sleep 0.2; exit 7"},
		Restart: container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 3},
	})
	var stops, starts []event.Event
	require.Eventually(t, func() bool {
		stops, starts = r.Stream.Of(event.TaskStopped, id), r.Stream.Of(event.TaskStarted, id)
		return len(stops) == 4 && len(starts) == 4
	}, time.Minute, 20*time.Millisecond)
	for i, e := range stops {
		assert.Equal(t, int64(i), e.Data.Task.Containers[0].Restarts)
		if i == 3 {
			assert.True(t, e.Data.Task.NextStart.IsZero())
			assert.Contains(t, e.Data.Message, "; its restart policy on-failure:3 gives up")
			continue
		}
		wait := 100 * time.Millisecond << i
		assert.Equal(t, wait, e.Data.Task.NextStart.Sub(e.Time), e.Data.Message)
		assert.WithinRange(t, starts[i+1].Time, e.Time.Add(-time.Second), e.Time.Add(wait+5*time.Second))
	}
}

// Each try to start is told, though the daemon says the same after each.
func TestDockerFailedTriesAreToldApart(t *testing.T) { onEachDocker(t, failedTriesAreToldApart) }

func failedTriesAreToldApart(t *testing.T, d *harness.Docker, r *collectortest.Running) {
	created, err := d.Client().ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: containerName(t), Config: &container.Config{Image: d.Image, Cmd: []string{"no-such-command"}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { d.Remove(harnessCleanup{t}, created.ID) })
	for tries := range 3 {
		_, err = d.Client().ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{})
		require.Error(t, err)
		require.Eventually(t, func() bool { return len(r.Stream.Of(event.TaskStopped, created.ID)) == tries+1 }, 20*time.Second, 10*time.Millisecond)
	}
	var ids []string
	for _, e := range r.Stream.Of(event.TaskStopped, created.ID) {
		assert.Equal(t, "start.error", e.Data.Cause.Class)
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	assert.Len(t, slices.Compact(ids), 3)
}

// A recreate as compose makes it is a deploy; the container that was replaced alerts nobody.
func TestDockerRecreateIsADeploy(t *testing.T) { onEachDocker(t, recreateIsADeploy) }

func recreateIsADeploy(t *testing.T, d *harness.Docker, r *collectortest.Running) {
	name := containerName(t)
	labels := func(hash string) map[string]string {
		return map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": name, "com.docker.compose.config-hash": hash}
	}
	serve := []string{"sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"}
	old := d.Run(t, harness.RunSpec{Name: name + "-1", Cmd: serve, Labels: labels("0123456789abcdef")})
	r.Told(event.TaskStarted, old)
	created, err := d.Client().ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: "x_" + name + "-1", Config: &container.Config{Image: d.Image, Cmd: serve, Labels: labels("fedcba9876543210")},
	})
	require.NoError(t, err)
	t.Cleanup(func() { d.Remove(harnessCleanup{t}, created.ID) })
	d.Stop(t, old, 5*time.Second)
	e := r.Stopped(old)
	assert.Equal(t, "deploy.replaced", e.Data.Cause.Class)
	assert.True(t, e.Data.Cause.Expected)
	assert.Equal(t, []string{"shop", name, "0123456789ab"}, []string{e.Data.Scope, e.Data.Workload, e.Data.Revision})
	assert.Contains(t, e.Data.Cause.Evidence, "a task of the same workload with another revision took its place (fedcba987654)")
}

// A daemon that was killed leaves its containers running; the next one ends them, which nobody asked for.
func TestDockerSurvivorsOfAKilledDaemon(t *testing.T) { onEachDocker(t, survivorsOfAKilledDaemon) }

func survivorsOfAKilledDaemon(t *testing.T, d *harness.Docker, r *collectortest.Running) {
	var ids []string
	for range 2 {
		ids = append(ids, d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sleep", "60"}}))
	}
	for _, id := range ids {
		r.Told(event.TaskStarted, id)
	}
	d.KillDaemon(t)
	require.Eventually(t, func() bool { return !r.Reporter.Last().Connected }, 30*time.Second, 10*time.Millisecond)
	d.StartDaemon(t)
	r.Connected()
	for _, id := range ids {
		e := r.Stopped(id)
		t.Logf("%s %+v", e.Data.Message, e.Data.Cause)
		assert.Equal(t, "host.shutdown", e.Data.Cause.Class)
		assert.True(t, e.Data.Cause.Expected)
	}
}

// With live-restore containers run on without a daemon; what ended meanwhile has no event, but its code.
func TestDockerLiveRestore(t *testing.T) { onEachDocker(t, liveRestore) }

func liveRestore(t *testing.T, d *harness.Docker, r *collectortest.Running) {
	d.StopDaemon(t)
	d.StartDaemon(t, "--live-restore")
	t.Cleanup(func() { d.StopDaemon(harnessCleanup{t}) }) // the next test starts it as usual
	r.Connected()
	dies := d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sh", "-c", "sleep 4; exit 5"}})
	lives := d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sleep", "60"}})
	r.Told(event.TaskStarted, dies)
	r.Told(event.TaskStarted, lives)
	d.KillDaemon(t)
	require.Eventually(t, func() bool { return !r.Reporter.Last().Connected }, 30*time.Second, 10*time.Millisecond)
	select {
	case <-time.After(5 * time.Second): // nobody can be asked whether it has ended
	case <-t.Context().Done():
	}
	d.StartDaemon(t, "--live-restore")
	r.Connected()
	e := r.Stopped(dies)
	t.Logf("%s %+v", e.Data.Message, e.Data.Cause)
	if code := e.Data.Task.Containers[0].ExitCode; code != nil {
		assert.Equal(t, int64(5), *code)
		assert.Equal(t, "exit.error", e.Data.Cause.Class)
	} else { // containerd 2.4 does not keep it, if it ends, too
		assert.Equal(t, "unknown.lost", e.Data.Cause.Class)
	}
	assert.Contains(t, e.Data.Cause.Evidence, "the runtime was down, so no event told of it and an out-of-memory kill can't be known")
	assert.Empty(t, r.Stream.Of(event.TaskStopped, lives))
}
