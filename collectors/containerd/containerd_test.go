package containerd_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/collectors/containerd"
	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ids atomic.Int64

func newID() string { return fmt.Sprintf("web-%d", ids.Add(1)) }

func fixture(t testing.TB, f *fakeServer) collectortest.Fixture {
	t.Helper()
	logs := t.TempDir()
	return collectortest.Fixture{
		Secrets: []string{"hunter2", "tok3nInEnv", "Sw0rdf1sh", "labelS3cret"},
		New: func(t testing.TB, p collectortest.Parts) collectors.Collector {
			t.Helper()
			cfg := containerd.DefaultConfig()
			cfg.Address, cfg.SnapshotEvery, cfg.Logs.Folders = f.socket, time.Second, []string{logs}
			c, err := containerd.New(cfg, containerd.Deps{Site: "test", Node: "n1", Publisher: p.Publisher, Reporter: p.Reporter, Cursors: p.Cursors})
			require.NoError(t, err)
			return c
		},
		Crash: func(t testing.TB) string {
			id := newID()
			log := filepath.Join(logs, id)
			require.NoError(t, os.WriteFile(log, []byte("password=hunter2\npostgres://app:Sw0rdf1sh@db/\nboom\n"), 0o600))
			f.create("default", id, map[string]string{"db.password": "labelS3cret", "containerd.io/restart.loguri": "file://" + log})
			f.run("default", id)
			f.exit("default", id, 3)
			return id
		},
		Check: func(t testing.TB, e *event.Event) { schematest.Valid(t, *e) },
	}
}

func watch(t *testing.T) (*fakeServer, *collectortest.Running) {
	t.Helper()
	f := newFake(t)
	return f, collectortest.Start(t, fixture(t, f), &collectortest.Stream{}, nil).Connected()
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, patience, 5*time.Millisecond, what)
}

func TestConformance(t *testing.T) {
	collectortest.Run(t, func(t *testing.T) collectortest.Fixture { return fixture(t, newFake(t)) })
}

func TestStopCarriesWhatPeopleNeed(t *testing.T) {
	f, r := watch(t)
	id := newID()
	log := filepath.Join(t.TempDir(), "x")
	f.create("shop", id, map[string]string{
		"nerdctl/name": "pay-1", "com.docker.compose.project": "store", "com.docker.compose.service": "pay",
		"containerd.io/restart.policy": "on-failure:3", "containerd.io/restart.count": "2", "bellbuoy.owner": "team-pay",
		"containerd.io/restart.loguri": "file://" + log,
	})
	f.run("shop", id)
	f.exit("shop", id, 3)
	e := r.Stopped(id)
	d := e.Data
	assert.Equal(t, []string{"shop", "store/pay", "0123456789ab", "team-pay"}, []string{d.Scope, d.Workload, d.Revision, d.Owner})
	assert.Equal(t, "exit.error", d.Cause.Class)
	only := d.Task.Containers[0]
	assert.Equal(t, int64(3), *only.ExitCode)
	assert.Equal(t, "on-failure:3", only.RestartPolicy)
	assert.Equal(t, int64(2), only.Restarts)
	assert.Equal(t, "sha256:0123456789abcdef", only.ImageDigest)
	assert.Contains(t, d.Task.Log.None, "not in a folder of logs.folders", "a label can't make it read any file")
	assert.Equal(t, event.ObservedStream, d.Observed)
	schematest.Valid(t, e)
}

func TestLateOutOfMemoryAmends(t *testing.T) {
	f, r := watch(t)
	id := newID()
	f.create("default", id, nil)
	f.run("default", id)
	f.exit("default", id, 137)
	first := r.Stopped(id)
	assert.Equal(t, "exit.sigkill", first.Data.Cause.Class)
	assert.Contains(t, strings.Join(first.Data.Cause.Evidence, "\n"), "its memory control group could not be asked")
	f.publish("default", "/tasks/oom", &apievents.TaskOOM{ContainerID: id})
	eventually(t, "amended", func() bool { return len(r.Stream.Of(event.TaskStopped, id)) == 2 })
	second := r.Stream.Of(event.TaskStopped, id)[1]
	assert.Equal(t, "oom", second.Data.Cause.Class)
	assert.Equal(t, first.ID, second.Data.Supersedes)

	held := newID()
	f.create("default", held, nil)
	f.run("default", held)
	f.exit("default", held, 137)
	f.publish("default", "/tasks/oom", &apievents.TaskOOM{ContainerID: held})
	assert.Equal(t, "oom", r.Stopped(held).Data.Cause.Class)
	assert.Len(t, r.Stream.Of(event.TaskStopped, held), 1)
}

