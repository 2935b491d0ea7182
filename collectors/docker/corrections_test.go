package docker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Better evidence that comes after an end was told amends it, once: nobody is told twice, and an alert of
// the first is taken back by the second.
func TestCorrections(t *testing.T) {
	t.Parallel()
	kill := func(s *scene, signal string) { s.send("a", "kill", nil, "signal", signal) }
	die := func(s *scene, code string) []event.Event {
		return append(s.send("a", "die", nil, "exitCode", code), s.after(time.Second)...)
	}
	for name, c := range map[string]struct {
		end           func(s *scene) []event.Event
		later         func(s *scene) []event.Event
		first, second string
	}{
		"memory ran out, told late": {
			func(s *scene) []event.Event { return die(s, "137") },
			func(s *scene) []event.Event { return s.send("a", "oom", nil) }, "exit.sigkill", "oom",
		},
		"a stop request with a long grace": {
			func(s *scene) []event.Event {
				kill(s, "15")
				s.after(time.Minute)
				return die(s, "3")
			},
			func(s *scene) []event.Event { return s.send("a", "stop", nil) }, "exit.error", "user.stop",
		},
		"a kill was a removal": {
			func(s *scene) []event.Event {
				kill(s, "9")
				return die(s, "137")
			},
			func(s *scene) []event.Event { return s.send("a", "destroy", nil) }, "user.kill", "user.remove",
		},
		"the daemon went down": {
			func(s *scene) []event.Event {
				kill(s, "15")
				s.send("b", "kill", nil, "signal", "15")
				return die(s, "143")
			},
			func(s *scene) []event.Event { return eventsOf(s.m.shutdown(s.kills.together(s.at))) }, "user.stop", "host.shutdown",
		},
		"it was replaced": {
			func(s *scene) []event.Event {
				kill(s, "15")
				return die(s, "0")
			},
			func(s *scene) []event.Event { return s.send("c", "create", nil, "image", "shop/web:2") }, "user.stop", "deploy.replaced",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.send("a", "start", s.running("no", 0))
			s.send("b", "start", nil, "name", "other")
			s.after(time.Minute)
			first := s.stopped(c.end(s))
			assert.Equal(t, c.first, first.Data.Cause.Class)
			assert.Empty(t, first.Data.Supersedes)
			second := s.stopped(c.later(s))
			assert.Equal(t, c.second, second.Data.Cause.Class)
			assert.Equal(t, first.ID, second.Data.Supersedes)
			assert.NotEqual(t, first.ID, second.ID)
			assert.Equal(t, first.Data.Task.Run, second.Data.Task.Run)
			for _, e := range append(c.later(s), s.after(time.Minute)...) {
				assert.NotEqual(t, event.TaskStopped, e.Type, "told a third time: %s", e.Data.Message)
			}
		})
	}
}

// An end waits for what may follow only where that may change what it means, and never longer than a second.
func TestHoldIsShort(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send("a", "start", s.running("no", 0))
	s.after(time.Minute)
	require.Empty(t, s.send("a", "die", nil, "exitCode", "137"))
	assert.LessOrEqual(t, s.m.next()-s.at, int64(time.Second))
	s.stopped(s.after(time.Second))

	s.send("a", "start", s.running("no", 0))
	s.after(time.Minute)
	s.stopped(s.send("a", "die", nil, "exitCode", "3"))
}
