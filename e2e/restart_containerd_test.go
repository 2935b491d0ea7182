package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/restart"
)

// TestRestartOutcomesOnContainerd holds the handler to the same outcomes on each version, where nothing
// tells who ended a task.
func TestRestartOutcomesOnContainerd(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, c *harness.Containerd) {
		t.Parallel()
		h := newHealingProgram(t, "{containerd: {address: \""+c.Address+"\"}}")
		log := filepath.Join(t.TempDir(), "log")
		h.judge("containerd "+c.Version, containerdCases(t, c, log))
		text, err := os.ReadFile(log)
		require.NoError(t, err)
		assert.Equal(t, "run 1\nrun 2\nrun 3\n", string(text), "the output of each run goes where that of the first went")
	})
}

func containerdCases(t *testing.T, c *harness.Containerd, log string) []healed {
	namespace := "heal-" + strings.ReplaceAll(c.Version, ".", "-")
	run := func(want string, spec harness.CtrSpec, then func(id string)) func() string {
		return func() string {
			labels := map[string]string{"bellbuoy.restart": want}
			maps.Copy(labels, spec.Labels)
			spec.Namespace, spec.Labels = namespace, labels
			id := c.Run(t, spec)
			if then != nil {
				then(id)
			}
			return id
		}
	}
	fails := harness.CtrSpec{Cmd: sh("exit 3")}
	kill := func(id string) { c.Ctr(t, namespace, "task", "kill", "--signal", "SIGKILL", id) }
	refused := func(name, key, value string) healed {
		spec := harness.CtrSpec{Cmd: sh("exit 3"), Labels: map[string]string{key: value}}
		return healed{name, run("on-failure", spec, nil), event.ActionDenied, []string{"owner"}, 0, "exit.error"}
	}
	return []healed{
		{"fails twice, then runs", run("on-failure", harness.CtrSpec{
			LogURI: "file://" + log, Cmd: sh(counting + `echo run $n; [ $n -ge 3 ] || exit 1; ` + steady),
		}, nil), event.ActionSucceeded, nil, 2, "exit.error"},
		{"fails always", run("on-failure", fails, nil), event.ActionGaveUp, []string{"budget"}, 4, "exit.error"},
		{"out of memory", run("on-failure", harness.CtrSpec{
			Memory: 8 << 20, Cmd: sh(counting + `[ $n -ge 2 ] || { ` + harness.OutOfMemory + `; }; ` + steady),
		}, nil), event.ActionSucceeded, nil, 1, "oom"},
		{"SIGKILL from somebody", run("on-failure", harness.CtrSpec{Cmd: sh(steady)}, kill), event.ActionDenied, []string{"unsure"}, 0, "exit.sigkill"},
		{"SIGKILL from somebody, always", run("always", harness.CtrSpec{Cmd: sh(steady)}, kill), event.ActionSucceeded, nil, 1, "exit.sigkill"},
		{"completed", run("on-failure", harness.CtrSpec{Cmd: sh("exit 0")}, nil), event.ActionDenied, []string{"expected"}, 0, "exit.ok"},
		refused("of CRI", "io.cri-containerd.kind", "container"),
		refused("of containerd's restart plugin", "containerd.io/restart.policy", "on-failure:1"),
		{"in the network of another", run("on-failure", harness.CtrSpec{
			Cmd: sh("exit 3"), Flags: []string{"--with-ns", "network:/proc/1/ns/net"},
		}, nil), event.ActionDenied, []string{"foreign_setup"}, 0, "exit.error"},
	}
}