func TestMarksOfNerdctl(t *testing.T) {
	f, r := watch(t)
	mark := func(id string, labels map[string]string) { f.update("default", id, labels) }
	stopped, again := newID(), newID()
	f.create("default", stopped, map[string]string{"nerdctl/name": "pay", "nerdctl/mounts": "[]"})
	f.run("default", stopped)
	r.Told(event.TaskStarted, stopped)
	mark(stopped, map[string]string{"containerd.io/restart.explicitly-stopped": "true"})
	r.Told(event.TaskStopping, stopped)
	f.exit("default", stopped, 137)
	e := r.Stopped(stopped)
	assert.Equal(t, "user.stop", e.Data.Cause.Class)
	assert.True(t, e.Data.Cause.Expected)
	assert.NotContains(t, e.Data.Labels, "nerdctl/mounts")

	f.deleteTask("default", stopped) // the mark is of an earlier run
	f.run("default", stopped)
	f.exit("default", stopped, 9)
	eventually(t, "the second run", func() bool { return len(r.Stream.Of(event.TaskStopped, stopped)) == 2 })
	assert.Equal(t, "exit.error", r.Stream.Of(event.TaskStopped, stopped)[1].Data.Cause.Class)

	f.create("default", again, nil)
	mark(again, map[string]string{"nerdctl/error": "cannot kill container again: container is not running"})
	mark(again, map[string]string{"nerdctl/error": "exec: \"nope\": not found, password=hunter2"})
	e = r.Stopped(again)
	assert.Equal(t, "start.error", e.Data.Cause.Class)
	assert.Equal(t, `exec: "nope": not found, password=[redacted]`, e.Data.Task.Containers[0].Reason)
	schematest.Valid(t, e)
	mark(again, map[string]string{"nerdctl/error": "again"})
	f.remove("default", again)
	r.Told(event.TaskRemoved, again)
	assert.Len(t, r.Stream.Of(event.TaskStopped, again), 1)
}

// TestRepeatedExits: a shim that dies lets containerd tell the end again, with another time.
func TestRepeatedExits(t *testing.T) {
	f, r := watch(t)
	id := newID()
	f.create("default", id, nil)
	f.run("default", id)
	f.exit("default", id, 4)
	f.exit("default", id, 137)
	f.deleteTask("default", id)
	f.run("default", id)
	f.exit("default", id, 5)
	eventually(t, "both runs", func() bool { return len(r.Stream.Of(event.TaskStopped, id)) == 2 })
	f.remove("default", id)
	r.Told(event.TaskRemoved, id)
	var codes []int64
	for _, e := range r.Stream.Of(event.TaskStopped, id) {
		codes = append(codes, *e.Data.Task.Containers[0].ExitCode)
	}
	assert.Equal(t, []int64{4, 5}, codes)
}

// TestLostEventsAreFound: what a snapshot shows and no event told is told, and the gap is.
func TestLostEventsAreFound(t *testing.T) {
	f, r := watch(t)
	f.mu.Lock()
	f.mute = true
	f.mu.Unlock()
	ends, deleted, gone, born := newID(), newID(), newID(), newID()
	for _, id := range []string{ends, deleted, gone} {
		f.create("default", id, nil)
		f.run("default", id)
		r.Told(event.TaskStarted, id)
	}
	f.quietly(func() {
		f.exit("default", ends, 3)
		f.exit("default", deleted, 4)
		f.deleteTask("default", deleted)
		f.exit("default", gone, 5)
		f.deleteTask("default", gone)
		f.remove("default", gone)
		f.create("default", born, nil)
		f.run("default", born)
	})
	e := r.Stopped(ends)
	assert.Equal(t, event.ObservedReconcile, e.Data.Observed)
	assert.Equal(t, int64(3), *e.Data.Task.Containers[0].ExitCode)
	assert.Equal(t, "unknown.lost", r.Stopped(deleted).Data.Cause.Class)
	assert.Equal(t, "unknown.lost", r.Stopped(gone).Data.Cause.Class)
	r.Told(event.TaskRemoved, gone)
	r.Told(event.TaskStarted, born)
	eventually(t, "the gap", func() bool { return len(r.Reporter.Gaps()) > 0 })
	gap := r.Reporter.Gaps()[0]
	assert.Equal(t, "containerd's event stream lost events", gap.Reason)
	assert.Positive(t, gap.Reconciled)
	assert.Less(t, gap.From, gap.To)
}

