package docker

import (
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/stretchr/testify/assert"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// TestLosses: what a gap cost is counted whether a snapshot finds it or an event that comes later.
func TestLosses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		act                     func(s *scene) []out
		reconciled, codes, runs int64
	}{
		"a snapshot shows a later run": {func(s *scene) []out {
			s.send("a", "start", s.running("always", 0))
			s.at += int64(time.Minute)
			return s.m.snapshot(s.running("always", 3))
		}, 2, 1, 2},
		"a start shows a later run": {func(s *scene) []out {
			s.send("a", "start", s.running("always", 0))
			s.at += int64(time.Minute)
			return s.outs("start", s.running("always", 2))
		}, 1, 1, 1},
		"an end shows a later run": {func(s *scene) []out {
			s.send("a", "start", s.running("always", 0))
			s.at += int64(time.Second)
			s.send("a", "die", s.ended(0))
			f := s.ended(4)
			f.started = s.at + 1
			s.at += int64(time.Minute)
			return s.outs("die", f)
		}, 1, 0, 3},
		"the first that is told of a container is its end": {func(s *scene) []out {
			return s.outs("die", s.ended(2))
		}, 2, 0, 2},
		"the first that is told is an end, and a later run has begun": {func(s *scene) []out {
			later := s.running("always", 2)
			later.created, later.started = 1, s.at+int64(time.Second)
			outs := s.outs("die", later)
			s.at = later.started
			return append(outs, s.outs("start", later)...)
		}, 1, 0, 1},
		"it was begun by hand": {func(s *scene) []out {
			s.send("a", "start", s.running("always", 7))
			s.at += int64(time.Minute)
			return s.m.snapshot(s.running("always", 0))
		}, 2, 1, 0},
		"nothing is lost": {func(s *scene) []out {
			s.send("a", "start", s.running("always", 0))
			s.at += int64(time.Minute)
			s.send("a", "die", s.ended(0))
			return s.outs("start", s.running("always", 1))
		}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l losses
			outs := tt.act(newScene(t))
			for i := range outs {
				l.note(&outs[i])
			}
			assert.Equal(t, []int64{tt.reconciled, tt.codes, tt.runs}, []int64{l.reconciled.Load(), l.codes.Load(), l.runs.Load()}, "%+v", typesOf(outs))
		})
	}
}

func typesOf(outs []out) []string {
	var all []string
	for _, o := range outs {
		all = append(all, o.event.Type.Event()+" "+string(o.event.Data.Observed))
	}
	return all
}

// outs sends an event of a container that nobody saw being created.
func (s *scene) outs(action string, f *facts) []out {
	s.t.Helper()
	msg := &events.Message{
		Type: events.ContainerEventType, Action: events.Action(action), TimeNano: s.at,
		Actor: events.Actor{ID: "a", Attributes: map[string]string{"name": "web", "exitCode": "3"}},
	}
	return s.m.event(input{msg: msg, facts: f, now: s.at}).outs
}

// ended is what an inspect tells of a run that began a second ago and has ended.
func (s *scene) ended(restarts int64) *facts {
	f := s.running("always", restarts)
	f.created, f.started, f.finished = 1, s.at-int64(time.Second), s.at
	f.running, f.status, f.code = false, string(event.StateStopped), 3
	return f
}
