package ecs

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/cause"
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
