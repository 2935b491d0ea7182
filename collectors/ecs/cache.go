package ecs

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// shard is a part of the cache.
type shard struct {
	mu      sync.Mutex // guards what follows
	entries map[string]*entry
}

// entry is a task at hand. All but busy belongs to whoever has made it busy.
type entry struct {
	key      string
	busy     chan struct{} // closed when it is free again; nil: it is free
	saved    saved
	revision uint64
	fresh    bool // the store had it like this some time; else it must be read

	// These belong to the shard's mutex.
	shown known
	lives bool
}

func (m *machine) shard(key string) *shard {
	return &m.tasks[maphash.String(m.seed, key)%uint64(len(m.tasks))]
}

// take waits until a task is free.
func (m *machine) take(ctx context.Context, key string) (*entry, error) {
	s := m.shard(key)
	for {
		s.mu.Lock()
		e := s.entries[key]
		if e == nil {
			e = &entry{key: key}
			s.room()
			s.entries[key] = e
		}
		busy := e.busy
		if busy == nil {
			e.busy = make(chan struct{})
			s.mu.Unlock()
			return e, nil
		}
		s.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (m *machine) free(e *entry) {
	s := m.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(e.busy)
	e.busy = nil
	if !e.fresh {
		delete(s.entries, e.key)
		return
	}
	e.show()
}

// show notes what others may see of a task.
func (e *entry) show() {
	r := &e.saved
	e.lives = r.known() && !r.over()
	e.shown = known{
		ARN: r.ARN, Cluster: r.Cluster, Service: r.Service, Status: r.Status, Version: r.Version, Health: r.Health,
		Saved: time.Unix(r.Saved, 0), Unsettled: r.Stop != nil && !r.Stop.Settled, family: r.Family,
	}
}

// maxEntries is from how many on a shard forgets the tasks that have stopped. What lives is kept.
const maxEntries = 1024

// room forgets what has stopped; the store has it.
func (s *shard) room() {
	if len(s.entries) < maxEntries || len(s.entries)%256 != 0 {
		return
	}
	for key, e := range s.entries {
		if e.busy == nil && e.saved.over() {
			delete(s.entries, key)
		}
	}
}

// over reports whether nothing more is to come of a task.
func (r *saved) over() bool { return r.Stop != nil && r.Stop.Settled && r.State == event.StateStopped }

// recall reads a task that is not at hand.
func (m *machine) recall(ctx context.Context, e *entry) error {
	if e.fresh {
		return nil
	}
	_, err := m.fetch(ctx, e)
	return err
}

// fetch reads a task and returns the event that is saved with it.
func (m *machine) fetch(ctx context.Context, e *entry) (body []byte, err error) {
	value, revision, err := m.store.Get(ctx, e.key)
	if err != nil {
		return nil, err
	}
	r := saved{}
	if revision > 0 {
		if r, body, err = readRecord(value); err != nil {
			return nil, fmt.Errorf("%s: %w", e.key, err)
		}
	}
	e.saved, e.revision, e.fresh = r, revision, true
	return body, nil
}

// bodyOf returns the event that is saved with a task, or false if another writer has changed the task.
func (m *machine) bodyOf(ctx context.Context, e *entry) (body []byte, ok bool, err error) {
	revision := e.revision
	if revision == 0 {
		return nil, true, nil
	}
	body, err = m.fetch(ctx, e)
	return body, err == nil && e.revision == revision, err
}

// save writes a task and reports false if another writer was first. A nil body keeps the one that is saved.
func (m *machine) save(ctx context.Context, e *entry, next saved, body []byte) (bool, error) {
	if body == nil {
		old, ok, err := m.bodyOf(ctx, e)
		if err != nil || !ok {
			return false, err
		}
		body = old
	}
	value, err := next.encode(body)
	if err != nil {
		return false, err
	}
	revision, won, err := m.store.Put(ctx, e.key, value, e.revision)
	if err != nil || !won {
		return false, err
	}
	e.saved, e.revision = next, revision
	return true, nil
}

// adopt takes over what another machine has saved.
func (m *machine) adopt(key string, r saved, revision uint64) {
	s := m.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	switch {
	case e != nil && (e.busy != nil || e.revision >= revision):
	case e == nil && r.over():
	default:
		e = &entry{key: key, saved: r, revision: revision, fresh: true}
		e.show()
		s.entries[key] = e
	}
}

// known is what is known of a task that may live.
type known struct {
	ARN, Cluster, Service string
	Status                string // the lastStatus that was told last
	Version               int64
	Health                string
	Saved                 time.Time // when that was saved
	// Unsettled says that its stop is still to be told.
	Unsettled bool

	family string
}

// live returns the tasks of a cluster that have not stopped, and those whose stop is not settled, as far as
// this machine has handled or loaded them.
func (m *machine) live(cluster string) []known {
	var list []known
	for i := range m.tasks {
		s := &m.tasks[i]
		s.mu.Lock()
		for _, e := range s.entries {
			if e.lives && e.shown.Cluster == cluster {
				list = append(list, e.shown)
			}
		}
		s.mu.Unlock()
	}
	return list
}

// clusters returns the ARNs of the clusters of tasks that live.
func (m *machine) clusters() []string {
	seen := map[string]bool{}
	for i := range m.tasks {
		s := &m.tasks[i]
		s.mu.Lock()
		for _, e := range s.entries {
			if e.lives {
				seen[e.shown.Cluster] = true
			}
		}
		s.mu.Unlock()
	}
	return slices.Sorted(maps.Keys(seen))
}

// ended reports whether the end of a task is known and told.
func (m *machine) ended(ctx context.Context, cluster, arn string) (bool, error) {
	value, revision, err := m.store.Get(ctx, taskKey(cluster, arn))
	if err != nil || revision == 0 {
		return false, err
	}
	r, _, err := readRecord(value)
	if err != nil {
		return false, fmt.Errorf("what is known of task %s: %w", lastPart(arn), err)
	}
	return r.over(), nil
}
