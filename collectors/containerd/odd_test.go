package containerd_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
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
