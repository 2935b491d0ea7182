package docker

import (
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// scene drives a machine: events of containers at times of its own, with the inspects that a daemon would
// answer.
type scene struct {
	t     *testing.T
	m     *machine
	kills killTimes
	at    int64
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, m: newMachine(origin{"local", "n", "engine"}, cause.Docker(), 0), at: int64(1000 * time.Hour)}
	s.m.peers = &s.kills.peers
	return s
}

// after lets time pass and tells what was waiting for it.
func (s *scene) after(d time.Duration) []event.Event {
	s.at += int64(d)
	return eventsOf(s.m.due(s.at))
}

func (s *scene) send(id, action string, f *facts, attributes ...string) []event.Event {
	s.t.Helper()
	a := map[string]string{"name": "web", "image": "shop/web"}
	for i := 0; i < len(attributes); i += 2 {
		a[attributes[i]] = attributes[i+1]
	}
	msg := &events.Message{
		Type: events.ContainerEventType, Action: events.Action(action), Actor: events.Actor{ID: id, Attributes: a}, TimeNano: s.at,
	}
	s.kills.note(msg)
	outs := s.m.event(input{msg: msg, facts: f, now: s.at}).outs
	if action == "create" {
		for _, old := range s.kills.peers.replacedBy(msg) {
			outs = append(outs, s.m.replaced(old)...)
		}
	}
	return eventsOf(outs)
}

func eventsOf(outs []out) []event.Event {
	var all []event.Event
	for _, o := range outs {
		all = append(all, o.event)
	}
	return all
}

// stopped returns the only stop among the events.
func (s *scene) stopped(all []event.Event) event.Event {
	s.t.Helper()
	var stops []event.Event
	for _, e := range all {
		if e.Type == event.TaskStopped {
			stops = append(stops, e)
		}
	}
	require.Len(s.t, stops, 1)
	return stops[0]
}

func (s *scene) running(policy string, restarts int64) *facts {
	return &facts{id: "a", at: s.at, name: "web", image: "shop/web", started: s.at, running: true, status: "running", policy: policy, restarts: restarts}
}

func TestRestartPolicyIsForetold(t *testing.T) {
	t.Parallel()
	type run struct {
		lasted time.Duration
		want   string // after "web stopped: exit code 1 after …"
		next   time.Duration
	}
	for policy, runs := range map[string][]run{
		"no": {{time.Second, "", 0}},
		"always": {
			{time.Second, "; its restart policy starts it again in 100ms", 100 * time.Millisecond},
			{time.Second, "; its restart policy starts it again in 200ms, for the 2nd time", 200 * time.Millisecond},
			{time.Second, "; its restart policy starts it again in 400ms, for the 3rd time", 400 * time.Millisecond},
			{time.Second, "; its restart policy starts it again in 800ms, for the 4th time", 800 * time.Millisecond},
			{11 * time.Second, "; its restart policy starts it again in 100ms, for the 5th time", 100 * time.Millisecond},
			{time.Second, "; its restart policy starts it again in 200ms, for the 6th time", 200 * time.Millisecond},
		},
		"on-failure:2": {
			{time.Second, "; its restart policy starts it again in 100ms", 100 * time.Millisecond},
			{time.Second, "; its restart policy starts it again in 200ms, for the 2nd time", 200 * time.Millisecond},
			{time.Second, "; its restart policy on-failure:2 gives up", 0},
		},
	} {
		t.Run(policy, func(t *testing.T) {
			s := newScene(t)
			s.send("a", "create", nil)
			for i, r := range runs {
				s.send("a", "start", s.running(policy, int64(i)))
				s.after(r.lasted)
				e := s.stopped(s.send("a", "die", nil, "exitCode", "1"))
				assert.Equal(t, "web stopped: exit code 1 after "+cause.Duration(r.lasted)+r.want, e.Data.Message)
				if assert.Equal(t, r.next == 0, e.Data.Task.NextStart.IsZero()); r.next > 0 {
					assert.Equal(t, utc(s.at+int64(r.next)), e.Data.Task.NextStart)
				}
				assert.Equal(t, int64(i), e.Data.Task.Containers[0].Restarts)
				evidence := strings.Join(e.Data.Cause.Evidence, "\n") // it must say the same
				assert.Equal(t, r.next > 0, strings.Contains(evidence, "which starts it again in "+cause.Duration(r.next)), evidence)
				assert.Equal(t, strings.HasSuffix(r.want, "gives up"), strings.Contains(evidence, "which gives up"), evidence)
				s.after(r.next)
			}
		})
	}
}

func TestRestartPolicyOfAnEndThatWasAskedFor(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send("a", "start", s.running("always", 0))
	s.after(time.Second)
	s.send("a", "kill", nil, "signal", "15")
	e := s.stopped(s.send("a", "die", nil, "exitCode", "0"))
	assert.NotContains(t, e.Data.Message, "restart policy")
	assert.NotContains(t, strings.Join(e.Data.Cause.Evidence, "\n"), "starts it again")
	assert.True(t, e.Data.Task.NextStart.IsZero())

	s.send("a", "start", s.running("on-failure", 0))
	e = s.stopped(s.send("a", "die", nil, "exitCode", "0"))
	assert.NotContains(t, e.Data.Message, "restart policy", "it did not fail")
}

// The wait of a container that was restarted before anybody watched can't be known.
func TestUnknownWait(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.m.snapshot(s.running("always", 5))
	s.after(time.Second)
	e := s.stopped(s.send("a", "die", nil, "exitCode", "1"))
	assert.Equal(t, "web stopped: exit code 1 after 1s; its restart policy starts it again, for the 6th time", e.Data.Message)
	assert.True(t, e.Data.Task.NextStart.IsZero())

	s.send("a", "start", s.running("always", 6))
	s.after(20 * time.Second)
	e = s.stopped(s.send("a", "die", nil, "exitCode", "1"))
	assert.Equal(t, utc(s.at+firstDelay), e.Data.Task.NextStart, "after a run that lasted it is known again")
	assert.Contains(t, e.Data.Cause.Evidence, "restart policy always, which starts it again in 100ms")
}

// A snapshot that sees a container wait counts the restart that is still to come.
func TestSnapshotOfAWaitingContainer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send("a", "start", s.running("always", 0))
	f := s.running("always", 1)
	s.after(time.Second)
	f.restarting, f.status, f.code, f.finished, f.at = true, "restarting", 1, s.at, s.at
	e := s.stopped(eventsOf(s.m.snapshot(f)))
	assert.Equal(t, int64(0), e.Data.Task.Containers[0].Restarts)
	assert.Contains(t, e.Data.Message, "; its restart policy starts it again in 100ms")
	s.after(100 * time.Millisecond)
	s.send("a", "start", s.running("always", 1))
	e = s.stopped(s.send("a", "die", nil, "exitCode", "1"))
	assert.Contains(t, e.Data.Message, "in 200ms, for the 2nd time")
}
