package collectors

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Backlog counts what waits in all queues of a collector, so that its reader can stop while the stream
// takes nothing. It is safe for concurrent use.
type Backlog struct {
	low     int64
	gauge   prometheus.Gauge
	waiting atomic.Int64
	drained chan struct{} // holds one
}

// NewBacklog returns a backlog that counts as worked off at low items or fewer; gauge shows its length.
func NewBacklog(low int64, gauge prometheus.Gauge) *Backlog {
	return &Backlog{low: low, gauge: gauge, drained: make(chan struct{}, 1)}
}

// Len returns how many items wait or are being worked on.
func (b *Backlog) Len() int64 { return b.waiting.Load() }

// Await returns when the backlog is worked off, or when ctx ends. One goroutine may wait.
func (b *Backlog) Await(ctx context.Context) {
	for b.waiting.Load() > b.low {
		select {
		case <-ctx.Done():
			return
		case <-b.drained:
		}
	}
}

func (b *Backlog) add(n int64) {
	left := b.waiting.Add(n)
	b.gauge.Set(float64(left))
	if n < 0 && left <= b.low {
		wake(b.drained)
	}
}

// Queue hands items to one worker in order. It has no bound of its own: a reader that waited would lose
// events, so it asks the backlog how much waits. Push is safe for concurrent use, the rest is the worker's.
type Queue[T any] struct {
	backlog *Backlog
	pushed  chan struct{} // holds one

	mu    sync.Mutex // guards items
	items []T
}

// NewQueue returns an empty queue that is part of the backlog.
func NewQueue[T any](b *Backlog) *Queue[T] {
	return &Queue[T]{backlog: b, pushed: make(chan struct{}, 1)}
}

// Push adds an item. It never blocks.
func (q *Queue[T]) Push(item T) {
	q.backlog.add(1)
	q.mu.Lock()
	q.items = append(q.items, item)
	q.mu.Unlock()
	wake(q.pushed)
}

// Pop takes the oldest item; ok is false if there is none. The worker calls Done after it.
func (q *Queue[T]) Pop() (item T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		q.items = nil // a crowd that has gone holds no memory
		return item, false
	}
	var none T
	item, q.items[0] = q.items[0], none
	q.items = q.items[1:]
	return item, true
}

// Done says that a popped item has been worked off.
func (q *Queue[T]) Done() { q.backlog.add(-1) }

// Pushed is readable after a Push; look with Pop first.
func (q *Queue[T]) Pushed() <-chan struct{} { return q.pushed }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
