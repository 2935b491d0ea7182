package docker

import (
	"slices"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// compose returns the attributes of a container of a compose service.
func compose(name, hash string, more ...string) []string {
	return append([]string{
		"name", name, "com.docker.compose.project", "shop", "com.docker.compose.service", "web", "com.docker.compose.config-hash", hash,
	}, more...)
}

func swarm(more ...string) []string {
	return append([]string{"com.docker.swarm.service.name", "shop_web", "com.docker.swarm.task.id", "t1", "name", "shop_web.1.t1"}, more...)
}

// up starts a container with these attributes.
func (s *scene) up(id string, attributes []string) {
	s.send(id, "create", nil, attributes...)
	s.after(10 * time.Millisecond)
	s.send(id, "start", nil, attributes...)
	s.after(time.Minute)
}

// down stops it as a stop request does.
func (s *scene) down(id string, attributes []string) event.Event {
	s.send(id, "kill", nil, append([]string{"signal", "15"}, attributes...)...)
	s.after(50 * time.Millisecond)
	all := s.send(id, "die", nil, append([]string{"exitCode", "0"}, attributes...)...)
	s.after(5 * time.Millisecond)
	all = append(all, s.send(id, "stop", nil, attributes...)...)
	return s.stopped(append(all, s.after(time.Second)...))
}

func (s *scene) order(action events.Action, attributes map[string]string) {
	s.kills.note(&events.Message{Type: events.ServiceEventType, Action: action, Actor: events.Actor{ID: "svc", Attributes: attributes}, TimeNano: s.at})
	s.after(20 * time.Millisecond)
}

func assertExpected(t *testing.T, e event.Event, class, initiator string) {
	t.Helper()
	assert.Equal(t, []any{class, initiator, true, event.Info}, []any{e.Data.Cause.Class, e.Data.Cause.Initiator, e.Data.Cause.Expected, e.Severity}, e.Data.Message)
}

func TestComposeRecreateIsADeploy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ hash, image, replaces, by string }{
		"another config":         {"bbbbbbbbbbbbbbbb", "shop/web", "", "a task of the same workload with another revision took its place (bbbbbbbbbbbb)"},
		"another image":          {"aaaaaaaaaaaaaaaa", "shop/web:2", "", "a task of the same workload with another revision took its place (shop/web:2)"},
		"the same, by force":     {"aaaaaaaaaaaaaaaa", "shop/web", "old", "a new task of the same workload and revision took its place"},
		"config and its command": {"cccccccccccccccc", "shop/web", "old", "a task of the same workload with another revision took its place (cccccccccccc)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.up("old", compose("shop-web-1", "aaaaaaaaaaaaaaaa"))
			s.send("new", "create", nil, compose("abc_shop-web-1", c.hash, "image", c.image, "com.docker.compose.replace", c.replaces)...)
			s.after(20 * time.Millisecond)
			e := s.down("old", compose("shop-web-1", "aaaaaaaaaaaaaaaa"))
			assertExpected(t, e, "deploy.replaced", "user")
			assert.Contains(t, e.Data.Cause.Evidence, c.by)
			assert.Equal(t, "aaaaaaaaaaaa", e.Data.Revision)
		})
	}
}

func TestOneOfSeveralIsRemoved(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.up("one", compose("shop-web-1", "aaaa"))
	s.send("two", "create", nil, compose("shop-web-2", "aaaa")...)
	s.send("other", "create", nil, "name", "other", "com.docker.compose.project", "shop", "com.docker.compose.service", "db", "com.docker.compose.config-hash", "bbbb")
	assertExpected(t, s.down("one", compose("shop-web-1", "aaaa")), "user.stop", "user")
}

// A crash is one, also in the middle of a deploy.
func TestCrashWithinADeploy(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.up("old", compose("shop-web-1", "aaaa"))
	s.send("new", "create", nil, compose("abc_shop-web-1", "bbbb")...)
	e := s.stopped(s.send("old", "die", nil, compose("shop-web-1", "aaaa", "exitCode", "1")...))
	assert.Equal(t, "exit.error", e.Data.Cause.Class)
	assert.False(t, e.Data.Cause.Expected)
}

