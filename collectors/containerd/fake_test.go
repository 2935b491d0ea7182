package containerd_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/services/introspection/v1"
	"github.com/containerd/containerd/api/services/namespaces/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/services/version/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/task"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// fakeServer speaks containerd's protocol on a socket. It stands for what no real one does on demand:
// events that are lost or are nonsense, answers that never come, a socket that is something else. What a
// real one can show is tested in e2e.
type fakeServer struct {
	containers.UnimplementedContainersServer
	t      testing.TB
	socket string
	server *grpc.Server

	mu         sync.Mutex // guards what follows
	id         string
	pid        uint32
	containers map[string]*containers.Container // by namespace/id
	tasks      map[string]*task.Process
	streams    map[chan *types.Envelope]context.CancelFunc
	opened     int
	got        int           // questions about one container
	mute       bool          // it does not say when a task ends
	waiting    int           // questions about the end of a task
	changed    chan struct{} // closed when a task has changed
	quiet      bool
	hangs      chan struct{} // questions wait until it is closed
	failing    codes.Code
}

func newFake(t testing.TB) *fakeServer {
	t.Helper()
	f := &fakeServer{
		t: t, socket: filepath.Join(t.TempDir(), "c.sock"), id: "engine-1", pid: 100,
		containers: map[string]*containers.Container{}, tasks: map[string]*task.Process{}, streams: map[chan *types.Envelope]context.CancelFunc{},
		changed: make(chan struct{}),
	}
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *fakeServer) start() {
	l, err := (&net.ListenConfig{}).Listen(f.t.Context(), "unix", f.socket)
	require.NoError(f.t, err)
	s := grpc.NewServer()
	containers.RegisterContainersServer(s, f)
	images.RegisterImagesServer(s, imagesOf{})
	events.RegisterEventsServer(s, eventsOf{f: f})
	tasks.RegisterTasksServer(s, tasksOf{f: f})
	namespaces.RegisterNamespacesServer(s, namespacesOf{f: f})
	introspection.RegisterIntrospectionServer(s, introspectionOf{f: f})
	version.RegisterVersionServer(s, versionOf{f: f})
	f.mu.Lock()
	f.server = s
	f.mu.Unlock()
	go func() { _ = s.Serve(l) }()
}

func (f *fakeServer) stop() {
	f.mu.Lock()
	s := f.server
	f.mu.Unlock()
	s.Stop()
}

// cut breaks every stream.
func (f *fakeServer) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, cancel := range f.streams {
		cancel()
	}
}

// quietly loses the events of what is done in do.
func (f *fakeServer) quietly(do func()) {
	f.mu.Lock()
	f.quiet = true
	f.mu.Unlock()
	do()
	f.mu.Lock()
	f.quiet = false
	f.mu.Unlock()
}

func (f *fakeServer) hang() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hangs = make(chan struct{})
	return sync.OnceFunc(func() { close(f.hangs) })
}

func (f *fakeServer) fail(c codes.Code) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = c
}

func (f *fakeServer) asked(ctx context.Context) error {
	f.mu.Lock()
	hangs, failing := f.hangs, f.failing
	f.mu.Unlock()
	if hangs != nil {
		select {
		case <-hangs:
		case <-ctx.Done():
		}
	}
	if failing != codes.OK {
		return status.Error(failing, "the fake was told to fail")
	}
	return nil
}

func (f *fakeServer) publish(namespace, topic string, e proto.Message) {
	b, err := anypb.New(e)
	require.NoError(f.t, err)
	f.send(&types.Envelope{Timestamp: timestamppb.Now(), Namespace: namespace, Topic: topic, Event: b})
}

func (f *fakeServer) send(e *types.Envelope) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.quiet {
		return
	}
	for stream := range f.streams {
		stream <- e
	}
}

func (f *fakeServer) subscribed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}

func (f *fakeServer) gets() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got
}

func at(namespace, id string) string { return namespace + "/" + id }

func (f *fakeServer) create(namespace, id string, labels map[string]string) {
	c := &containers.Container{
		ID: id, Image: "docker.io/library/web:1", Labels: labels, CreatedAt: timestamppb.Now(),
		Spec: &anypb.Any{Value: []byte(`{"process":{"env":["API_TOKEN=tok3nInEnv"],"args":["--password","hunter2"]},"linux":{"cgroupsPath":"/` + namespace + "/" + id + `"}}`)},
	}
	f.mu.Lock()
	f.containers[at(namespace, id)] = c
	f.mu.Unlock()
	f.publish(namespace, "/containers/create", &apievents.ContainerCreate{ID: id, Image: c.Image})
}

func (f *fakeServer) update(namespace, id string, labels map[string]string) {
	f.mu.Lock()
	c := proto.CloneOf(f.containers[at(namespace, id)])
	c.Labels = labels
	f.containers[at(namespace, id)] = c
	f.mu.Unlock()
	f.publish(namespace, "/containers/update", &apievents.ContainerUpdate{ID: id, Labels: labels})
}

func (f *fakeServer) run(namespace, id string) {
	f.mu.Lock()
	f.pid++
	pid := f.pid
	f.tasks[at(namespace, id)] = &task.Process{ID: id, Pid: pid, Status: task.Status_RUNNING}
	f.mu.Unlock()
	f.publish(namespace, "/tasks/create", &apievents.TaskCreate{ContainerID: id, Pid: pid})
	f.publish(namespace, "/tasks/start", &apievents.TaskStart{ContainerID: id, Pid: pid})
}

