package ecs

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// teller publishes an event and returns after the stream has acknowledged it.
type teller = func(ctx context.Context, o out) error

// machine applies facts to what is known of their tasks. What it knows is in a store under compare-and-set, so
// that it survives a restart and that several machines on one store tell the same; a cache of it saves most
// reads. It is safe for concurrent use: the facts of one task wait for each other.
//
// An ordinary event is published and then noted: a crash between the two repeats it with its id, which the
// stream drops. The first stop of a task is claimed, published and then settled, so that of two machines only
// one tells a stop that supersedes nothing; a claim that was not settled is told by whoever meets it.
type machine struct {
	store  Store
	ask    asker // nil knows nothing
	table  cause.Table
	near   bool // whether the rows that nearly matched are told
	logger *slog.Logger

	shelf *shelf
	tasks [64]shard
	seed  maphash.Seed
}

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

// machineOptions are what a machine needs.
type machineOptions struct {
	Store  Store // nil keeps everything in memory
	Ask    asker // nil knows nothing
	Table  cause.Table
	Near   bool         // tell the rows that nearly matched
	Logger *slog.Logger // nil discards
}

func newMachine(o machineOptions) *machine {
	if o.Store == nil {
		o.Store = newMemoryStore()
	}
	m := &machine{
		store: o.Store, ask: o.Ask, table: o.Table, near: o.Near, logger: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		shelf: newShelf(o.Store), seed: maphash.MakeSeed(),
	}
	for i := range m.tasks {
		m.tasks[i].entries = map[string]*entry{}
	}
	return m
}

// handle tells everything that follows from a fact. It returns nil after all of it was told and saved; after
// an error it may be called again with the same fact, by any machine on the store. It does not change f.
func (m *machine) handle(ctx context.Context, f *fact, tell func(context.Context, out) error) error {
	if f.task == nil {
		if f.event.ID != "" {
			if err := tell(ctx, out{event: f.event}); err != nil {
				return err
			}
		}
		if f.note == nil {
			return nil
		}
		return m.noted(ctx, f.note, tell)
	}
	if err := m.apply(ctx, f, tell); err != nil {
		return err
	}
	if f.note == nil {
		return nil
	}
	return m.noted(ctx, f.note, tell)
}

func (m *machine) apply(ctx context.Context, f *fact, tell teller) error {
	weigh, err := m.learn(ctx, f)
	if err != nil {
		return err
	}
	if weigh != "" {
		if err := m.weighDeployment(ctx, f.task.Cluster, groupService(f.task.Group), weigh, tell); err != nil {
			return err
		}
	}
	spoken := false // its own event was told, and what then went wrong was the save
	return m.change(ctx, taskKey(f.task.Cluster, f.task.ARN), tell, func(ctx context.Context, e *entry) (bool, error) {
		s, err := m.step(ctx, e, f, spoken)
		if err != nil || s == nil {
			return err == nil, err
		}
		if s.claim {
			return m.claim(ctx, e, s, tell)
		}
		for _, o := range s.outs {
			if err := tell(ctx, o); err != nil {
				return false, err
			}
			spoken = spoken || o.event.ID == f.event.ID
		}
		return m.save(ctx, e, s.next, s.body)
	})
}

// change calls try with a task until it is done. try reports false if another writer was first: then it gets
// the task anew. A stop that was claimed and not settled is told before.
func (m *machine) change(ctx context.Context, key string, tell teller, try func(context.Context, *entry) (done bool, err error)) error {
	e, err := m.take(ctx, key)
	if err != nil {
		return err
	}
	defer m.free(e)
	for range maxTries {
		if err := m.recall(ctx, e); err != nil {
			return err
		}
		attempt := try
		if e.saved.Stop != nil && !e.saved.Stop.Settled && tell != nil {
			attempt = func(ctx context.Context, e *entry) (bool, error) {
				done, err := m.finish(ctx, e, tell)
				if !done || err != nil {
					return false, err
				}
				return try(ctx, e)
			}
		}
		done, err := attempt(ctx, e)
		if err != nil {
			e.fresh = false // nobody knows what was written
			return err
		}
		if done {
			return nil
		}
		e.fresh = false
	}
	return fmt.Errorf("write %s: %w", key, errContended)
}

// take waits until a task is free.
func (m *machine) take(ctx context.Context, key string) (*entry, error) {
	s := &m.tasks[maphash.String(m.seed, key)%uint64(len(m.tasks))]
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
	s := &m.tasks[maphash.String(m.seed, e.key)%uint64(len(m.tasks))]
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

// load reads what is saved of the tasks that live, and writes what is old again, so that it stays. It may be
// called again at any time, to learn what other machines have saved.
func (m *machine) load(ctx context.Context) error {
	var old []string
	now := time.Now()
	err := m.store.Each(ctx, "t.>", func(key string, value []byte, revision uint64) error {
		r, _, err := readRecord(value)
		if err != nil {
			m.logger.Error("task forgotten", "key", key, "err", err)
			return nil
		}
		m.adopt(key, r, revision)
		if !r.over() && now.Sub(time.Unix(r.Saved, 0)) > refreshAfter {
			old = append(old, key)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what is known of tasks: %w", err)
	}
	for _, key := range old {
		err := m.change(ctx, key, nil, func(ctx context.Context, e *entry) (bool, error) { return m.save(ctx, e, e.saved, nil) })
		if err != nil {
			return fmt.Errorf("keep what is known of a task: %w", err)
		}
	}
	return m.refreshWorkloads(ctx)
}

// refreshAfter is when what is still wanted is written again: long before the bucket lets it go.
const refreshAfter = 48 * time.Hour

// adopt takes over what another machine has saved.
func (m *machine) adopt(key string, r saved, revision uint64) {
	s := &m.tasks[maphash.String(m.seed, key)%uint64(len(m.tasks))]
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

// resume tells the stops that were claimed by a machine that ended before it had told them. It is for after
// load; a machine at work that is about to tell one tells the same.
func (m *machine) resume(ctx context.Context, tell func(context.Context, out) error) error {
	var keys []string
	for i := range m.tasks {
		s := &m.tasks[i]
		s.mu.Lock()
		for key, e := range s.entries {
			if e.lives && e.shown.Unsettled {
				keys = append(keys, key)
			}
		}
		s.mu.Unlock()
	}
	for _, key := range keys {
		if err := m.change(ctx, key, tell, func(context.Context, *entry) (bool, error) { return true, nil }); err != nil {
			return err
		}
	}
	return nil
}
