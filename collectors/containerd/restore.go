package containerd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// restore takes over what an earlier run of the collector has saved, or begins to save.
func (w *watch) restore(ctx context.Context) error {
	var all [shards]*saved
	for i, s := range w.shards {
		var err error
		if all[i], err = s.ledger.load(ctx); err != nil {
			return fmt.Errorf("read what is known of containerd at %s: %w", w.cfg.socket(), err)
		}
	}
	before := all[0]
	if before == nil {
		if first := w.shards[0].ledger; first.bucket != nil {
			first.save(ctx, false) // from now on, so that a crash before the next save leaves no hole
		}
		return nil
	}
	w.blind = blindness{since: utc(before.Alive), reason: "Bellbuoy was not running"}
	if !before.Clean {
		w.blind.reason = "Bellbuoy ended without a stop and was not running"
	}
	for i, s := range w.shards {
		s.machine.from = before.Alive
		if all[i] != nil {
			s.restore(all[i])
		}
	}
	return nil
}

func (s *shard) restore(before *saved) {
	for key, m := range before.Tasks {
		if events := decodeAll(m.Unsent); len(events) > 0 {
			s.push(item{resend: events, key: key})
		}
		m.Unsent = nil
		if m.State == "" {
			continue // it was removed with its last event
		}
		namespace, id := split(key)
		s.machine.tasks[key] = &task{namespace: namespace, id: id, memory: m}
	}
}

func decodeAll(unsent []json.RawMessage) []event.Event {
	var events []event.Event
	for _, b := range unsent {
		if e, err := event.Decode(b); err == nil {
			events = append(events, e)
		}
	}
	return events
}

func split(key string) (namespace, id string) {
	namespace, id, _ = strings.Cut(key, "/")
	return namespace, id
}

// resend publishes again what may not have been acknowledged; the stream takes each id once.
func (s *shard) resend(ctx context.Context, it item) {
	for i := range it.resend {
		if !s.send(ctx, &it.resend[i]) {
			return
		}
	}
	s.keep(it.key)
}
