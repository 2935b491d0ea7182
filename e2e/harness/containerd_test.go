package harness_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

func TestTaskExitCode(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, c *harness.Containerd) {
		id := c.Run(t, harness.CtrSpec{
			Namespace: "exits", Cmd: []string{"sh", "-c", "exit $CODE"}, Env: []string{"CODE=3"},
			Labels: map[string]string{"team": "payments"},
		})
		began := time.Now()
		exit := c.Wait(t, "exits", id, 30*time.Second)
		require.EqualValues(t, 3, exit.Code)
		require.WithinDuration(t, began, exit.At, 30*time.Second)
		require.Contains(t, c.Ctr(t, "exits", "container", "info", id), `"team": "payments"`)
	})
}

func TestTaskRunsOutOfMemory(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, c *harness.Containerd) {
		id := c.Run(t, harness.CtrSpec{Memory: 8 << 20, Cmd: []string{"sh", "-c", "x=a; while :; do x=$x$x; done"}})
		require.EqualValues(t, 137, c.Wait(t, "default", id, 30*time.Second).Code)
	})
}

func TestTasksOutliveTheDaemon(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, c *harness.Containerd) {
		id := c.Run(t, harness.CtrSpec{Cmd: []string{"sleep", "3600"}})
		before := c.Ctr(t, "default", "task", "ls")
		require.Contains(t, before, id)
		c.RestartDaemon(t)
		require.Equal(t, before, c.Ctr(t, "default", "task", "ls"))
		c.KillDaemon(t)
		c.StartDaemon(t)
		require.Equal(t, before, c.Ctr(t, "default", "task", "ls"))
		c.Ctr(t, "default", "task", "kill", "--signal", "SIGKILL", id)
		require.EqualValues(t, 137, c.Wait(t, "default", id, 30*time.Second).Code)
		require.Positive(t, c.CPU(t))
	})
}

func TestContainerdOfDockerHasOtherContainersToo(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, docker *harness.Docker) {
		dockers := docker.Run(t, harness.RunSpec{Cmd: []string{"sleep", "3600"}})
		inner := docker.Inner(t)
		other := inner.Run(t, harness.CtrSpec{Namespace: "beside", Cmd: []string{"sh", "-c", "exit 4"}})
		require.EqualValues(t, 4, inner.Wait(t, "beside", other, 30*time.Second).Code)
		require.Contains(t, inner.Ctr(t, "moby", "task", "ls"), dockers)
		require.NotContains(t, inner.Ctr(t, "beside", "task", "ls"), dockers)
	})
}
