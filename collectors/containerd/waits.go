package containerd

import (
	"context"
	"sync"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
)

// waits asks containerd to say when each task ends. A shim whose task is deleted right after its end may
// lose the events of both, and then this is all that is left of its exit code. It is safe for concurrent
// use. Each question takes memory here and in containerd, so there are not more than maxWaits: those about
// the youngest runs, because what is started and deleted in one go is short-lived.
type waits struct {
	w     *watch
	group sync.WaitGroup // of all that is asked; the run of the collector waits for it

	mu    sync.Mutex // guards what follows
	open  map[string]*wait
	count uint64 // of questions so far
}

// wait is one question, kept until its answer is used. end is set before done is closed; nil is no answer.
type wait struct {
	pid    uint32
	age    uint64 // which question it was
	cancel context.CancelFunc
	done   chan struct{}
	end    *record
}

// answerLate is how long after a task is gone the answer about its end may still be on its way.
const answerLate = 500 * time.Millisecond

const maxWaits = 256

func newWaits(w *watch) *waits { return &waits{w: w, open: map[string]*wait{}} }

// begin asks about a task that runs, once. A young one takes the place of the oldest if there are too many.
func (a *waits) begin(ctx context.Context, namespace, id string, pid uint32, young bool) {
	name := key(namespace, id)
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.open[name]
	full := len(a.open) >= maxWaits
	if known != nil && known.pid == pid || full && !young || ctx.Err() != nil {
		return
	}
	if full {
		a.drop(a.oldest())
	}
	a.drop(name)
	a.count++
	ctx, cancel := context.WithCancel(ctx)
	q := &wait{pid: pid, age: a.count, cancel: cancel, done: make(chan struct{})}
	a.open[name] = q
	a.group.Go(func() {
		defer cancel()
		q.end = a.w.api.end(ctx, namespace, id, pid)
		close(q.done)
		if q.end != nil {
			a.w.shard(name).push(item{record: q.end})
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.open[name] == q {
			delete(a.open, name) // the next snapshot asks again
		}
	})
}

// forget drops the question about a run whose end is known.
func (a *waits) forget(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(key)
}

func (a *waits) drop(key string) {
	if q := a.open[key]; q != nil {
		q.cancel()
		delete(a.open, key)
	}
}

func (a *waits) oldest() string {
	first := ""
	for key, q := range a.open {
		if first == "" || q.age < a.open[first].age {
			first = key
		}
	}
	return first
}

// end returns the end of a task that is gone, if the answer comes; nil if there is none.
func (a *waits) end(ctx context.Context, key string) *record {
	a.mu.Lock()
	q := a.open[key]
	a.mu.Unlock()
	if q == nil {
		return nil
	}
	late := time.NewTimer(answerLate)
	defer late.Stop()
	select {
	case <-ctx.Done():
	case <-late.C:
	case <-q.done:
		return q.end
	}
	return nil
}

// missedEnd takes the end of a run that an event shows to be over although no event told of that.
func (s *shard) missedEnd(ctx context.Context, r *record) {
	t := s.machine.tasks[r.key()]
	if t == nil || !t.running() || r.topic != topicRemoved && (r.topic != topicStarted || s.machine.run(r.pid) == t.Run) {
		return
	}
	if end := s.w.waits.end(ctx, r.key()); end != nil {
		s.event(ctx, end)
	}
}

// end waits for the end of a task; nil is one that can't be asked.
func (a *api) end(ctx context.Context, namespace, id string, pid uint32) *record {
	got, err := a.tasks.Wait(within(ctx, namespace), &tasks.WaitRequest{ContainerID: id})
	if err != nil || nanos(got.ExitedAt) == 0 {
		return nil
	}
	exited := nanos(got.ExitedAt)
	return &record{
		at: exited, namespace: namespace, topic: topicWaited, id: id, process: id, pid: pid, code: int64(got.ExitStatus), exited: exited,
	}
}
