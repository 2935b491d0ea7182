package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// reader is what is known about the stream across connections.
type reader struct {
	newest atomic.Int64 // of the transitions that were received, ns
	anchor atomic.Int64 // of the events of any kind that the daemon is known to have logged, ns; 0 is none
	proven atomic.Int64 // up to when the stream is known to have told all, ns
	kills  killTimes
	// garbled counts the connections in a row that met a record that can't be read.
	garbled atomic.Int64
	// again is from when on events are to be read once more, ns; 0 is from where the stream broke.
	again  atomic.Int64
	sought int64 // up to when lost events were read once more, ns; belongs to the snapshots

	mu    sync.Mutex // guards what follows
	seen  map[seenKey]bool
	order []seenKey
}

type seenKey struct {
	at         int64
	action, id string
}

func keyOf(m *events.Message) seenKey { return seenKey{m.TimeNano, string(m.Action), m.Actor.ID} }

const maxSeen = 8192

// first notes an event and reports whether it was not seen before.
func (r *reader) first(m *events.Message) bool {
	key := keyOf(m)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[key] {
		return false
	}
	r.seen[key] = true
	if r.order = append(r.order, key); len(r.order) > maxSeen {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
	return true
}

// lost returns when the first of the events up to a time happened that the stream has not delivered, unless
// it was read once more already; 0 is never.
func (r *reader) lost(all []seenKey, upTo int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range all {
		if key.at <= upTo && key.at > r.sought && !r.seen[key] {
			r.sought = upTo
			return key.at
		}
	}
	return 0
}

func newReader(from int64) *reader {
	r := &reader{seen: map[seenKey]bool{}}
	r.newest.Store(from)
	return r
}

// filters lets the daemon leave out what is no transition: exec events alone can be dozens a second,
// and carry command lines. Podman compares with its own words for actions, and so gets no list of them.
func filters(podman bool) client.Filters {
	kinds := client.Filters{}.Add("type", "container", "network", "service")
	if podman {
		return kinds
	}
	names := []string{"disconnect", "remove"}
	for name := range handlers {
		names = append(names, name)
	}
	return kinds.Add("event", names...)
}

// read takes events off the stream until it breaks.
func (w *watch) read(ctx context.Context, answer *records) error {
	defer answer.close()
	for {
		m := new(events.Message)
		err := answer.next(m)
		var garbled *garbledError
		switch {
		case err == nil:
			w.receive(m)
			if waiting := w.backlog.Len(); waiting > maxQueued {
				return fmt.Errorf("%w; %d wait", errBehind, waiting)
			}
		case errors.As(err, &garbled):
			if err := w.garble(garbled); err != nil {
				return err
			}
		default:
			return w.broken(ctx, err)
		}
	}
}

// resume returns from when on events are asked for: everything, if the daemon's clock was set back.
func (w *watch) resume() int64 {
	newest := w.reader.newest.Load()
	if newest > w.daemon.now()+overlap {
		return 0
	}
	if again := w.reader.again.Swap(0); again > 0 {
		newest = min(newest, again)
	}
	return newest - overlap
}

func (w *watch) broken(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("read events of the Docker daemon at %s: %w", w.cfg.Host, errEnded)
	}
	return fmt.Errorf("read events: %w", w.describe(err))
}

// garble counts a record that can't be read. The first time the stream is read again, because the daemon
// may still have the record whole; if it is no better, reading goes on behind it, and a snapshot finds
// what it would have told.
func (w *watch) garble(err *garbledError) error {
	w.metrics.garbled.Inc()
	w.deps.Logger.Warn("record of the event stream not read", "err", err)
	if w.reader.garbled.Add(1) == 1 {
		return fmt.Errorf("%w: %w", errGarbled, err)
	}
	return nil
}

// receive hands an event to its shard. It must not wait for anything.
func (w *watch) receive(m *events.Message) {
	r := w.reader
	r.anchor.Store(m.TimeNano)
	if m.Type == events.NetworkEventType {
		if id := m.Actor.Attributes["container"]; id != "" && m.Action == events.ActionDisconnect {
			w.shard(id).push(item{check: id, tried: m.TimeNano})
		}
		return
	}
	if m.Type == events.ServiceEventType {
		r.kills.note(m)
		return
	}
	if !transition(m) {
		return
	}
	if !r.first(m) {
		return
	}
	r.kills.note(m)
	w.metrics.events.Inc()
	w.shard(m.Actor.ID).push(item{msg: m, done: w.ledger.open(m.TimeNano)})
	// A clock that was set back makes a newer event look older than the overlap allows.
	if newest := r.newest.Load(); m.TimeNano > newest || newest-m.TimeNano > overlap {
		r.newest.Store(m.TimeNano)
	}
}

// transition reports whether an event is one that the state machine takes.
func transition(m *events.Message) bool {
	return m.Type == events.ContainerEventType && handlers[actionOf(m.Action)] != nil && m.Actor.ID != "" && m.TimeNano > 0
}