// TestRestartOnSeveralDaemons has one handler for two containerds and a Docker: each task is with its own.
func TestRestartOnSeveralDaemons(t *testing.T) {
	d, older, newer := stand.Docker(t), stand.Containerd(t, "1.6"), stand.Containerd(t, "2.4")
	h := newHealingProgram(t, fmt.Sprintf("{docker: {host: %q}}, {containerd: {address: %q}}, {containerd: {address: %q}}", d.Host, older.Address, newer.Address))
	script := sh(counting + `[ $n -ge 2 ] || exit 3; ` + steady)
	label := map[string]string{"bellbuoy.restart": "on-failure"}
	on := func(c *harness.Containerd, id string) func() string {
		return func() string { return c.Run(t, harness.CtrSpec{ID: id, Cmd: script, Labels: maps.Clone(label)}) }
	}
	h.judge("three daemons", []healed{
		{"Docker", func() string { return d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: script, Labels: label}) }, event.ActionSucceeded, nil, 1, "exit.error"},
		{"containerd 1.6", on(older, "several-old"), event.ActionSucceeded, nil, 1, "exit.error"},
		{"containerd 2.4", on(newer, "several-new"), event.ActionSucceeded, nil, 1, "exit.error"},
	})
}

// TestContainerdRestarter makes new tasks of containers in every state that one can be in.
func TestContainerdRestarter(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, c *harness.Containerd) {
		t.Parallel()
		r, err := restart.NewContainerdRestarter(c.Address)
		require.NoError(t, err)
		defer func() { require.NoError(t, r.Close()) }()
		state := func(target restart.Target) *restart.State {
			s, err := r.State(t.Context(), target)
			require.NoError(t, err)
			return &s
		}
		ended := func(script string) restart.Target {
			target := restart.Target{Scope: "states", ID: c.Run(t, harness.CtrSpec{Namespace: "states", Cmd: sh(script)})}
			target.Stopped = c.Wait(t, "states", target.ID, within).At
			return target
		}
		lives := counting + `[ $n -ge 2 ] || exit 3; ` + steady

		once := ended(lives)
		first := state(once)
		assert.True(t, first.Stopped.Equal(once.Stopped))
		assert.EqualValues(t, 3, first.ExitCode)
		require.NoError(t, r.Start(t.Context(), once))
		second := state(once)
		assert.True(t, second.Running)
		assert.NotEqual(t, first.Run(), second.Run())
		require.ErrorContains(t, r.Start(t.Context(), once), "it is not stopped")
		assert.Equal(t, second.Run(), state(once).Run(), "a running task is left alone")

		other := ended("exit 3")
		other.Stopped = other.Stopped.Add(time.Nanosecond)
		require.ErrorContains(t, r.Start(t.Context(), other), "another run is the last")

		removed := ended(lives)
		c.Ctr(t, "states", "task", "rm", "--force", removed.ID)
		assert.Empty(t, state(removed).Run())
		require.NoError(t, r.Start(t.Context(), removed), "a client or a restart of containerd has cleaned up")
		assert.True(t, state(removed).Running)

		cutOff := ended(lives)
		created(t, c, "states", cutOff.ID)
		assert.Empty(t, state(cutOff).Run(), "what was never started is no run")
		require.NoError(t, r.Start(t.Context(), cutOff))
		assert.True(t, state(cutOff).Running)

		broken := ended("rm /bin/sh; exit 3")
		for range 2 {
			require.ErrorContains(t, r.Start(t.Context(), broken), "task: ")
			assert.Empty(t, state(broken).Run(), "no task is left behind")
		}
		assert.True(t, state(broken).Found)

		assert.False(t, state(restart.Target{Scope: "states", ID: "nobody"}).Found)
		assert.False(t, state(restart.Target{Scope: "nowhere", ID: once.ID}).Found)
		require.ErrorContains(t, r.Start(t.Context(), restart.Target{Scope: "states", ID: "nobody"}), "the container is gone")
		require.ErrorContains(t, r.Restart(t.Context(), once), "left alone")
	})
}

// created leaves a task that was made anew and never started, as an action that was cut off does.
func created(t *testing.T, c *harness.Containerd, namespace, id string) {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "containerd-namespace", namespace)
	conn := c.Dial(t)
	_, err := tasks.NewTasksClient(conn).Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
	require.NoError(t, err)
	mounts, err := snapshots.NewSnapshotsClient(conn).Mounts(ctx, &snapshots.MountsRequest{Snapshotter: "overlayfs", Key: id})
	require.NoError(t, err)
	_, err = tasks.NewTasksClient(conn).Create(ctx, &tasks.CreateTaskRequest{ContainerID: id, Rootfs: mounts.Mounts})
	require.NoError(t, err)
}
