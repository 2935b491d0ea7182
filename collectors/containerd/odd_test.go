package containerd_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/collectors/containerd"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

// TestTenThousandStoppedContainers: a list that takes more than one message, and no question for each.
func TestTenThousandStoppedContainers(t *testing.T) {
	f := newFake(t)
	const many = 10000
	long := time.Now().Add(-time.Hour)
	f.mu.Lock()
	for i := range many {
		id := fmt.Sprintf("old-%d", i)
		f.containers[at("default", id)] = &containers.Container{
			ID: id, Image: "web:1", CreatedAt: timestamppb.New(long), Labels: map[string]string{"note": strings.Repeat("x", 2000)},
		}
		f.tasks[at("default", id)] = &task.Process{ID: id, Pid: uint32(i + 1), Status: task.Status_STOPPED, ExitStatus: 1, ExitedAt: timestamppb.New(long)}
	}
	f.mu.Unlock()
	begun := time.Now()
	r := collectortest.Start(t, fixture(t, f), &collectortest.Stream{}, nil).Connected()
	assert.Less(t, time.Since(begun), patience)
	assert.Equal(t, many, r.Reporter.Last().Containers)
	id := fixture(t, f).Crash(t)
	r.Stopped(id)
	assert.LessOrEqual(t, f.gets(), 10, "only the one that did something is asked about")
	assert.Empty(t, r.Stream.Of(event.TaskStopped, "old-7"), "it ended before anybody watched")
}

// TestOddContainers: what strangers write into names, images and labels.
func TestOddContainers(t *testing.T) {
	f, r := watch(t)
	id := newID()
	f.create("default", id, map[string]string{
		"big": strings.Repeat("y", 1<<20), "nerdctl/name": "pay\x1b[31m\n\u202eevil", "bellbuoy.owner": "team\x00",
		"nerdctl/state-dir": "/etc", "nerdctl/log-config": "{", "bellbuoy.logs": "-3",
	})
	f.mu.Lock()
	f.containers[at("default", id)].Image = "web\x07:\u20281"
	f.mu.Unlock()
	f.run("default", id)
	f.exit("default", id, 3)
	e := r.Stopped(id)
	schematest.Valid(t, e)
	b, err := event.Append(nil, &e)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(b), event.MaxSize)
	for _, odd := range []string{"\\u001b", "\u202e", "\\u0007", "\u2028", "\\u0000"} {
		assert.NotContains(t, string(b), odd)
	}
	assert.Contains(t, e.Data.Task.Log.None, "not in a folder of logs.folders")

	bare := newID()
	f.mu.Lock()
	f.containers[at("default", bare)] = &containers.Container{ID: bare}
	f.mu.Unlock()
	f.run("default", bare)
	f.exit("default", bare, 3)
	schematest.Valid(t, r.Stopped(bare))
}

// TestSlowAnswers: events are not held up for ever by a containerd that does not answer.
func TestSlowAnswers(t *testing.T) {
	f, r := watch(t)
	release := f.hang()
	id := newID()
	f.create("default", id, nil)
	f.run("default", id)
	f.exit("default", id, 3)
	<-time.After(300 * time.Millisecond)
	assert.Empty(t, r.Stream.Of(event.TaskStopped, id))
	release()
	assert.Equal(t, "exit.error", r.Stopped(id).Data.Cause.Class)

	f.fail(codes.Internal)
	failing := newID()
	f.create("default", failing, nil)
	f.run("default", failing)
	f.exit("default", failing, 4)
	assert.Equal(t, int64(4), *r.Stopped(failing).Data.Task.Containers[0].ExitCode, "the event tells enough")
	f.fail(codes.OK)
	r.Connected()
}

// TestLostOutOfMemoryIsCounted: no event tells of it, but the task's control group has counted it, on both
// versions of control groups.
func TestLostOutOfMemoryIsCounted(t *testing.T) {
	for name, file := range map[string]string{"v1": "sys/fs/cgroup/memory/default/%s/memory.oom_control", "v2": "sys/fs/cgroup/default/%s/memory.events"} {
		t.Run(name, func(t *testing.T) {
			f, root, s := newFake(t), t.TempDir(), &collectortest.Stream{}
			cfg := containerd.DefaultConfig()
			cfg.Address, cfg.HostRoot = f.socket, root
			fix := collectortest.Fixture{New: func(t testing.TB, p collectortest.Parts) collectors.Collector {
				c, err := containerd.New(cfg, containerd.Deps{Site: "test", Node: "n1", Publisher: p.Publisher, Reporter: p.Reporter})
				require.NoError(t, err)
				return c
			}}
			r := collectortest.Start(t, fix, s, nil).Connected()
			id := newID()
			path := filepath.Join(root, fmt.Sprintf(file, id))
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte("oom 1\noom_kill 1\n"), 0o600))
			f.create("default", id, nil)
			f.run("default", id)
			f.exit("default", id, 137)
			e := r.Stopped(id)
			assert.Equal(t, "oom", e.Data.Cause.Class)
			assert.Equal(t, event.Fact, e.Data.Cause.Confidence)
			assert.Contains(t, e.Data.Cause.Evidence, "the memory cgroup counted an out-of-memory kill")
			assert.True(t, e.Data.Task.Containers[0].OOMKilled)
		})
	}
}

// TestStreamThatTakesNothing: the collector does not take in events without end while it can't publish
// them; it says that it is blind, and finds what it missed.
func TestStreamThatTakesNothing(t *testing.T) {
	f, s, reporter := newFake(t), &sieve{Stream: &collectortest.Stream{}}, &collectortest.Reporter{}
	c := fixture(t, f).New(t, collectortest.Parts{Publisher: s, Reporter: reporter})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	eventually(t, "connected", func() bool { return reporter.Last().Connected })
	id, late := newID(), newID()
	f.create("default", id, nil)
	f.run("default", id)
	eventually(t, "it is told", func() bool { return len(s.Of(event.TaskStarted, id)) == 1 })
	s.Refuse(true)
	for range 9000 {
		f.publish("default", "/tasks/paused", &apievents.TaskPaused{ContainerID: id})
		f.publish("default", "/tasks/resumed", &apievents.TaskResumed{ContainerID: id})
	}
	eventually(t, "it is blind", func() bool { return !reporter.Last().Connected })
	require.ErrorContains(t, reporter.Last().Err, "publishing is blocked")
	f.create("default", late, nil)
	f.run("default", late)
	f.exit("default", late, 3)
	s.pass.Store(true)
	s.Refuse(false)
	eventually(t, "the gap", func() bool { return len(reporter.Gaps()) > 0 })
	assert.Contains(t, reporter.Gaps()[0].Reason, "publishing is blocked")
	assert.True(t, reporter.Last().Connected)
	require.Len(t, s.Of(event.TaskStopped, late), 1)
	assert.Empty(t, s.Of(event.TaskStopped, id))
	cancel()
	require.NoError(t, <-done)
}

// sieve is a stream that, once it may, takes pauses without a look at them: there are so many.
type sieve struct {
	*collectortest.Stream
	pass atomic.Bool
}

func (s *sieve) Publish(ctx context.Context, e event.Event) error {
	if s.pass.Load() && (e.Type == event.TaskPaused || e.Type == event.TaskResumed) {
		return nil
	}
	return s.Stream.Publish(ctx, e)
}
