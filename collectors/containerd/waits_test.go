package containerd_test

import (
	"context"
	"testing"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Wait answers once the task has ended, as containerd does.
func (t tasksOf) Wait(ctx context.Context, r *tasks.WaitRequest) (*tasks.WaitResponse, error) {
	name := at(spaceOf(ctx), r.ContainerID)
	t.f.mu.Lock()
	t.f.waiting++
	mute := t.f.mute
	t.f.mu.Unlock()
	defer func() {
		t.f.mu.Lock()
		defer t.f.mu.Unlock()
		t.f.waiting--
	}()
	for !mute {
		t.f.mu.Lock()
		p, changed := t.f.tasks[name], t.f.changed
		t.f.mu.Unlock()
		switch {
		case p == nil:
			return nil, status.Error(codes.NotFound, "no such task")
		case p.Status == task.Status_STOPPED:
			return &tasks.WaitResponse{ExitStatus: p.ExitStatus, ExitedAt: p.ExitedAt}, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
	return nil, status.Error(codes.Unavailable, "the fake says nothing")
}

func (f *fakeServer) waits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting
}

// TestEndWhoseEventsAreLost: the shim dies with the events of the end and of the deletion in it.
func TestEndWhoseEventsAreLost(t *testing.T) {
	f, r := watch(t)
	for _, next := range []func(id string){
		func(id string) { f.remove("default", id) },
		func(id string) { f.run("default", id) },
		func(string) {},
	} {
		id := newID()
		f.create("default", id, nil)
		f.run("default", id)
		r.Told(event.TaskStarted, id)
		eventually(t, "it is waited for", func() bool { return f.waits() == 1 })
		f.quietly(func() {
			f.exit("default", id, 7)
			eventually(t, "the answer is there", func() bool { return f.waits() == 0 })
			f.deleteTask("default", id)
		})
		next(id)
		e := r.Stopped(id)
		assert.Equal(t, int64(7), *e.Data.Task.Containers[0].ExitCode)
		assert.Equal(t, event.ObservedStream, e.Data.Observed)
		assert.Len(t, r.Stream.Of(event.TaskStopped, id), 1)
		if f.taskOf("default", id) != nil {
			eventually(t, "the next run is waited for", func() bool { return f.waits() == 1 })
			f.exit("default", id, 0)
			eventually(t, "nothing is waited for", func() bool { return f.waits() == 0 })
		}
	}
	assert.Empty(t, r.Reporter.Gaps())
}

// TestNotTooManyQuestions: of many tasks the youngest are waited for.
func TestNotTooManyQuestions(t *testing.T) {
	f, r := watch(t)
	var all []string
	for range 300 {
		id := newID()
		all = append(all, id)
		f.create("default", id, nil)
		f.run("default", id)
	}
	eventually(t, "all are told", func() bool { return len(r.Stream.Of(event.TaskStarted, "")) == len(all) })
	eventually(t, "as many as may be", func() bool { return f.waits() == 256 })
	last := all[len(all)-1]
	f.quietly(func() { f.exit("default", last, 9) })
	assert.Equal(t, int64(9), *r.Stopped(last).Data.Task.Containers[0].ExitCode)
}
