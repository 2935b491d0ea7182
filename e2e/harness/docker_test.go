package harness_test

import (
	"os"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

func TestDaemonIsOfItsVersion(t *testing.T) {
	server, err := stand.Docker29(t).Client().ServerVersion(t.Context(), client.ServerVersionOptions{})
	require.NoError(t, err)
	require.Equal(t, "v2.0.0-beta.24", server.Version)
	require.Equal(t, "1.56", server.APIVersion)
	for _, version := range []string{"1.7", "2.4"} {
		require.Regexp(t, `Server:\s+Version: +v`+version+`\.`, stand.Containerd(t, version).Ctr(t, "default", "version"))
	}
}

func TestContainerExitCode(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, docker *harness.Docker) {
		labels := map[string]string{"team": "payments"}
		id := docker.Run(t, harness.RunSpec{Name: "exits-3", Cmd: []string{"sh", "-c", "exit 3"}, Labels: labels})
		require.EqualValues(t, 3, docker.Wait(t, id, 30*time.Second))
		state := docker.Inspect(t, id)
		require.Equal(t, 3, state.State.ExitCode)
		require.Equal(t, "/exits-3", state.Name)
		require.Equal(t, labels, state.Config.Labels)
		if docker.Containerd != "" {
			socket, err := os.Stat(docker.Containerd)
			require.NoError(t, err)
			require.NotZero(t, socket.Mode()&os.ModeSocket)
		}
	})
}

func TestContainerRunsOutOfMemory(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, docker *harness.Docker) {
		id := docker.Run(t, harness.RunSpec{Memory: 8 << 20, Cmd: []string{"sh", "-c", harness.OutOfMemory}})
		require.EqualValues(t, 137, docker.Wait(t, id, 30*time.Second))
		require.True(t, docker.Inspect(t, id).State.OOMKilled)
	})
}

func TestContainerLifecycle(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, docker *harness.Docker) {
		id := docker.Run(t, harness.RunSpec{Cmd: []string{"sleep", "3600"}, Healthcheck: &container.HealthConfig{
			Test: []string{"CMD", "false"}, Interval: 100 * time.Millisecond, Timeout: time.Second, Retries: 1,
		}})
		require.Eventually(t, func() bool {
			return docker.Inspect(t, id).State.Health.Status == container.Unhealthy
		}, 30*time.Second, 50*time.Millisecond)
		docker.Kill(t, id, "SIGKILL")
		require.EqualValues(t, 137, docker.Wait(t, id, 30*time.Second))
		docker.Start(t, id)
		docker.Stop(t, id, 0)
		require.False(t, docker.Inspect(t, id).State.Running)
		docker.Remove(t, id)
	})
}

func TestDaemonRestarts(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, docker *harness.Docker) {
		// A plain sleep ignores SIGTERM as process 1, and the new daemon would wait ten seconds for it.
		endsOnTERM := []string{"sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"}
		id := docker.Run(t, harness.RunSpec{Name: "restarts", Cmd: endsOnTERM, Restart: container.RestartPolicy{Name: "always"}})
		docker.KillDaemon(t)
		_, err := docker.Client().Ping(t.Context(), client.PingOptions{})
		require.Error(t, err)
		docker.StartDaemon(t)
		require.Eventually(t, func() bool { return docker.Inspect(t, id).State.Running }, 30*time.Second, 50*time.Millisecond)
	})
}

func TestLiveRestoreKeepsContainers(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, docker *harness.Docker) {
		docker.StopDaemon(t)
		docker.StartDaemon(t, "--live-restore")
		id := docker.Run(t, harness.RunSpec{Cmd: []string{"sleep", "3600"}})
		before := docker.Inspect(t, id).State
		docker.KillDaemon(t)
		docker.StartDaemon(t, "--live-restore")
		require.Positive(t, docker.CPU(t))
		after := docker.Inspect(t, id).State
		require.True(t, after.Running)
		require.Equal(t, before.StartedAt, after.StartedAt)
		require.Equal(t, before.Pid, after.Pid)
		docker.Remove(t, id)
		docker.RestartDaemon(t)
	})
}