func TestCutStreamIsAGap(t *testing.T) {
	f, r := watch(t)
	fix := fixture(t, f)
	var all []string
	for range 3 {
		f.cut()
		all = append(all, fix.Crash(t))
		cuts := len(r.Reporter.Gaps())
		eventually(t, "the gap", func() bool { return len(r.Reporter.Gaps()) > cuts })
	}
	for _, id := range all {
		r.Stopped(id)
		assert.Len(t, r.Stream.Of(event.TaskStopped, id), 1)
		assert.Len(t, r.Stream.Of(event.TaskStarted, id), 1)
	}
	for _, gap := range r.Reporter.Gaps() {
		assert.Contains(t, gap.Unknown, "tasks that were started and deleted within this time")
		assert.Less(t, gap.From, gap.To)
	}
}

func TestNonsenseInTheStream(t *testing.T) {
	f, r := watch(t)
	id := newID()
	f.create("default", id, nil)
	f.run("default", id)
	for _, e := range []*types.Envelope{
		{},
		{Topic: "/shiny/new", Namespace: "default", Timestamp: timestamppb.Now()},
		{Topic: "/tasks/exit", Namespace: "default", Event: &anypb.Any{Value: []byte{0xff, 1, 2}}},
		{Topic: "/tasks/exit", Namespace: "default"},
	} {
		f.send(e)
	}
	f.publish("default", "/tasks/exit", &apievents.TaskExit{ContainerID: id, ID: "exec-1", Pid: 5})
	f.publish("default", "/tasks/exit", &apievents.TaskExit{ContainerID: id, ID: id, Pid: f.tasks[at("default", id)].Pid, ExitStatus: 1<<32 - 1})
	e := r.Stopped(id)
	assert.Equal(t, int64(4294967295), *e.Data.Task.Containers[0].ExitCode, "it does not turn negative")
	assert.Len(t, r.Stream.Of(event.TaskStopped, id), 1)
	assert.True(t, r.Reporter.Last().Connected)
}

func TestRestartOfContainerd(t *testing.T) {
	f, r := watch(t)
	id := newID()
	f.create("default", id, nil)
	f.run("default", id)
	r.Told(event.TaskStarted, id)
	f.stop()
	eventually(t, "down", func() bool {
		last := r.Reporter.Last()
		return !last.Connected && strings.Contains(last.Err.Error(), "no such file")
	})
	f.exit("default", id, 9)
	f.start()
	e := r.Stopped(id)
	assert.Equal(t, int64(9), *e.Data.Task.Containers[0].ExitCode)
	eventually(t, "the gap", func() bool { return len(r.Reporter.Gaps()) > 0 })
	assert.Len(t, r.Reporter.Gaps()[0].Unknown, 4)
	assert.Contains(t, e.Data.Cause.Evidence, "the runtime was down, so no event told of it and an out-of-memory kill can't be known")
}

func TestAnotherContainerdAtTheAddress(t *testing.T) {
	f := newFake(t)
	fix := fixture(t, f)
	c := fix.New(t, collectortest.Parts{Publisher: &collectortest.Stream{}, Reporter: &collectortest.Reporter{}, Cursors: &collectortest.Bucket{}})
	done := make(chan error, 1)
	go func() { done <- c.Run(t.Context()) }()
	eventually(t, "subscribed", func() bool { return f.subscribed() > 0 })
	f.mu.Lock()
	f.id = "engine-2"
	f.mu.Unlock()
	f.cut()
	require.ErrorContains(t, <-done, "another containerd answers at the same address")
}

func TestSocketThatAppearsLater(t *testing.T) {
	f := newFake(t)
	f.stop()
	r := collectortest.Start(t, fixture(t, f), &collectortest.Stream{}, nil)
	eventually(t, "an error", func() bool { return r.Reporter.Last().Err != nil })
	assert.ErrorContains(t, r.Reporter.Last().Err, "ask containerd at "+f.socket)
	assert.ErrorContains(t, r.Reporter.Last().Err, "no such file or directory")
	f.start()
	r.Connected()
}

func TestCheckSaysWhatToDo(t *testing.T) {
	f := newFake(t)
	cfg := containerd.DefaultConfig()
	cfg.Address = "unix://" + f.socket
	require.NoError(t, cfg.Check(t.Context()))

	f.fail(codes.Unimplemented)
	require.ErrorContains(t, cfg.Check(t.Context()), "is it the socket of another program?")
	f.fail(codes.OK)
	release := f.hang()
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, cfg.Check(ctx), "ask containerd at "+f.socket)

	cfg.Address = filepath.Join(t.TempDir(), "none.sock")
	require.ErrorContains(t, cfg.Check(t.Context()), "no such file or directory")
}

