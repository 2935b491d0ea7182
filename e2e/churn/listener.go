package churn

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/api/events"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// Listener reads the events of a namespace of containerd, which replays nothing, as monitors commonly do.
// Over a connection that is never cut it is the witness.
type Listener struct {
	namespace string
	conn      *grpc.ClientConn

	mu      sync.Mutex // guards what follows
	records []Record
	breaks  []error
	total   int
	execs   int
}

// NewListener listens to the containerd at socket, a path, until the test ends.
func NewListener(t testing.TB, socket, namespace string) *Listener {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: peerRetry, Multiplier: 1, MaxDelay: peerRetry}}))
	if err != nil {
		t.Fatalf("make client of %s: %v", socket, err)
	}
	l := &Listener{namespace: namespace, conn: conn}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		conn.Close()
	})
	return l
}

func (l *Listener) run(ctx context.Context) {
	tick := time.NewTicker(peerRetry)
	defer tick.Stop()
	for {
		err := l.listen(ctx)
		l.mu.Lock()
		l.breaks = append(l.breaks, err)
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listen reads one stream to its end.
func (l *Listener) listen(ctx context.Context) error {
	stream, err := eventsapi.NewEventsClient(l.conn).Subscribe(ctx, &eventsapi.SubscribeRequest{
		Filters: []string{"namespace==" + l.namespace},
	})
	for err == nil {
		var e *types.Envelope
		if e, err = stream.Recv(); err == nil {
			err = l.note(e)
		}
	}
	return err
}

func (l *Listener) note(e *types.Envelope) error {
	r := Record{At: e.GetTimestamp().AsTime().UnixNano()}
	switch e.GetTopic() {
	case "/containers/create":
		var m events.ContainerCreate
		if err := e.GetEvent().UnmarshalTo(&m); err != nil {
			return err
		}
		r.Kind, r.ID = Created, m.GetID()
	case "/containers/delete":
		var m events.ContainerDelete
		if err := e.GetEvent().UnmarshalTo(&m); err != nil {
			return err
		}
		r.Kind, r.ID = Removed, m.GetID()
	case "/tasks/start":
		var m events.TaskStart
		if err := e.GetEvent().UnmarshalTo(&m); err != nil {
			return err
		}
		r.Kind, r.ID, r.Run = Started, m.GetContainerID(), decimal(m.GetPid())
	case "/tasks/exit":
		var m events.TaskExit
		if err := e.GetEvent().UnmarshalTo(&m); err != nil {
			return err
		}
		r.Kind, r.ID, r.Code, r.Run = Stopped, m.GetContainerID(), decimal(m.GetExitStatus()), decimal(m.GetPid())
		if m.GetID() != m.GetContainerID() {
			r.ID = "" // of an exec
		}
	default:
		r.ID = ""
	}
	l.keep(r)
	return nil
}

func (l *Listener) keep(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	switch {
	case r.ID != "":
		l.records = append(l.records, r)
	case r.Kind == Stopped:
		l.execs++
	}
}

// Total counts the events of any kind that have come, Execs those of the ends of execs.
func (l *Listener) Total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Execs counts the ends of processes beside those of the tasks.
func (l *Listener) Execs() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.execs
}

// Broken returns why the stream has ended, each time.
func (l *Listener) Broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.breaks...)
}

// Records returns the transitions that have come, in their order.
func (l *Listener) Records() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Record(nil), l.records...)
}

// Complete adds the ends that were never published to what was, and says how many these are.
func Complete(records, ends []Record) (all []Record, unpublished int) {
	type run struct{ id, name string }
	told := map[run]bool{}
	for _, r := range records {
		if r.Kind == Stopped {
			told[run{r.ID, r.Run}] = true
		}
	}
	missing := map[string][]Record{}
	for _, end := range ends {
		if !told[run{end.ID, end.Run}] {
			missing[end.ID] = append(missing[end.ID], end)
			unpublished++
		}
	}
	for _, r := range records {
		if r.Kind == Removed {
			all = append(all, missing[r.ID]...)
			delete(missing, r.ID)
		}
		all = append(all, r)
	}
	for _, end := range missing {
		all = append(all, end...)
	}
	return all, unpublished
}
