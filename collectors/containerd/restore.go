package containerd

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// restore takes over what an earlier run of the collector has saved.
func (w *watch) restore(before *saved) {
	for key, m := range before.Tasks {
		s := w.shard(key)
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
