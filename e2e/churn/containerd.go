package churn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// Containerd makes container lives in one namespace of a containerd, and execs in some of them.
type Containerd struct {
	Conn      *grpc.ClientConn
	Namespace string
	Template  string // id of a container that all are made like
	Prefix    string
	Rate      float64 // lives a second that are asked for

	mu    sync.Mutex // guards what follows
	lives []Life
	ends  []Record
	execs int
}

// Drive makes lives until enough is closed and all have ended. It returns how many a second it made.
func (c *Containerd) Drive(ctx context.Context, enough <-chan struct{}) (float64, error) {
	m, err := c.mould(ctx)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	took := func() time.Duration { return time.Since(begun) }
	err = drive(ctx, enough, c.Rate, func(ctx context.Context, i int) error { return c.live(ctx, m, i) })
	return float64(len(c.Lives())) / took().Seconds(), err
}

// Mark makes two events that are about no container.
func (c *Containerd) Mark(ctx context.Context) error {
	m, err := c.mould(ctx)
	if err != nil {
		return err
	}
	ctx = c.within(ctx)
	client, key := snapshots.NewSnapshotsClient(c.Conn), c.Prefix+"-mark"
	_, err = client.Prepare(ctx, &snapshots.PrepareSnapshotRequest{Snapshotter: m.like.Snapshotter, Key: key, Parent: m.parent, Labels: rooted()})
	if err != nil {
		return fmt.Errorf("make snapshot: %w", err)
	}
	_, err = client.Remove(ctx, &snapshots.RemoveSnapshotRequest{Snapshotter: m.like.Snapshotter, Key: key})
	if err != nil {
		return fmt.Errorf("remove snapshot: %w", err)
	}
	return nil
}

// Lives returns what has been made.
func (c *Containerd) Lives() []Life {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Life(nil), c.lives...)
}

// Ends returns how each run ended, as containerd answered to who waited for it. Some of these ends it never
// publishes: those of tasks that are deleted at once.
func (c *Containerd) Ends() []Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Record(nil), c.ends...)
}

// Execs counts the processes that were started beside those of the tasks.
func (c *Containerd) Execs() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.execs
}

func (c *Containerd) within(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", c.Namespace)
}

// mould is what containers are made of.
type mould struct {
	like   *containers.Container
	parent string // the snapshot below those of all
	spec   map[string]any
}

func (c *Containerd) mould(ctx context.Context) (*mould, error) {
	ctx = c.within(ctx)
	got, err := containers.NewContainersClient(c.Conn).Get(ctx, &containers.GetContainerRequest{ID: c.Template})
	if err != nil {
		return nil, fmt.Errorf("get container %s: %w", c.Template, err)
	}
	m := &mould{like: got.Container}
	below, err := snapshots.NewSnapshotsClient(c.Conn).Stat(ctx, &snapshots.StatSnapshotRequest{
		Snapshotter: m.like.Snapshotter, Key: m.like.SnapshotKey,
	})
	if err != nil {
		return nil, fmt.Errorf("look at the snapshot of %s: %w", c.Template, err)
	}
	m.parent = below.Info.Parent
	if err := json.Unmarshal(m.like.Spec.Value, &m.spec); err != nil {
		return nil, fmt.Errorf("read the spec of %s: %w", c.Template, err)
	}
	return m, nil
}

// rooted keeps a snapshot from the garbage collection as long as nothing refers to it.
func rooted() map[string]string {
	return map[string]string{"containerd.io/gc.root": time.Now().UTC().Format(time.RFC3339)}
}

// process is the process of the template with another command.
func (m *mould) process(args ...string) map[string]any {
	like, _ := m.spec["process"].(map[string]any)
	p := maps.Clone(like)
	p["args"], p["terminal"] = args, false
	return p
}

// cast returns the spec of a container.
func (m *mould) cast(id string, args ...string) (*anypb.Any, error) {
	spec := maps.Clone(m.spec)
	spec["process"] = m.process(args...)
	if linux, ok := spec["linux"].(map[string]any); ok {
		linux = maps.Clone(linux)
		if group, ok := linux["cgroupsPath"].(string); ok {
			linux["cgroupsPath"] = path.Join(path.Dir(group), id)
		}
		spec["linux"] = linux
	}
	value, err := json.Marshal(spec)
	return &anypb.Any{TypeUrl: m.like.Spec.TypeUrl, Value: value}, err
}

