package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/services/introspection/v1"
	"github.com/containerd/containerd/api/services/namespaces/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/services/version/v1"
	native "github.com/containerd/containerd/api/types/task"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	answerTimeout = 10 * time.Second
	listTimeout   = time.Minute // containerd asks one shim after the other, 2 s for one that hangs
	// dialDelay bounds grpc's own pause between dials; the collector has one of its own.
	dialDelay  = 500 * time.Millisecond
	maxMessage = 64 << 20 // a list of all tasks comes in one
)

// api asks one containerd. It is safe for concurrent use.
type api struct {
	socket        string
	conn          *grpc.ClientConn
	events        events.EventsClient
	containers    containers.ContainersClient
	tasks         tasks.TasksClient
	namespaces    namespaces.NamespacesClient
	images        images.ImagesClient
	introspection introspection.IntrospectionClient
	version       version.VersionClient
}

// dial returns an api that connects when it is asked.
func dial(socket string) (*api, error) {
	conn, err := grpc.NewClient("passthrough:///containerd",
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("bellbuoy"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.ForceCodec(codec{})),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstRetry, Multiplier: 1.6, Jitter: 0.2, MaxDelay: dialDelay},
			MinConnectTimeout: answerTimeout,
		}),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}))
	if err != nil {
		return nil, fmt.Errorf("make client of containerd at %s: %w", socket, err)
	}
	return &api{
		socket: socket, conn: conn, events: events.NewEventsClient(conn), containers: containers.NewContainersClient(conn),
		tasks: tasks.NewTasksClient(conn), namespaces: namespaces.NewNamespacesClient(conn), images: images.NewImagesClient(conn),
		introspection: introspection.NewIntrospectionClient(conn), version: version.NewVersionClient(conn),
	}, nil
}

func (a *api) close() { _ = a.conn.Close() }

// server is who answers at the address.
type server struct {
	id, version string
	pid         uint64 // 0 before 1.7
}

// inquire asks containerd who it is.
func (a *api) inquire(ctx context.Context) (server, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	a.conn.ResetConnectBackoff()
	who, err := a.introspection.Server(ctx, &emptypb.Empty{})
	if err != nil {
		return server{}, a.describe(err)
	}
	v, err := a.version.Version(ctx, &emptypb.Empty{})
	if err != nil {
		return server{}, a.describe(err)
	}
	if who.UUID == "" {
		return server{}, fmt.Errorf("ask containerd at %s: it has no id of its own", a.socket)
	}
	return server{id: who.UUID, version: v.Version, pid: who.Pid}, nil
}

// ping finds a containerd that hangs.
func (a *api) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := a.version.Version(ctx, &emptypb.Empty{})
	return a.describe(err)
}

func (a *api) spaces(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	list, err := a.namespaces.List(ctx, &namespaces.ListNamespacesRequest{})
	if err != nil {
		return nil, a.describe(err)
	}
	names := make([]string, len(list.Namespaces))
	for i, n := range list.Namespaces {
		names[i] = n.Name
	}
	return names, nil
}

// container asks for one; nil is one that does not exist.
func (a *api) container(ctx context.Context, namespace, id string) (*containers.Container, error) {
	ctx, cancel := context.WithTimeout(within(ctx, namespace), answerTimeout)
	defer cancel()
	got, err := a.containers.Get(ctx, &containers.GetContainerRequest{ID: id})
	switch {
	case status.Code(err) == codes.NotFound:
		return nil, nil //nolint:nilnil // missing is an answer
	case err != nil:
		return nil, a.describe(err)
	}
	return got.Container, nil
}

// each visits every container of a namespace. They come one by one, because all together may be more
// than one message can carry.
func (a *api) each(ctx context.Context, namespace string, visit func(*containers.Container)) error {
	ctx, cancel := context.WithTimeout(within(ctx, namespace), listTimeout)
	defer cancel()
	stream, err := a.containers.ListStream(ctx, &containers.ListContainersRequest{})
	for err == nil {
		var m *containers.ListContainerMessage
		if m, err = stream.Recv(); err == nil && m.Container != nil {
			visit(m.Container)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return a.describe(err)
}

func (a *api) processes(ctx context.Context, namespace string) (map[string]*native.Process, error) {
	ctx, cancel := context.WithTimeout(within(ctx, namespace), listTimeout)
	defer cancel()
	list, err := a.tasks.List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return nil, a.describe(err)
	}
	byID := make(map[string]*native.Process, len(list.Tasks))
	for _, p := range list.Tasks {
		byID[p.ID] = p
	}
	return byID, nil
}

// process asks for one task; nil is unknown.
func (a *api) process(ctx context.Context, namespace, id string) *native.Process {
	ctx, cancel := context.WithTimeout(within(ctx, namespace), answerTimeout)
	defer cancel()
	got, err := a.tasks.Get(ctx, &tasks.GetRequest{ContainerID: id})
	if err != nil {
		return nil
	}
	return got.Process
}

// digest asks what an image means now; empty is unknown.
func (a *api) digest(ctx context.Context, namespace, image string) string {
	ctx, cancel := context.WithTimeout(within(ctx, namespace), answerTimeout)
	defer cancel()
	got, err := a.images.Get(ctx, &images.GetImageRequest{Name: image})
	if err != nil {
		return ""
	}
	return got.GetImage().GetTarget().GetDigest()
}

func within(ctx context.Context, namespace string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", namespace)
}

// describe says what was attempted and, where it is known, what to do. grpc's own prefix says nothing.
func (a *api) describe(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if s, ok := status.FromError(err); ok {
		text = s.Message()
	}
	if _, cause, found := strings.Cut(text, "Error while dialing: "); found {
		text = strings.TrimSuffix(cause, `"`)
	}
	hint := ""
	switch {
	case strings.Contains(text, "permission denied"):
		hint = "; containerd's socket belongs to root: run as root, or give the group of the socket access in containerd's config ([grpc] gid)"
	case status.Code(err) == codes.Unimplemented || strings.Contains(text, "server preface") || strings.Contains(text, "frame header"):
		hint = "; is it the socket of another program?"
	}
	return &answerError{fmt.Sprintf("ask containerd at %s: %s%s", a.socket, text, hint), err}
}

// answerError says it in words for people and keeps the error that it is about.
type answerError struct {
	text string
	err  error
}

func (e *answerError) Error() string { return e.text }
func (e *answerError) Unwrap() error { return e.err }