func TestEndsWhileContainerdHangs(t *testing.T) {
	f, r := watch(t)
	release := f.hang()
	defer release()
	id := newID()
	f.create("default", id, nil)
	begun := time.Now()
	r.Stop()
	assert.Less(t, time.Since(begun), 5*time.Second)
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	cfg := containerd.Config{Address: "x", Namespaces: []string{"a/b"}, SkipNamespaces: []string{""}, Logs: containerd.Logs{Lines: -1, Bytes: 1 << 30, Folders: []string{"rel"}}}
	paths := map[string]bool{}
	for _, f := range fault.All(cfg.Validate()) {
		paths[f.Path] = true
	}
	for _, path := range []string{"address", "namespaces", "skip_namespaces", "logs.lines", "logs.bytes", "logs.folders", "snapshot_every", "host_root"} {
		assert.True(t, paths[path], path)
	}
	good := containerd.DefaultConfig()
	require.NoError(t, good.Validate())
	_, err := containerd.New(good, containerd.Deps{})
	require.ErrorContains(t, err, "needs a publisher")
	reg := prometheus.NewRegistry()
	for range 2 { // collectors of several daemons share the series
		_, err = containerd.New(good, containerd.Deps{Site: "s", Node: "n", Publisher: &collectortest.Stream{}, Registerer: reg})
		require.NoError(t, err)
	}
}

// crashing is a stream whose publisher dies with its nth event: it is taken or not, and nothing happens
// after that.
type crashing struct {
	*collectortest.Stream
	bucket *collectortest.Bucket
	taken  bool

	mu   sync.Mutex // guards what follows
	left int
	dead chan struct{}
	copy *collectortest.Bucket
}

func (c *crashing) Publish(ctx context.Context, e event.Event) error {
	c.mu.Lock()
	c.left--
	left := c.left
	c.mu.Unlock()
	if left >= 0 && (left > 0 || c.taken) {
		if err := c.Stream.Publish(ctx, e); err != nil {
			return err
		}
	}
	if left > 0 {
		return nil
	}
	if left == 0 {
		c.copy = c.bucket.Copy()
		close(c.dead)
	}
	<-ctx.Done()
	return ctx.Err()
}

// TestCrashAtAnyMoment: the collector dies at each event, taken or not, and by the time the next one runs
// nothing is left of the task. Every start and every stop is told once.
func TestCrashAtAnyMoment(t *testing.T) {
	for n := 1; n <= 7; n++ {
		for _, taken := range []bool{false, true} {
			t.Run(fmt.Sprintf("event %d, taken %t", n, taken), func(t *testing.T) {
				t.Parallel()
				crashAt(t, n, taken)
			})
		}
	}
}

func crashAt(t *testing.T, n int, taken bool) {
	f := newFake(t)
	fix := fixture(t, f)
	stream, bucket := &collectortest.Stream{}, &collectortest.Bucket{}
	dying := &crashing{Stream: stream, bucket: bucket, taken: taken, left: n, dead: make(chan struct{})}
	reporter := &collectortest.Reporter{}
	c := fix.New(t, collectortest.Parts{Publisher: dying, Reporter: reporter, Cursors: bucket})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	eventually(t, "connected", func() bool { return reporter.Last().Connected })
	id := newID()
	f.create("default", id, nil)
	for _, code := range []uint32{3, 137} { // created, started, stopped, started, stopped, removed
		f.run("default", id)
		f.exit("default", id, code)
		if code == 137 {
			f.publish("default", "/tasks/oom", &apievents.TaskOOM{ContainerID: id})
		}
		f.deleteTask("default", id)
	}
	f.remove("default", id)
	select {
	case <-dying.dead:
	case <-time.After(patience):
		t.Fatal("it did not publish so much")
	}
	cancel()
	require.NoError(t, <-done)

	next := collectortest.Start(t, fix, stream, dying.copy).Connected()
	eventually(t, "the gap", func() bool { return len(next.Reporter.Gaps()) > 0 })
	starts, stops := stream.Of(event.TaskStarted, id), stream.Of(event.TaskStopped, id)
	assert.Len(t, stops, len(starts), "each start has its stop")
	for i, e := range stops {
		assert.Equal(t, starts[i].Data.Task.Run, e.Data.Task.Run)
	}
	assert.Len(t, stream.Of(event.TaskCreated, id), 1)
	assert.Len(t, stream.Of(event.TaskRemoved, id), 1)
}
