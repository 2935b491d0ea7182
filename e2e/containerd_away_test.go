package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func sleeper(seconds float64, code int) []string {
	return []string{"sh", "-c", fmt.Sprintf("sleep %g; exit %d", seconds, code)}
}

// onlyStop waits for the stop of a task and demands that there is no other.
func onlyStop(t *testing.T, r *collectortest.Running, id string) event.Event {
	t.Helper()
	e := r.Stopped(id)
	assert.Len(t, r.Stream.Of(event.TaskStopped, id), 1, "told once")
	return e
}

// TestContainerdDown: while containerd is away a task ends. 1.6 keeps its end, later ones delete it when
// they start again.
func TestContainerdDown(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, d *harness.Containerd) {
		r := watchContainerd(t, d)
		stays := d.Run(t, harness.CtrSpec{ID: ctrID(), Cmd: sleeper(60, 0)})
		ends := d.Run(t, harness.CtrSpec{ID: ctrID(), Cmd: sleeper(2, 5)})
		r.Told(event.TaskStarted, stays)
		r.Told(event.TaskStarted, ends)
		d.KillDaemon(t)
		require.Eventually(t, func() bool { return !r.Reporter.Last().Connected }, 20*time.Second, 10*time.Millisecond)
		<-time.After(3 * time.Second)
		d.StartDaemon(t)
		e := onlyStop(t, r, ends)
		require.Eventually(t, func() bool { return len(r.Reporter.Gaps()) > 0 }, 20*time.Second, 10*time.Millisecond)
		gap := r.Reporter.Gaps()[0]
		assert.NotEmpty(t, gap.Reason)
		assert.Equal(t, 1, gap.Reconciled)
		assert.Len(t, gap.Unknown, 4)
		assert.Less(t, gap.From, gap.To)
		code := e.Data.Task.Containers[0].ExitCode
		t.Log(e.Data.Cause.Class, e.Data.Cause.Evidence, e.Data.Observed)
		if d.Version == "1.6" {
			require.NotNil(t, code)
			assert.Equal(t, int64(5), *code)
			assert.Equal(t, "exit.error", e.Data.Cause.Class)
		} else {
			assert.Nil(t, code)
			assert.Equal(t, "unknown.lost", e.Data.Cause.Class)
		}
		assert.Empty(t, r.Stream.Of(event.TaskStopped, stays))
		assert.Len(t, r.Stream.Of(event.TaskStarted, stays), 1)
	})
}

// TestContainerdWatchedAgain: tasks end in every way while no collector runs; what is left of them is told
// once, and what another collector saw live has the same id.
func TestContainerdWatchedAgain(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, d *harness.Containerd) {
		live, r := watchContainerd(t, d), watchContainerd(t, d)
		run := func(seconds float64, code int) string {
			id := d.Run(t, harness.CtrSpec{ID: ctrID(), Cmd: sleeper(seconds, code)})
			live.Told(event.TaskStarted, id)
			return id
		}
		before, runs, kept, deleted, gone, again := run(0.1, 2), run(60, 0), run(1.5, 6), run(1.5, 7), run(1.5, 8), run(1.5, 9)
		live.Stopped(before)
		r.Stopped(before)
		for _, id := range []string{runs, kept, deleted, gone, again} {
			r.Told(event.TaskStarted, id)
		}
		r.Stop()
		for _, id := range []string{kept, deleted, gone, again} {
			live.Stopped(id)
		}
		d.Ctr(t, "default", "task", "rm", "--force", deleted)
		d.Ctr(t, "default", "task", "rm", "--force", gone)
		d.Ctr(t, "default", "container", "rm", gone)
		d.Ctr(t, "default", "task", "rm", "--force", again)
		d.Ctr(t, "default", "container", "rm", again)
		d.Run(t, harness.CtrSpec{ID: again, Cmd: sleeper(60, 0)})
		fresh := run(0.1, 4)
		live.Stopped(fresh)

		back := collectortest.Start(t, containerdFixture(t, d), &collectortest.Stream{}, r.Cursors.Copy()).Connected()
		require.Eventually(t, func() bool { return len(back.Reporter.Gaps()) > 0 }, 20*time.Second, 10*time.Millisecond)
		gap := back.Reporter.Gaps()[0]
		assert.Equal(t, "Bellbuoy was not running", gap.Reason)
		assert.Contains(t, gap.Unknown, "exit codes of tasks that ended and were deleted within this time")

		assert.Equal(t, live.Stopped(kept).ID, onlyStop(t, back, kept).ID)
		assert.Equal(t, live.Stopped(fresh).ID, onlyStop(t, back, fresh).ID)
		assert.Equal(t, live.Told(event.TaskCreated, fresh).ID, back.Told(event.TaskCreated, fresh).ID)
		assert.Equal(t, live.Told(event.TaskStarted, fresh).ID, back.Told(event.TaskStarted, fresh).ID)
		for _, id := range []string{deleted, gone, again} {
			e := onlyStop(t, back, id)
			assert.Equal(t, "unknown.lost", e.Data.Cause.Class)
			assert.False(t, e.Data.Cause.Expected)
		}
		assert.Equal(t, live.Told(event.TaskRemoved, gone).ID, back.Told(event.TaskRemoved, gone).ID)
		assert.Equal(t, live.Told(event.TaskRemoved, again).ID, back.Told(event.TaskRemoved, again).ID)
		created, started := live.Stream.Of(event.TaskCreated, again), live.Stream.Of(event.TaskStarted, again)
		require.Len(t, created, 2)
		require.Len(t, started, 2)
		assert.Equal(t, created[1].ID, back.Told(event.TaskCreated, again).ID, "the id of a container is used again")
		assert.Equal(t, started[1].ID, back.Told(event.TaskStarted, again).ID)
		for _, id := range []string{before, runs} {
			assert.Empty(t, back.Stream.Of(event.TaskStopped, id), "told before, or runs on")
			assert.Empty(t, back.Stream.Of(event.TaskStarted, id))
		}
	})
}

