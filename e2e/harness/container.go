package harness

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// RunSpec is a container of the test image.
type RunSpec struct {
	Name        string
	Cmd         []string
	Env         []string
	Labels      map[string]string
	AutoRemove  bool
	Memory      int64 // bytes; the container gets no swap beside it
	Restart     container.RestartPolicy
	Healthcheck *container.HealthConfig
}

// OutOfMemory is a script that runs out of memory: a child of it first, and a moment later itself. A kernel's
// report of a kill that ends the container at once is lost in one case of some 75; that of the child never.
const OutOfMemory = `sh -c 'x=a; while :; do x=$x$x; done'; sleep 0.2; x=a; while :; do x=$x$x; done`

// Run creates and starts a container, which is removed at the end of the test, and returns its id.
func (d *Docker) Run(t testing.TB, spec RunSpec) string {
	t.Helper()
	created, err := d.client.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: spec.Name,
		Config: &container.Config{
			Image: d.Image, Cmd: spec.Cmd, Env: spec.Env, Labels: spec.Labels, Healthcheck: spec.Healthcheck,
		},
		HostConfig: &container.HostConfig{
			AutoRemove:    spec.AutoRemove,
			RestartPolicy: spec.Restart,
			Resources:     container.Resources{Memory: spec.Memory, MemorySwap: spec.Memory},
		},
	})
	if err != nil {
		t.Fatalf("create container %s: %v", spec.Name, err)
	}
	t.Cleanup(func() { d.cleanUp(t, created.ID) })
	d.Start(t, created.ID)
	return created.ID
}

// cleanUp removes a container for which t.Context has ended already. A daemon that the test has left
// stopped keeps its containers.
func (d *Docker) cleanUp(t testing.TB, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := d.client.Ping(ctx, client.PingOptions{}); err != nil {
		return
	}
	_, err := d.client.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	// With AutoRemove it has gone, or is just going.
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
		t.Errorf("remove container: %v", err)
	}
}

// Start starts a stopped container.
func (d *Docker) Start(t testing.TB, id string) {
	t.Helper()
	_, err := d.client.ContainerStart(t.Context(), id, client.ContainerStartOptions{})
	check(t, "start container", err)
}

// Stop ends a container as docker stop does: SIGTERM, and SIGKILL after grace, which counts in seconds.
func (d *Docker) Stop(t testing.TB, id string, grace time.Duration) {
	t.Helper()
	seconds := int(grace / time.Second)
	_, err := d.client.ContainerStop(t.Context(), id, client.ContainerStopOptions{Timeout: &seconds})
	check(t, "stop container", err)
}

// Kill sends a signal such as SIGKILL.
func (d *Docker) Kill(t testing.TB, id, signal string) {
	t.Helper()
	_, err := d.client.ContainerKill(t.Context(), id, client.ContainerKillOptions{Signal: signal})
	check(t, "kill container", err)
}

// Remove removes a container, running or not.
func (d *Docker) Remove(t testing.TB, id string) {
	t.Helper()
	_, err := d.client.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{Force: true})
	check(t, "remove container", err)
}

// Inspect returns what the daemon knows of a container.
func (d *Docker) Inspect(t testing.TB, id string) container.InspectResponse {
	t.Helper()
	result, err := d.client.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
	check(t, "inspect container", err)
	return result.Container
}

// Wait waits until a container does not run, and returns its exit code.
func (d *Docker) Wait(t testing.TB, id string, within time.Duration) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), within, errors.New("the container still runs"))
	defer cancel()
	wait := d.client.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case response := <-wait.Result:
		return response.StatusCode
	case err := <-wait.Error:
		check(t, "wait for container", errors.Join(err, context.Cause(ctx)))
		return 0
	}
}

func check(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
