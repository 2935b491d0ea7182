package notify_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/bellbuoy/bellbuoy/router/notify"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// TestStormIsADigest: of thousands of problems in a minute a few are told one by one, the rest by digests at growing
// distance, also by a router that was started meanwhile, until it is calm.
func TestStormIsADigest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const burst, problems = 30, 5000
		w := newWorld(t, 0)
		problem := func(n int) event.Event {
			return event.Event{Type: event.IncidentOpened, Severity: event.Error, Recorded: time.Now(), Data: event.Data{Scope: "shop", Incident: &event.Incident{
				ID: fmt.Sprintf("i%d", n), Transition: 1, Reason: "stopped", State: "open", Title: fmt.Sprintf("w%d stopped", n), Stops: int64(n),
			}}}
		}
		open := func(context.Context) ([]event.Event, error) {
			var all []event.Event
			for n := range 100 {
				all = append(all, problem(n))
			}
			return all, nil
		}
		gate := func() *notify.Gate {
			return notify.New(w.target, notify.Deps{Route: "pager", Notes: w.notes, Limit: rate.NewLimiter(rate.Limit(burst/60.0), burst), Open: open, Site: "prod"})
		}
		run := func(g *notify.Gate) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _ = g.Run(ctx) }()
			return cancel
		}
		first := gate()
		stop := run(first)
		for n := range problems {
			require.NoError(t, first.Send(t.Context(), []event.Event{problem(n)}))
		}
		synctest.Wait()
		assert.Len(t, w.target.got, burst)
		<-time.After(6 * time.Second) // counted, and then killed
		stop()
		second := gate()
		stop = run(second)
		defer stop()
		<-time.After(20 * time.Second)
		synctest.Wait()
		require.Len(t, w.target.got, burst+1)
		i := w.target.last.Data.Incident
		assert.Equal(t, event.IncidentOpened, w.target.last.Type)
		assert.Contains(t, i.Title, fmt.Sprintf("%d notices held back since", problems-burst))
		assert.Contains(t, i.Title, "100 incidents open")
		assert.Len(t, i.Done, 21)
		assert.Equal(t, "i99 w99 stopped shop", i.Done[0], "the worst first")
		assert.Equal(t, []string{"shop (100)"}, i.Causes)
		body, err := event.Append(nil, &w.target.last)
		require.NoError(t, err, "a sink that sends events as they are can send it")
		back, err := event.Decode(body)
		require.NoError(t, err)
		assert.Equal(t, i.Title, back.Data.Incident.Title)

		require.NoError(t, second.Send(t.Context(), []event.Event{{Type: event.IncidentResolved, Recorded: time.Now(), Data: event.Data{Incident: &event.Incident{ID: "i4999", Transition: 2, State: "resolved"}}}}))
		assert.Contains(t, w.outcomes(), "the problem was told in a digest")
		<-time.After(time.Hour)
		synctest.Wait()
		assert.Equal(t, event.IncidentResolved, w.target.last.Type)
		assert.Equal(t, i.ID, w.target.last.Data.Incident.ID)
		assert.LessOrEqual(t, len(w.target.got), burst+6, "at growing distance")
		told := len(w.target.got)
		<-time.After(time.Hour)
		synctest.Wait()
		assert.Len(t, w.target.got, told, "and no more")
	})
}

// TestStormEndedByAnother: a router that comes back to work after another one ended its storm loses nothing.
func TestStormEndedByAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		problem := func(id string) event.Event {
			return event.Event{Type: event.IncidentOpened, Recorded: time.Now(), Data: event.Data{Incident: &event.Incident{ID: id, Transition: 1, State: "open"}}}
		}
		g := notify.New(w.target, notify.Deps{Route: "pager", Notes: w.notes, Limit: rate.NewLimiter(0, 1), Site: "prod"})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		require.NoError(t, g.Send(t.Context(), []event.Event{problem("a")}))
		require.NoError(t, g.Send(t.Context(), []event.Event{problem("b")}))
		w.notes.mu.Lock()
		delete(w.notes.kept, "d.pager") // the other one's end of it
		w.notes.mu.Unlock()
		require.NoError(t, g.Send(t.Context(), []event.Event{problem("c")}))
		go func() { _ = g.Run(ctx) }()
		<-time.After(time.Minute)
		synctest.Wait()
		require.Len(t, w.target.got, 2)
		assert.Contains(t, w.target.last.Data.Incident.Title, "2 notices held back")
	})
}
