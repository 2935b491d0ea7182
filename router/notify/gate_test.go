package notify_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/router/notify"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// notes are kept in a map; the real bucket is in the program's own tests.
type notes struct {
	mu        sync.Mutex
	kept      map[string][]byte
	revisions map[string]uint64
	err       error
}

func (n *notes) Get(_ context.Context, key string) ([]byte, uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if v, ok := n.kept[key]; ok {
		return v, n.revisions[key] + 1, n.err
	}
	return nil, 0, n.err
}

func (n *notes) Put(_ context.Context, key string, value []byte, revision uint64) (uint64, bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.kept[key]; n.err != nil || ok != (revision != 0) || ok && revision != n.revisions[key]+1 {
		return 0, false, n.err
	}
	n.kept[key] = value
	if revision != 0 {
		n.revisions[key]++
	}
	return n.revisions[key] + 1, true, nil
}

func (n *notes) Delete(_ context.Context, key string, _ uint64) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.kept, key)
	return true, n.err
}

func (n *notes) PutFor(_ context.Context, key string, value []byte, _ time.Duration) (uint64, bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.kept[key]; ok || n.err != nil {
		return 0, false, n.err
	}
	n.kept[key] = value
	return 1, true, nil
}

// target notes what it gets, unless it is away.
type target struct {
	got  []string
	last event.Event
	away error
	once error // of the next call alone
}

func (s *target) Send(_ context.Context, batch []event.Event) error {
	if s.away != nil {
		return s.away
	}
	if err := s.once; err != nil {
		s.once = nil
		return err
	}
	for _, e := range batch {
		s.got = append(s.got, e.Type.Event()+" "+e.Data.Incident.Reason)
		s.last = e
	}
	return nil
}

type world struct {
	t      *testing.T
	notes  *notes
	target *target
	gate   *notify.Gate
	stands *event.Event
}

func newWorld(t *testing.T, after time.Duration) *world {
	w := &world{t: t, notes: &notes{kept: map[string][]byte{}, revisions: map[string]uint64{}}, target: &target{}}
	w.gate = notify.New(w.target, notify.Deps{
		Route: "pager", After: after, Notes: w.notes,
		Stands: func(context.Context, *event.Event) (event.Event, bool, error) {
			if w.stands == nil {
				return event.Event{}, false, nil
			}
			return *w.stands, true, nil
		},
	})
	return w
}

func transition(n int64, typ event.Type, reason string) event.Event {
	state := "open"
	if typ == event.IncidentResolved {
		state = "resolved"
	}
	return event.Event{Type: typ, Recorded: time.Now(), Data: event.Data{Incident: &event.Incident{ID: "i1", Transition: n, Reason: reason, State: state}}}
}

func (w *world) send(events ...event.Event) error {
	w.t.Helper()
	return w.gate.Send(w.t.Context(), events)
}

func (w *world) outcomes() string {
	w.notes.mu.Lock()
	defer w.notes.mu.Unlock()
	var all []string
	for _, v := range w.notes.kept {
		all = append(all, string(v))
	}
	return strings.Join(all, "\n")
}

func TestRecoveryGoesToWhoWasTold(t *testing.T) {
	t.Parallel()
	opened, resolved := transition(1, event.IncidentOpened, "stopped"), transition(2, event.IncidentResolved, "stable")
	t.Run("told", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 0)
		require.NoError(t, w.send(opened))
		require.NoError(t, w.send(resolved))
		require.NoError(t, w.send(opened, resolved), "they come again")
		assert.Equal(t, []string{"opened stopped", "resolved stable"}, w.target.got)
	})
	t.Run("in one batch", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 0)
		require.NoError(t, w.send(opened, resolved))
		assert.Equal(t, []string{"opened stopped", "resolved stable"}, w.target.got)
	})
	t.Run("silenced", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 0)
		silent := opened
		section := *opened.Data.Incident
		section.Silenced = "s1"
		silent.Data.Incident = &section
		require.NoError(t, w.send(silent))
		require.NoError(t, w.send(resolved))
		assert.Empty(t, w.target.got)
		assert.Contains(t, w.outcomes(), `"outcome":"held","why":"silence s1"`)
		assert.Contains(t, w.outcomes(), "the problem was not told here")
	})
	t.Run("explained by another", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 0)
		within := opened
		section := *opened.Data.Incident
		section.Within = "host1"
		within.Data.Incident = &section
		require.NoError(t, w.send(within))
		assert.Empty(t, w.target.got)
	})
}