// Tools that stop the old one first are understood once the new one is there; who was told otherwise is
// told so, once.
func TestReplacementThatComesLater(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.up("old", compose("shop-web-1", "aaaa"))
	s.send("old", "health_status: unhealthy", nil, compose("shop-web-1", "aaaa")...)
	s.after(time.Second)
	first := s.down("old", compose("shop-web-1", "aaaa"))
	assert.Equal(t, "health.container", first.Data.Cause.Class)
	again := s.stopped(s.send("new", "create", nil, compose("shop-web-2", "bbbb")...))
	assertExpected(t, again, "deploy.replaced", "user")
	assert.Equal(t, first.ID, again.Data.Supersedes)
	assert.NotEqual(t, first.ID, again.ID)
	stops := func(all []event.Event) bool {
		return slices.ContainsFunc(all, func(e event.Event) bool { return e.Type == event.TaskStopped })
	}
	assert.False(t, stops(s.send("new2", "create", nil, compose("shop-web-3", "bbbb")...)), "told once")

	late := newScene(t)
	late.up("old", compose("shop-web-1", "aaaa"))
	late.down("old", compose("shop-web-1", "aaaa"))
	late.after(time.Minute)
	assert.False(t, stops(late.send("new", "create", nil, compose("shop-web-1", "bbbb")...)), "too long ago")
}

func TestLoneContainerIsReplaced(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.up("old", []string{"name", "web", "image", "shop/web:1"})
	e := s.down("old", []string{"name", "web", "image", "shop/web:1"})
	assertExpected(t, e, "user.stop", "user")
	assertExpected(t, s.stopped(s.send("new", "create", nil, "name", "web", "image", "shop/web:2")), "deploy.replaced", "user")
}

func TestSwarmStopsItsTasks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, after func(s *scene) []event.Event
		class, by     string
	}{
		"of its own": {class: "scheduler.other", by: "scheduler"},
		"fewer": {before: func(s *scene) []event.Event {
			s.order("update", map[string]string{"name": "shop_web", "replicas.old": "10", "replicas.new": "9"})
			return nil
		}, class: "scheduler.scaling", by: "scheduler"},
		"service removed": {before: func(s *scene) []event.Event {
			s.order("remove", map[string]string{"name": "shop_web"})
			return nil
		}, class: "scheduler.scaling", by: "scheduler"},
		"more": {before: func(s *scene) []event.Event {
			s.order("update", map[string]string{"name": "shop_web", "replicas.old": "9", "replicas.new": "10"})
			return nil
		}, class: "scheduler.other", by: "scheduler"},
		"another service has fewer": {before: func(s *scene) []event.Event {
			s.order("update", map[string]string{"name": "shop_db", "replicas.old": "2", "replicas.new": "1"})
			return nil
		}, class: "scheduler.other", by: "scheduler"},
		"start first": {before: func(s *scene) []event.Event {
			return s.send("new", "create", nil, swarm("name", "shop_web.1.t2", "image", "shop/web:2")...)
		}, class: "deploy.replaced", by: "scheduler"},
		"stop first": {after: func(s *scene) []event.Event {
			return s.send("new", "create", nil, swarm("name", "shop_web.1.t2", "image", "shop/web:2")...)
		}, class: "deploy.replaced", by: "scheduler"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.up("old", swarm())
			if c.before != nil {
				c.before(s)
			}
			e := s.down("old", swarm())
			if c.after != nil {
				e = s.stopped(c.after(s))
			}
			assertExpected(t, e, c.class, c.by)
			assert.Equal(t, "shop_web", e.Data.Workload)
		})
	}
}

func TestPeersAreBounded(t *testing.T) {
	t.Parallel()
	var k killTimes
	for i := range int64(3 * peersKept) {
		k.note(&events.Message{Type: events.ContainerEventType, Action: "create", TimeNano: i + 1})
		k.note(&events.Message{Type: events.ContainerEventType, Action: "die", TimeNano: i + 1})
		k.note(&events.Message{Type: events.ServiceEventType, Action: "remove", TimeNano: i + 1, Actor: events.Actor{Attributes: map[string]string{"name": decimal(i)}}})
	}
	require.LessOrEqual(t, len(k.peers.created), peersKept)
	require.LessOrEqual(t, len(k.peers.ended), peersKept)
	require.LessOrEqual(t, len(k.peers.scaled), peersKept)
	assert.Equal(t, 3*int64(peersKept), k.peers.created[len(k.peers.created)-1].at)
}
