package incident

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// atOnce is how many records are written at the same time.
const atOnce = 32

// commit writes what has changed and publishes what was decided. lost says that another writer was first for at
// least one record: the machine must then be read anew.
func (g *Engine) commit(ctx context.Context) (lost bool, err error) {
	m := g.machine
	var anyLost atomic.Bool
	// What is put down to a host must not be forgotten by a crash between two writes, so hosts come first.
	for _, prefix := range []string{hostPrefix, workloadPrefix} {
		work, workCtx := errgroup.WithContext(ctx)
		work.SetLimit(atOnce)
		for _, r := range m.changed(prefix) {
			work.Go(func() error {
				won, err := g.write(workCtx, r)
				if err != nil {
					return err
				}
				if !won {
					anyLost.Store(true)
					return nil
				}
				return g.publish(workCtx, r)
			})
		}
		if err := work.Wait(); err != nil {
			return false, err
		}
	}
	if anyLost.Load() {
		g.metrics.races.Inc()
		return true, nil
	}
	m.written()
	g.metrics.observe(m)
	return false, nil
}

func (g *Engine) write(ctx context.Context, r *record) (won bool, err error) {
	if r.gone {
		if r.revision == 0 {
			return true, nil
		}
		return g.deps.Bucket.Delete(ctx, r.key, r.revision)
	}
	if r.told > 0 {
		r.Outbox, r.told = slices.Clone(r.Outbox[r.told:]), 0
	}
	value, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("encode incident record %s: %w", r.key, err)
	}
	next, won, err := g.deps.Bucket.Put(ctx, r.key, value, r.revision)
	if won {
		r.revision = next
	}
	return won, err
}

// publish publishes what of the record's outbox is not, in order.
func (g *Engine) publish(ctx context.Context, r *record) error {
	for ; r.told < len(r.Outbox); r.told++ {
		t := &r.Outbox[r.told]
		e := t.event(r.Place, time.Now())
		if err := g.deps.Publish(ctx, e); err != nil {
			return fmt.Errorf("publish %s of incident %s: %w", e.Type, t.Section.ID, err)
		}
		g.metrics.transitions.WithLabelValues(e.Type.Event()).Inc()
		g.deps.Logger.Info("incident changed", "event", e.Type.Event(), "incident", t.Section.ID, "transition", t.Section.Transition, "reason", t.Section.Reason, "title", t.Section.Title)
	}
	return nil
}

// each reads all records. What can't be read is handed to bad.
func each(ctx context.Context, b Bucket, do func(r *record), bad func(key string, err error)) error {
	for _, prefix := range []string{hostPrefix, workloadPrefix} {
		err := b.Each(ctx, prefix+">", func(key string, value []byte, revision uint64) error {
			r, err := decode(key, value, revision)
			if err != nil {
				bad(key, err)
				return nil
			}
			do(r)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func decode(key string, value []byte, revision uint64) (*record, error) {
	r := &record{}
	if err := json.Unmarshal(value, r); err != nil {
		return nil, err
	}
	r.key, r.revision = key, revision
	return r, nil
}

// start sets the time of a machine whose records were just read. Nobody was listening before, so that no
// collector can have been silent.
func (m *Machine) start(now time.Time) {
	for _, r := range m.records {
		m.now = later(m.now, r.Seen)
	}
	if m.now.After(now) {
		m.now = now
	}
	for _, r := range m.records {
		for name, w := range r.Watches {
			w.Seen = later(w.Seen, now)
			r.Watches[name] = w
		}
		m.schedule(r)
	}
}

// changed returns the records to be written whose key begins so, in order.
func (m *Machine) changed(prefix string) []*record {
	var list []*record
	for key, r := range m.dirty {
		if strings.HasPrefix(key, prefix) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *record) int { return strings.Compare(a.key, b.key) })
	return list
}

// written notes that all is in the bucket. A record whose transitions are published is written once more without
// them: a restart much later would publish them again.
func (m *Machine) written() {
	for key, r := range m.dirty {
		r.dirty = r.told > 0
		if r.gone {
			m.drop(key)
		} else if !r.dirty {
			delete(m.dirty, key)
		}
	}
}

// Events returns the events of what was decided since the last call, for those who keep no records.
func (m *Machine) Events() []event.Event {
	var out []event.Event
	for _, prefix := range []string{hostPrefix, workloadPrefix} {
		for _, r := range m.changed(prefix) {
			for ; r.told < len(r.Outbox); r.told++ {
				t := &r.Outbox[r.told]
				out = append(out, t.event(r.Place, m.now))
			}
			r.Outbox, r.told = nil, 0
		}
	}
	m.written()
	slices.SortStableFunc(out, func(a, b event.Event) int { return a.Recorded.Compare(b.Recorded) })
	return out
}
