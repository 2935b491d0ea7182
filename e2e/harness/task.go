package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"google.golang.org/grpc/metadata"
)

// CtrSpec is a container of the test image, with a task that runs.
type CtrSpec struct {
	Namespace string // "default" if empty
	ID        string // a new one if empty
	Cmd       []string
	Env       []string
	Labels    map[string]string
	Memory    int64    // bytes, with what swap the machine has beside it
	LogURI    string   // such as file:///folder/log; without one nothing is kept of what it writes
	Flags     []string // more for ctr run
}

// Run creates a container and starts its task, both of which are removed at the end of the test. It returns
// the container's id.
func (c *Containerd) Run(t testing.TB, spec CtrSpec) string {
	t.Helper()
	if spec.Namespace == "" {
		spec.Namespace = "default"
	}
	if spec.ID == "" {
		spec.ID = "test-" + strconv.FormatInt(c.count.Add(1), 10)
	}
	c.mu.Lock()
	there := c.imported[spec.Namespace]
	c.mu.Unlock()
	if !there {
		c.Import(t, spec.Namespace)
	}
	t.Cleanup(func() { c.remove(t, spec.Namespace, spec.ID) })
	c.Ctr(t, spec.Namespace, c.runArgs(spec)...)
	return spec.ID
}

func (c *Containerd) runArgs(spec CtrSpec) []string {
	args := []string{"run", "--detach", "--cgroup", strings.Join([]string{"", c.cell.cgroup, spec.Namespace, spec.ID}, "/")}
	if spec.LogURI == "" {
		args = append(args, "--null-io")
	} else {
		args = append(args, "--log-uri", spec.LogURI)
	}
	if spec.Memory > 0 {
		args = append(args, "--memory-limit", strconv.FormatInt(spec.Memory, 10))
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Labels)) {
		args = append(args, "--label", name+"="+spec.Labels[name])
	}
	for _, variable := range spec.Env {
		args = append(args, "--env", variable)
	}
	return slices.Concat(args, spec.Flags, []string{c.Image, spec.ID}, spec.Cmd)
}

// Import puts the image into a namespace. Run does so too, once; a test that has removed the image, or the
// namespace, wants it again.
func (c *Containerd) Import(t testing.TB, namespace string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	archive := filepath.Join(c.cell.dir, "image.tar")
	check(t, "make test image", writeImage(t.Context(), c.found.Busybox, c.Image, archive))
	c.Ctr(t, namespace, "images", "import", archive)
	c.imported[namespace] = true
}

// remove removes a container for which t.Context has ended already, and which the test may have removed. A daemon
// that the test has left stopped keeps its containers.
func (c *Containerd) remove(t testing.TB, namespace, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, running, err := c.cell.order("running"); err != nil || !running {
		return
	}
	for _, args := range [][]string{{"task", "rm", "--force", id}, {"container", "rm", id}} {
		_, err := c.run(ctx, append([]string{"--namespace", namespace}, args...)...)
		// Removing a failed task ends with the task's exit code and no word.
		if err != nil && !strings.Contains(err.Error(), "not found") && strings.Contains(err.Error(), "ctr: ") {
			t.Errorf("remove container: %v", err)
		}
	}
}

// Exit is how a task has ended.
type Exit struct {
	Code uint32
	At   time.Time
}

// Wait waits until the task of a container has ended. It reads the end and does not remove the task.
func (c *Containerd) Wait(t testing.TB, namespace, id string, within time.Duration) Exit {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), within, errors.New("the task still runs"))
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
	conn, err := c.dial()
	check(t, "dial containerd", err)
	defer conn.Close() // and not at the end of the test, which may wait for thousands
	exit, err := tasks.NewTasksClient(conn).Wait(ctx, &tasks.WaitRequest{ContainerID: id})
	if err != nil {
		t.Fatalf("wait for task: %v", fmt.Errorf("%w (%w)", err, context.Cause(ctx)))
	}
	return Exit{Code: exit.GetExitStatus(), At: exit.GetExitedAt().AsTime()}
}