// TestContainerdNamespaces: new ones are seen, vanished ones are reconciled, those of Docker and sandboxes
// are left alone by what their containers are.
func TestContainerdNamespaces(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, d *harness.Containerd) {
		r := watchContainerd(t, d)
		space := fmt.Sprintf("bb-%d", time.Now().UnixNano())
		id := d.Run(t, harness.CtrSpec{Namespace: space, ID: "same", Cmd: sleeper(0.2, 3)})
		here := d.Run(t, harness.CtrSpec{ID: "same", Cmd: sleeper(0.2, 4)})
		require.Equal(t, id, here)
		require.Eventually(t, func() bool { return len(r.Stream.Of(event.TaskStopped, id)) == 2 }, 20*time.Second, 10*time.Millisecond)
		codes := map[string]int64{}
		for _, e := range r.Stream.Of(event.TaskStopped, id) {
			codes[e.Data.Scope] = *e.Data.Task.Containers[0].ExitCode
		}
		assert.Equal(t, map[string]int64{space: 3, "default": 4}, codes)

		docker := d.Run(t, harness.CtrSpec{Namespace: space, ID: ctrID(), Cmd: sleeper(0.2, 3), Labels: map[string]string{"com.docker/engine.bundle.path": "/x"}})
		sandbox := d.Run(t, harness.CtrSpec{Namespace: space, ID: ctrID(), Cmd: sleeper(0.2, 3), Labels: map[string]string{"io.cri-containerd.kind": "sandbox"}})
		moby := d.Run(t, harness.CtrSpec{Namespace: "moby", ID: ctrID(), Cmd: sleeper(0.2, 3)})
		pod := d.Run(t, harness.CtrSpec{Namespace: space, ID: ctrID(), Cmd: sleeper(0.5, 3), Labels: map[string]string{
			"io.cri-containerd.kind": "container", "io.kubernetes.pod.name": "web-1", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.container.name": "app",
		}})
		e := r.Stopped(pod)
		assert.Equal(t, "shop/web-1/app", e.Data.Workload)
		assert.Equal(t, space, e.Data.Scope)
		for _, other := range []string{docker, sandbox, moby} {
			for _, typ := range []event.Type{event.TaskCreated, event.TaskStarted, event.TaskStopped} {
				assert.Empty(t, r.Stream.Of(typ, other), "%s of %s", typ, other)
			}
		}
	})
}

// TestContainerdTellsNoExec: what runs beside the task in its container is not the task.
func TestContainerdTellsNoExec(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, d *harness.Containerd) {
		r := watchContainerd(t, d)
		id := d.Run(t, harness.CtrSpec{ID: ctrID(), Cmd: sleeper(60, 0)})
		r.Told(event.TaskStarted, id)
		d.Ctr(t, "default", "task", "exec", "--exec-id", "e1", id, "true")
		d.Ctr(t, "default", "task", "pause", id)
		r.Told(event.TaskPaused, id)
		d.Ctr(t, "default", "task", "resume", id)
		r.Told(event.TaskResumed, id)
		assert.Empty(t, r.Stream.Of(event.TaskStopped, id))
		d.Ctr(t, "default", "task", "kill", "--signal", "KILL", id)
		e := onlyStop(t, r, id)
		assert.Contains(t, e.Data.Cause.Evidence, "its memory control group counted no out-of-memory kill")
		assert.Equal(t, "containerd keeps no logs, and nothing says where this one goes", e.Data.Task.Log.None)
		assert.NotEmpty(t, e.Data.Task.Containers[0].ImageDigest)
	})
}