// TestEndWaitsForItsBeginning: a delivery of the opening that was in a killed router's hands comes after the end.
func TestEndWaitsForItsBeginning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		opened, resolved := transition(1, event.IncidentOpened, "stopped"), transition(2, event.IncidentResolved, "stable")
		var throttled *sinks.Throttled
		require.ErrorAs(t, w.send(resolved), &throttled)
		<-time.After(30 * time.Second)
		require.NoError(t, w.send(opened))
		require.NoError(t, w.send(resolved))
		assert.Equal(t, []string{"opened stopped", "resolved stable"}, w.target.got)

		lost := newWorld(t, 0) // a route that is newer than the problem
		resolved.Recorded = time.Now()
		require.Error(t, lost.send(resolved))
		<-time.After(2 * time.Minute)
		require.NoError(t, lost.send(resolved))
		assert.Empty(t, lost.target.got)
	})
}

// TestOutageIsFolded: the target is away for the length of an incident; then it gets one honest message.
func TestOutageIsFolded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		opened, loop := transition(1, event.IncidentOpened, "stopped"), transition(2, event.IncidentUpdated, "crash_loop")
		w.target.away = errors.New("no route to host")
		require.ErrorIs(t, w.send(opened), w.target.away)
		require.ErrorIs(t, w.send(opened, loop), w.target.away)
		<-time.After(10 * time.Minute)
		resolved := transition(3, event.IncidentResolved, "stable")
		w.stands, w.target.away = &resolved, nil
		require.NoError(t, w.send(opened))
		require.NoError(t, w.send(loop, resolved))
		assert.Equal(t, []string{"resolved stable"}, w.target.got)
		assert.Equal(t, "no notice could be sent while it lasted", w.target.last.Data.Incident.Recovery)
		assert.Contains(t, w.outcomes(), "transition 3 tells more")
	})
}

// TestEndIsNotToldBeforeItsBeginning: the sink fails with the beginning, and both are in one batch.
func TestEndIsNotToldBeforeItsBeginning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	opened, resolved := transition(1, event.IncidentOpened, "stopped"), transition(2, event.IncidentResolved, "stable")
	w.target.once = errors.New("connection reset")
	var partial *sinks.Partial
	require.ErrorAs(t, w.send(opened, resolved), &partial)
	require.ErrorContains(t, partial.Errs[0], "connection reset")
	require.ErrorContains(t, partial.Errs[1], "still on its way")
	assert.Empty(t, w.target.got)
	require.NoError(t, w.send(opened, resolved))
	assert.Equal(t, []string{"opened stopped", "resolved stable"}, w.target.got)
}

func TestEscalation(t *testing.T) {
	t.Parallel()
	opened, resolved := transition(1, event.IncidentOpened, "stopped"), transition(4, event.IncidentResolved, "stable")
	escalated := transition(2, event.IncidentUpdated, "escalated")
	escalated.Data.Incident.Escalation = 1800
	further := transition(3, event.IncidentUpdated, "escalated")
	further.Data.Incident.Escalation = 7200
	all := []event.Event{opened, escalated, further, resolved}
	for after, want := range map[time.Duration][]string{
		0:                {"opened stopped", "resolved stable"},
		30 * time.Minute: {"updated escalated", "resolved stable"},
		2 * time.Hour:    {"updated escalated", "resolved stable"},
		9 * time.Hour:    nil,
	} {
		w := newWorld(t, after)
		for _, e := range all {
			require.NoError(t, w.send(e))
		}
		assert.Equal(t, want, w.target.got, "%s", after)
	}
}

// TestNotesAway: what can't be looked up is tried again, and nothing is said twice or lost.
func TestNotesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.notes.err = errors.New("bucket is away")
	require.ErrorContains(t, w.send(transition(1, event.IncidentOpened, "stopped")), "bucket is away")
	assert.Empty(t, w.target.got)
	w.notes.err = nil
	require.NoError(t, w.send(transition(1, event.IncidentOpened, "stopped")))
	assert.Equal(t, []string{"opened stopped"}, w.target.got)
}