func (f *fakeServer) exit(namespace, id string, code uint32) {
	f.mu.Lock()
	p := proto.CloneOf(f.tasks[at(namespace, id)])
	p.Status, p.ExitStatus, p.ExitedAt = task.Status_STOPPED, code, timestamppb.Now()
	f.set(at(namespace, id), p)
	f.mu.Unlock()
	f.publish(namespace, "/tasks/exit", &apievents.TaskExit{ContainerID: id, ID: id, Pid: p.Pid, ExitStatus: code, ExitedAt: p.ExitedAt})
}

// set changes a task and tells who waits; the caller holds the lock.
func (f *fakeServer) set(key string, p *task.Process) {
	if f.tasks[key] = p; p == nil {
		delete(f.tasks, key)
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeServer) taskOf(namespace, id string) *task.Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tasks[at(namespace, id)]
}

func (f *fakeServer) deleteTask(namespace, id string) {
	f.mu.Lock()
	p := f.tasks[at(namespace, id)]
	f.set(at(namespace, id), nil)
	f.mu.Unlock()
	f.publish(namespace, "/tasks/delete", &apievents.TaskDelete{ContainerID: id, Pid: p.Pid, ExitStatus: p.ExitStatus, ExitedAt: p.ExitedAt})
}

func (f *fakeServer) remove(namespace, id string) {
	f.mu.Lock()
	delete(f.containers, at(namespace, id))
	f.mu.Unlock()
	f.publish(namespace, "/containers/delete", &apievents.ContainerDelete{ID: id})
}

func spaceOf(ctx context.Context) string {
	in, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(in.Get("containerd-namespace"), "")
}

func (f *fakeServer) Get(ctx context.Context, r *containers.GetContainerRequest) (*containers.GetContainerResponse, error) {
	if err := f.asked(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got++
	c := f.containers[at(spaceOf(ctx), r.ID)]
	if c == nil {
		return nil, status.Error(codes.NotFound, "no such container")
	}
	return &containers.GetContainerResponse{Container: c}, nil
}

func (f *fakeServer) ListStream(_ *containers.ListContainersRequest, s containers.Containers_ListStreamServer) error {
	if err := f.asked(s.Context()); err != nil {
		return err
	}
	f.mu.Lock()
	var all []*containers.Container
	for key, c := range f.containers {
		if strings.HasPrefix(key, spaceOf(s.Context())+"/") {
			all = append(all, c)
		}
	}
	f.mu.Unlock()
	for _, c := range all {
		if err := s.Send(&containers.ListContainerMessage{Container: c}); err != nil {
			return err
		}
	}
	return nil
}

type imagesOf struct {
	images.UnimplementedImagesServer
}

func (imagesOf) Get(context.Context, *images.GetImageRequest) (*images.GetImageResponse, error) {
	return &images.GetImageResponse{Image: &images.Image{Target: &types.Descriptor{Digest: "sha256:0123456789abcdef"}}}, nil
}

type eventsOf struct {
	events.UnimplementedEventsServer
	f *fakeServer
}

func (e eventsOf) Subscribe(_ *events.SubscribeRequest, s events.Events_SubscribeServer) error {
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	stream := make(chan *types.Envelope, 65536)
	e.f.mu.Lock()
	e.f.streams[stream] = cancel
	e.f.opened++
	e.f.mu.Unlock()
	defer func() {
		e.f.mu.Lock()
		delete(e.f.streams, stream)
		e.f.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return status.Error(codes.Unavailable, "cut")
		case envelope := <-stream:
			if err := s.Send(envelope); err != nil {
				return err
			}
		}
	}
}

type tasksOf struct {
	tasks.UnimplementedTasksServer
	f *fakeServer
}

func (t tasksOf) List(ctx context.Context, _ *tasks.ListTasksRequest) (*tasks.ListTasksResponse, error) {
	if err := t.f.asked(ctx); err != nil {
		return nil, err
	}
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	r := &tasks.ListTasksResponse{}
	for key, p := range t.f.tasks {
		if strings.HasPrefix(key, spaceOf(ctx)+"/") {
			r.Tasks = append(r.Tasks, p)
		}
	}
	return r, nil
}

type namespacesOf struct {
	namespaces.UnimplementedNamespacesServer
	f *fakeServer
}

func (n namespacesOf) List(ctx context.Context, _ *namespaces.ListNamespacesRequest) (*namespaces.ListNamespacesResponse, error) {
	if err := n.f.asked(ctx); err != nil {
		return nil, err
	}
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	seen := map[string]bool{}
	r := &namespaces.ListNamespacesResponse{}
	for key := range n.f.containers {
		if name, _, _ := strings.Cut(key, "/"); !seen[name] {
			seen[name] = true
			r.Namespaces = append(r.Namespaces, &namespaces.Namespace{Name: name})
		}
	}
	return r, nil
}

type introspectionOf struct {
	introspection.UnimplementedIntrospectionServer
	f *fakeServer
}

func (i introspectionOf) Server(ctx context.Context, _ *emptypb.Empty) (*introspection.ServerResponse, error) {
	if err := i.f.asked(ctx); err != nil {
		return nil, err
	}
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	return &introspection.ServerResponse{UUID: i.f.id}, nil
}

type versionOf struct {
	version.UnimplementedVersionServer
	f *fakeServer
}

func (v versionOf) Version(ctx context.Context, _ *emptypb.Empty) (*version.VersionResponse, error) {
	return &version.VersionResponse{Version: "v1.7.0-fake"}, v.f.asked(ctx)
}

const patience = 20 * time.Second
