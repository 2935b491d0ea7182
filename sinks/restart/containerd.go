package restart

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

// settle is how long a task must stay as it is before it counts as left behind by whoever made it.
const settle = time.Second

// ContainerdRestarter makes new tasks of the containers of one containerd: same spec, same snapshot, so
// what the container has written stays. It is safe for concurrent use.
type ContainerdRestarter struct {
	boot       string // tells process ids of one boot of the host from those of another
	conn       *grpc.ClientConn
	containers containers.ContainersClient
	snapshots  snapshots.SnapshotsClient
	tasks      tasks.TasksClient
}

var _ Restarter = (*ContainerdRestarter)(nil)

// NewContainerdRestarter returns a restarter of the containerd at address, the path of its socket. It
// dials nothing.
func NewContainerdRestarter(address string) (*ContainerdRestarter, error) {
	socket := strings.TrimPrefix(address, "unix://")
	conn, err := grpc.NewClient("passthrough:///containerd",
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("bellbuoy"),
		grpc.WithConnectParams(grpc.ConnectParams{ // its own would wait up to two minutes for a containerd that is back
			Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}))
	if err != nil {
		return nil, fmt.Errorf("make containerd client for %s: %w", address, err)
	}
	return &ContainerdRestarter{
		boot: bootOf("/proc/sys/kernel/random/boot_id"),
		conn: conn, containers: containers.NewContainersClient(conn), snapshots: snapshots.NewSnapshotsClient(conn), tasks: tasks.NewTasksClient(conn),
	}, nil
}

// Close ends the connection.
func (c *ContainerdRestarter) Close() error {
	if err := c.conn.Close(); err != nil {
		return fmt.Errorf("close containerd client: %w", err)
	}
	return nil
}

// within says in which namespace a call is.
func within(ctx context.Context, namespace string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
}

// State reads the container and its task. A task that was made and never started is no run.
func (c *ContainerdRestarter) State(ctx context.Context, t Target) (State, error) {
	found, process, err := c.read(within(ctx, t.Scope), t.ID)
	if err != nil || found == nil {
		return State{}, err
	}
	s := State{Found: true, Name: nameOf(found), Labels: found.GetLabels(), Setup: setupOf(found)}
	s.AutoRemove = s.Labels[labelNerdctlRemove] == "true"
	switch process.GetStatus() {
	case task.Status_RUNNING:
		s.Running = true
	case task.Status_PAUSED, task.Status_PAUSING:
		s.Running, s.Paused = true, true
	case task.Status_STOPPED:
		s.ExitCode, s.Stopped = int64(process.GetExitStatus()), process.GetExitedAt().AsTime()
	default:
		return s, nil
	}
	s.RunName = runOf(process, c.boot)
	return s, nil
}

// read returns the container and its task; either is nil if it is not there.
func (c *ContainerdRestarter) read(ctx context.Context, id string) (*containers.Container, *task.Process, error) {
	got, err := c.containers.Get(ctx, &containers.GetContainerRequest{ID: id})
	if status.Code(err) == codes.NotFound {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("get container: %w", err)
	}
	running, err := c.tasks.Get(ctx, &tasks.GetRequest{ContainerID: id})
	switch {
	case status.Code(err) == codes.NotFound:
		return got.GetContainer(), nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("get task: %w", err)
	case running.GetProcess().GetStatus() == task.Status_UNKNOWN:
		return nil, nil, errors.New("get task: its shim does not tell its state")
	}
	return got.GetContainer(), running.GetProcess(), nil
}

// Start makes a new task of a container whose last one is the stopped one of t, or is gone.
func (c *ContainerdRestarter) Start(ctx context.Context, t Target) error {
	ctx = within(ctx, t.Scope)
	found, process, err := c.settled(ctx, t.ID)
	switch {
	case err != nil:
		return err
	case found == nil:
		return errors.New("start task: the container is gone")
	case setupOf(found) != "":
		return errors.New("start task: " + setupOf(found))
	case process.GetStatus() == task.Status_CREATED: // by an action that was cut off
		return c.start(ctx, t.ID)
	case process != nil:
		if err := c.clear(ctx, t, process); err != nil {
			return err
		}
	}
	if err := c.create(ctx, found, logOf(found, process)); err != nil {
		return err
	}
	return c.start(ctx, t.ID)
}

// settled reads container and task. If somebody may be about to start the task or to remove the container,
// as a client that waits for the end of its run does, it looks a second time.
func (c *ContainerdRestarter) settled(ctx context.Context, id string) (*containers.Container, *task.Process, error) {
	found, process, err := c.read(ctx, id)
	if err != nil || found == nil || process.GetStatus() == task.Status_STOPPED && !attached(process) {
		return found, process, err
	}
	if err := backoff.Sleep(ctx, settle); err != nil {
		return nil, nil, fmt.Errorf("wait for task: %w", err)
	}
	return c.read(ctx, id)
}

// clear deletes the stopped task, which must be the one that the action is about.
func (c *ContainerdRestarter) clear(ctx context.Context, t Target, p *task.Process) error {
	s := State{Stopped: p.GetExitedAt().AsTime()}
	switch {
	case p.GetStatus() != task.Status_STOPPED:
		return errors.New("start task: it is not stopped")
	case runOf(p, c.boot) != t.Run && !s.endedAt(t.Stopped):
		return errors.New("start task: another run is the last")
	}
	_, err := c.tasks.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: t.ID})
	if err != nil && status.Code(err) != codes.NotFound {
		return fmt.Errorf("delete stopped task: %w", err)
	}
	return nil
}

// create makes the task, on the container's own snapshot.
func (c *ContainerdRestarter) create(ctx context.Context, found *containers.Container, log string) error {
	mounts, err := c.snapshots.Mounts(ctx, &snapshots.MountsRequest{Snapshotter: found.GetSnapshotter(), Key: found.GetSnapshotKey()})
	if err != nil {
		return fmt.Errorf("find root file system: %w", err)
	}
	_, err = c.tasks.Create(ctx, &tasks.CreateTaskRequest{ContainerID: found.GetID(), Rootfs: mounts.GetMounts(), Stdout: log, Stderr: log})
	if err != nil {
		return fmt.Errorf("create task: %w", err)
	}
	return nil
}

// start starts the created task, or takes it away again.
func (c *ContainerdRestarter) start(ctx context.Context, id string) error {
	_, err := c.tasks.Start(ctx, &tasks.StartRequest{ContainerID: id})
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, left := c.tasks.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
	if left != nil && status.Code(left) != codes.NotFound {
		err = errors.Join(err, fmt.Errorf("delete created task: %w", left))
	}
	return fmt.Errorf("start task: %w", err)
}

// Restart refuses: containerd has no probes, so nothing asks for it.
func (*ContainerdRestarter) Restart(context.Context, Target) error {
	return errors.New("restart task: a running task of containerd is left alone")
}
