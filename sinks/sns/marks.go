package sns

import (
	"context"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Marks keeps what was sent, by key. It may forget: a mark matters as long as its event may come again.
type Marks interface {
	// Get returns the value and its revision, or revision 0 if there is none.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Put writes if the key still has this revision (0: does not exist). won is false if another writer
	// was first.
	Put(ctx context.Context, key string, value []byte, revision uint64) (next uint64, won bool, err error)
}

// markKey is sent.<sink>.<event id>.
func (s *Sink) markKey(id string) string {
	return "sent." + event.Token(s.name) + "." + event.Token(id)
}

// sent says whether the event, or the one that it amends, was sent before. In the second case the event
// gets a mark of its own, for a further one that amends it.
func (s *Sink) sent(ctx context.Context, e *event.Event) bool {
	if s.marks == nil {
		return false
	}
	if s.marked(ctx, e.ID) {
		return true
	}
	if e.Data.Supersedes == "" || !s.marked(ctx, e.Data.Supersedes) {
		return false
	}
	s.mark(ctx, e.ID, "amends "+e.Data.Supersedes)
	return true
}

func (s *Sink) marked(ctx context.Context, id string) bool {
	if id == "" {
		return false
	}
	_, revision, err := s.marks.Get(ctx, s.markKey(id))
	if err != nil {
		s.metrics.markErrors.WithLabelValues("read").Inc()
		s.logger.WarnContext(ctx, "sent mark can't be read, the alert may repeat", "event_id", id, "err", err)
	}
	return err == nil && revision != 0
}

// markTimeout bounds the write of a mark when the sink is already told to stop.
const markTimeout = 3 * time.Second

// mark remembers that the event was sent. It does so even if ctx has ended by now, because the alert is
// out. A failure is no failure of the alert.
func (s *Sink) mark(ctx context.Context, id, value string) {
	if s.marks == nil || id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	// won = false: another delivery of the event was as fast, and its mark says the same.
	if _, _, err := s.marks.Put(ctx, s.markKey(id), []byte(value), 0); err != nil {
		s.metrics.markErrors.WithLabelValues("write").Inc()
		s.logger.WarnContext(ctx, "sent mark can't be written, the alert may repeat", "event_id", id, "err", err)
	}
}
