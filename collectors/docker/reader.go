package docker

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// reader is what is known about the stream across connections.
type reader struct {
	newest atomic.Int64 // of the events that were received, ns
	seen   map[seenKey]bool
	order  []seenKey
	kills  killTimes
}

type seenKey struct {
	at         int64
	action, id string
}

const maxSeen = 8192

func newReader(from int64) *reader {
	r := &reader{seen: map[seenKey]bool{}}
	r.newest.Store(from)
	return r
}

// filters lets the daemon leave out what is no transition: exec events alone can be dozens a second,
// and carry command lines.
func filters() client.Filters {
	names := []string{"disconnect"}
	for name := range handlers {
		names = append(names, name)
	}
	return client.Filters{}.Add("type", "container", "network").Add("event", names...)
}

// read takes events off the stream until it breaks; it closes open once the daemon has answered.
func (w *watch) read(ctx context.Context, open chan<- struct{}) error {
	since := w.reader.newest.Load() - overlap
	stream := w.cli.Events(ctx, client.EventsListOptions{Since: stamp(max(since, 0)), Filters: filters()})
	close(open)
	for {
		select {
		case m := <-stream.Messages:
			w.receive(m)
			if w.queued.Load() > maxQueued {
				return fmt.Errorf("%w; %d wait", errBehind, w.queued.Load())
			}
		case err := <-stream.Err:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("read events of the Docker daemon at %s: %w", w.cfg.Host, err)
		}
	}
}

// receive hands an event to its shard. It must not wait for anything.
func (w *watch) receive(m events.Message) {
	if m.Type == events.NetworkEventType {
		if id := m.Actor.Attributes["container"]; id != "" && m.Action == events.ActionDisconnect {
			w.shard(id).push(item{check: id, tried: m.TimeNano})
		}
		return
	}
	if !transition(&m) {
		return
	}
	r := w.reader
	key := seenKey{m.TimeNano, string(m.Action), m.Actor.ID}
	if r.seen[key] {
		return
	}
	r.seen[key] = true
	if r.order = append(r.order, key); len(r.order) > maxSeen {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
	r.kills.note(&m)
	w.metrics.events.Inc()
	w.shard(m.Actor.ID).push(item{msg: &m, done: w.ledger.open(m.TimeNano)})
	r.newest.Store(max(r.newest.Load(), m.TimeNano))
}

// transition reports whether an event is one that the state machine takes.
func transition(m *events.Message) bool {
	return m.Type == events.ContainerEventType && handlers[actionOf(m.Action)] != nil && m.Actor.ID != "" && m.TimeNano > 0
}