// live makes one container: two in five stay with their task, and half of these are run once more.
func (c *Containerd) live(ctx context.Context, m *mould, i int) error {
	ctx = c.within(ctx)
	l := Life{ID: fmt.Sprintf("%s-%d", c.Prefix, i), Kept: rand.IntN(5) < 2, Code: rand.IntN(4), Runs: 1}
	if l.Kept {
		l.Runs += rand.IntN(2)
	}
	exec := rand.IntN(4) == 0
	script := "sleep 0.05; exit " + strconv.Itoa(l.Code)
	if exec {
		script = "sleep 1; exit " + strconv.Itoa(l.Code)
	}
	mounts, err := snapshots.NewSnapshotsClient(c.Conn).Prepare(ctx, &snapshots.PrepareSnapshotRequest{
		Snapshotter: m.like.Snapshotter, Key: l.ID, Parent: m.parent, Labels: rooted(),
	})
	if err != nil {
		return fmt.Errorf("make snapshot: %w", err)
	}
	spec, err := m.cast(l.ID, "sh", "-c", script)
	if err != nil {
		return fmt.Errorf("make spec: %w", err)
	}
	_, err = containers.NewContainersClient(c.Conn).Create(ctx, &containers.CreateContainerRequest{Container: &containers.Container{
		ID: l.ID, Image: m.like.Image, Runtime: m.like.Runtime, Spec: spec, Snapshotter: m.like.Snapshotter, SnapshotKey: l.ID,
	}})
	if err != nil {
		return fmt.Errorf("create container: %w", err)
	}
	c.mu.Lock()
	c.lives = append(c.lives, l)
	c.mu.Unlock()
	return c.runs(ctx, m, l, exec, &tasks.CreateTaskRequest{ContainerID: l.ID, Rootfs: mounts.Mounts})
}

func (c *Containerd) runs(ctx context.Context, m *mould, l Life, exec bool, task *tasks.CreateTaskRequest) error {
	client := tasks.NewTasksClient(c.Conn)
	for run := range l.Runs {
		if run > 0 {
			if _, err := client.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: l.ID}); err != nil {
				return fmt.Errorf("delete task: %w", err)
			}
		}
		if _, err := client.Create(ctx, task); err != nil {
			return fmt.Errorf("create task: %w", err)
		}
		started, err := client.Start(ctx, &tasks.StartRequest{ContainerID: l.ID})
		if err != nil {
			return fmt.Errorf("start task: %w", err)
		}
		if exec {
			if err := c.exec(ctx, m, l.ID); err != nil {
				return err
			}
		}
		end, err := client.Wait(ctx, &tasks.WaitRequest{ContainerID: l.ID})
		if err != nil {
			return fmt.Errorf("wait for task: %w", err)
		}
		c.mu.Lock()
		c.ends = append(c.ends, Record{
			At: end.GetExitedAt().AsTime().UnixNano(), Kind: Stopped, ID: l.ID, Code: decimal(end.GetExitStatus()), Run: decimal(started.GetPid()),
		})
		c.mu.Unlock()
	}
	if l.Kept {
		return nil
	}
	return c.remove(ctx, m.like.Snapshotter, l.ID)
}

// exec runs a process beside the task's.
func (c *Containerd) exec(ctx context.Context, m *mould, id string) error {
	spec, err := json.Marshal(m.process("sh", "-c", "exit 5"))
	if err != nil {
		return fmt.Errorf("make process: %w", err)
	}
	client := tasks.NewTasksClient(c.Conn)
	_, err = client.Exec(ctx, &tasks.ExecProcessRequest{ContainerID: id, ExecID: "exec", Spec: &anypb.Any{
		TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process", Value: spec,
	}})
	if err == nil {
		_, err = client.Start(ctx, &tasks.StartRequest{ContainerID: id, ExecID: "exec"})
	}
	if err != nil {
		return nil //nolint:nilerr // the task was faster, which each version says in its own words
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.execs++
	return nil
}

func (c *Containerd) remove(ctx context.Context, snapshotter, id string) error {
	_, err := tasks.NewTasksClient(c.Conn).Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
	if err != nil && status.Code(err) != codes.NotFound {
		return fmt.Errorf("delete task: %w", err)
	}
	if _, err := containers.NewContainersClient(c.Conn).Delete(ctx, &containers.DeleteContainerRequest{ID: id}); err != nil {
		return fmt.Errorf("delete container: %w", err)
	}
	if _, err := snapshots.NewSnapshotsClient(c.Conn).Remove(ctx, &snapshots.RemoveSnapshotRequest{Snapshotter: snapshotter, Key: id}); err != nil {
		return fmt.Errorf("remove snapshot: %w", err)
	}
	return nil
}

// Remove removes the containers that are left.
func (c *Containerd) Remove(ctx context.Context) error {
	m, err := c.mould(ctx)
	if err != nil {
		return err
	}
	ctx = c.within(ctx)
	var errs []error
	for _, l := range c.Lives() {
		if l.Kept {
			errs = append(errs, c.remove(ctx, m.like.Snapshotter, l.ID))
		}
	}
	return errors.Join(errs...)
}
