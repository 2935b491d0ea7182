package docker

import (
	"slices"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
)

// A shutdown is told by the last group of containers that were signalled together, however many others
// somebody removed shortly before.
func TestContainersSignalledTogether(t *testing.T) {
	type kill struct {
		at  time.Duration
		ids string // one letter a container
	}
	for name, c := range map[string]struct {
		kills []kill
		end   time.Duration
		want  string
	}{
		"nobody":                     {nil, time.Minute, ""},
		"one is no group":            {[]kill{{0, "a"}}, time.Second, ""},
		"one twice is no group":      {[]kill{{0, "aa"}}, time.Second, ""},
		"together":                   {[]kill{{0, "abc"}}, time.Second, "abc"},
		"too far apart":              {[]kill{{0, "a"}, {2 * time.Second, "b"}}, 3 * time.Second, ""},
		"too long ago":               {[]kill{{0, "abc"}}, 21 * time.Second, ""},
		"others removed before":      {[]kill{{0, "abcdefgh"}, {5 * time.Second, "xyz"}}, 6 * time.Second, "xyz"},
		"killed for not obeying":     {[]kill{{0, "abcd"}, {10 * time.Second, "bc"}}, 11 * time.Second, "abcd"},
		"one killed for not obeying": {[]kill{{0, "abc"}, {10 * time.Second, "b"}}, 11 * time.Second, "abc"},
		"removed, shut down, killed": {[]kill{{0, "pqrst"}, {3 * time.Second, "abc"}, {13 * time.Second, "ab"}}, 14 * time.Second, "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			var k killTimes
			for _, kill := range c.kills {
				for i, id := range kill.ids {
					k.note(&events.Message{
						Type: events.ContainerEventType, Action: events.ActionKill, Actor: events.Actor{ID: string(id)},
						TimeNano: int64(time.Hour + kill.at + time.Duration(i)*time.Millisecond),
					})
				}
			}
			var got []string
			for id := range k.together(int64(time.Hour + c.end)) {
				got = append(got, id)
			}
			slices.Sort(got)
			var want []string
			for _, id := range c.want {
				want = append(want, string(id))
			}
			assert.Equal(t, want, got)
		})
	}
}

// The stream begins a little before the first start. What ended there is no news, but a signal of then
// explains an end of now.
func TestNothingBeforeTheFirstStartIsTold(t *testing.T) {
	const from = int64(time.Hour)
	m := newMachine(origin{"local", "n", "engine"}, cause.Docker(), from)
	m.first = true
	send := func(action events.Action, at int64, attributes map[string]string) []out {
		return m.event(input{now: at, msg: &events.Message{
			Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: "a", Attributes: attributes}, TimeNano: at,
		}}).outs
	}
	assert.Empty(t, send(events.ActionStart, from-3, nil))
	assert.Empty(t, send(events.ActionKill, from-2, map[string]string{"signal": "15"}))
	told := append(send(events.ActionDie, from+1, map[string]string{"exitCode": "143"}), m.due(1<<62)...)
	require.Len(t, told, 1)
	assert.Equal(t, "user.stop", told[0].event.Data.Cause.Class)
	assert.Empty(t, send(events.ActionDie, from-1, nil))
}
