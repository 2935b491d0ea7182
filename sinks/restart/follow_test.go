package restart

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

func compose(id, service, dependsOn string) standing {
	return standing{id, "shop-" + service + "-1", "", map[string]string{labelProject: "shop", labelService: service, labelDependsOn: dependsOn}}
}

func TestWhoStandsOnWhom(t *testing.T) {
	db := compose("d1b2c3d4e5f6", "db", "")
	foreign := compose("x", "other", "db:service_healthy:true")
	foreign.labels[labelProject] = "blog"
	for name, c := range map[string]struct {
		others []standing
		want   []string
	}{
		"nobody":                   {[]standing{db, compose("a", "a", "")}, nil},
		"by the id of its network": {[]standing{{"a", "a", "container:d1b2c3d4e5f6", nil}}, []string{"a"}},
		"by a part of the id":      {[]standing{{"a", "a", "container:d1b2c3", nil}}, []string{"a"}},
		"by the name":              {[]standing{{"a", "a", "container:shop-db-1", nil}}, []string{"a"}},
		"another network":          {[]standing{{"a", "a", "shop_default", nil}, {"b", "b", "container:", nil}, {"c", "c", "host", nil}}, nil},
		"compose":                  {[]standing{compose("a", "api", "cache:service_started:true,db:service_healthy:true")}, []string{"a"}},
		"compose without restart":  {[]standing{compose("a", "api", "db:service_healthy:false"), compose("b", "old", "db"), compose("c", "older", ":::")}, nil},
		"another project":          {[]standing{foreign}, nil},
		"a chain, not by name":     {[]standing{compose("a", "a", "b:service_started:true"), compose("b", "b", "db:service_started:true"), {"p", "proxy", "container:a", nil}}, []string{"b", "a", "p"}},
		"a diamond": {[]standing{
			compose("a", "a", "x:service_started:true,y:service_started:true"), compose("y", "y", "db:service_started:true"), compose("x", "x", "db:service_started:true"),
		}, []string{"x", "y", "a"}},
		"a circle": {[]standing{
			compose("b", "b", "a:service_started:true"), compose("a", "a", "b:service_started:true,db:service_started:true"),
		}, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, d := range inOrder(&db, c.others) {
				got = append(got, d.ID)
				require.NotEmpty(t, d.Why)
				require.NotEmpty(t, d.On)
			}
			require.Equal(t, c.want, got)
		})
	}
	list := inOrder(&db, []standing{compose("a", "api", "db:service_healthy:true"), {"n", "net", "container:d1b2c3d4e5f6", nil}})
	require.Equal(t, "it depends on shop-db-1 (depends_on with restart), which has a new run", list[1].Why)
	require.Equal(t, "shop", list[1].Scope)
	require.Equal(t, "api", list[1].Workload)
	require.Equal(t, "it shares the network of shop-db-1, which has a new run", list[0].Why)
	require.Equal(t, "net", list[0].Workload)
}

func TestWhatHasLostAllThatItStandsOnIsLeftOut(t *testing.T) {
	list := connected("t", []Dependant{{ID: "b", On: []string{"a"}}, {ID: "c", On: []string{"t", "a"}}, {ID: "d", On: []string{"b", "c"}}, {ID: "e", On: []string{"b"}}})
	require.Equal(t, []Dependant{{ID: "c", On: []string{"t"}}, {ID: "d", On: []string{"c"}}}, list)
}

// about returns what was told about a task, each event once.
func (w *world) about(task string) (told []event.Event, words []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range w.published {
		if e.Data.Task.ID == task && !seen[e.ID] {
			told, words = append(told, e), append(words, e.Type.Event())
		}
		seen[e.ID] = true
	}
	return told, words
}

func TestWhatStandsOnATaskIsRestartedAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		side := w.stand("side", nil, "a").Run()
		w.stand("web", nil, "side", "a").Health = "healthy"
		newer := w.stand("newer", nil, "a")
		w.stand("stopped", nil, "a").Running = false
		h := w.handler(t)
		e := w.stopped("a", nil)
		wait, err := deliver(t.Context(), h, e)
		require.NoError(t, err)
		require.Equal(t, []string{"start a"}, w.called(), "nothing follows before the new run is seen to live")
		w.set(func() { newer.Started = time.Now().Add(time.Second) })
		<-time.After(wait)
		_, err = deliver(t.Context(), h, e)
		require.NoError(t, err)
		require.Equal(t, []string{"start a", "restart side"}, w.called(), "one after the other")
		require.True(t, h.Acting("side", side))
		require.False(t, h.Acting("web", side))
		finish(t, h, e)
		finish(t, w.handler(t), e)
		require.Equal(t, []string{"start a", "restart side", "restart web"}, w.called())

		first, _ := w.about("a")
		for _, task := range []string{"side", "web"} {
			told, words := w.about(task)
			require.Equal(t, []string{"requested", "started", "succeeded"}, words)
			require.Contains(t, told[0].Data.Action.Reason, "it shares the network of")
			for _, e := range told {
				require.Equal(t, first[len(first)-1].ID, e.CausationID, "the success of what it stands on")
				require.Equal(t, event.SubjectOf("", task, task), e.Subject)
				require.Equal(t, "restart", e.Data.Action.Kind)
			}
		}
		for _, task := range []string{"newer", "stopped"} {
			_, words := w.about(task)
			require.Empty(t, words)
		}
		check := schematest.New(t)
		for _, p := range w.published {
			check.Event(p)
		}
	})
}

func TestWhatDoesNotFollow(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, s *State)
		rule   string
		calls  int
	}{
		"it opted out":         {func(_ *world, s *State) { s.Labels = map[string]string{labelRestart: wantOff} }, RuleNotOptedIn, 0},
		"swarm owns it":        {func(_ *world, s *State) { s.Labels = map[string]string{"com.docker.swarm.service.id": "x"} }, RuleOwner, 0},
		"it is a one-off":      {func(_ *world, s *State) { s.Labels = map[string]string{"com.docker.compose.oneoff": "True"} }, RuleOwner, 0},
		"it was run with --rm": {func(_ *world, s *State) { s.AutoRemove = true }, RuleAutoRemove, 0},
		"it is paused":         {func(_ *world, s *State) { s.Paused = true }, RuleMovedOn, 0},
		"it does not start":    {func(w *world, _ *State) { w.failStart, w.failOnly = errors.New("no network"), "side" }, "", 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				c.change(w, w.stand("side", nil, "a"))
				w.stand("web", nil, "side")
				finish(t, w.handler(t), w.stopped("a", nil))
				told, words := w.about("side")
				require.Equal(t, c.rule, told[len(told)-1].Data.Action.Rule)
				require.Equal(t, c.calls, count(w.called(), "restart side"))
				require.NotContains(t, words, "succeeded")
				require.NotContains(t, words, "gaveup")
				told, words = w.about("web")
				require.Equal(t, []string{"denied"}, words)
				require.Equal(t, RuleDependency, told[0].Data.Action.Rule)
				require.Equal(t, "side, which it stands on, was not restarted", told[0].Data.Action.Reason)
			})
		})
	}
}

func TestWhatFollowsCostsNoBudgetOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for i := range 6 {
			w.stand("side"+number(i), nil, "a")
			w.stands[i].Workload = "pay" // the very workload of a
		}
		h := w.handler(t)
		for range 3 {
			finish(t, h, w.stopped("a", nil))
		}
		require.Len(t, w.called(), 3*(1+6))
		finish(t, h, w.stopped("b", nil))
		finish(t, h, w.stopped("c", nil))
		require.Equal(t, 1, count(w.told(), "gaveup"), "a's three actions and b's count, and nothing else")
		_, words := w.about("c")
		require.Equal(t, []string{"gaveup"}, words)
	})
}

func TestNothingFollowsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.lives = func(int) (time.Duration, int64) { return time.Second, 3 }
		w.stand("side", nil, "a")
		finish(t, w.handler(t), w.stopped("a", nil))
		require.Equal(t, []string{"start a"}, w.called())
	})
}

func TestItsOwnProbeAndTheOtherTaskAskForOneRestart(t *testing.T) {
	for _, pursued := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) { twoAskForOneRestart(t, pursued) })
	}
}

func twoAskForOneRestart(t *testing.T, pursued bool) {
	w := newWorld()
	sick := w.unhealthy("side")
	w.set(func() {
		w.stands = []Dependant{{ID: "side", Name: "side", Scope: "shop", Workload: "pay", On: []string{"a"}, Why: "it shares the network of a"}}
	})
	h, e := w.handler(t), w.stopped("a", nil)
	e.Data.Workload = "db"
	wait, err := deliver(t.Context(), h, e)
	require.NoError(t, err)
	<-time.After(wait - time.Second)
	w.slow = 5 * time.Second
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := deliver(t.Context(), h, sick)
		require.NoError(t, err)
	}()
	<-time.After(2 * time.Second)
	wait, err = deliver(t.Context(), h, e)
	require.NoError(t, err)
	require.Equal(t, poll, wait, "the other action has its turn")
	<-done
	if pursued {
		finish(t, h, sick)
	}
	finish(t, h, e)
	require.Equal(t, 1, count(w.called(), "restart side"))
}

func TestDryRunSaysWhatWouldFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.stand("side", nil, "a")
		h, e := w.handler(t, func(c *Config) { c.Mode = DryRun }), w.stopped("a", nil)
		finish(t, h, e)
		finish(t, h, e)
		require.Empty(t, w.called())
		told, words := w.about("side")
		require.Equal(t, []string{"requested"}, words)
		require.Equal(t, "would have restarted it: it shares the network of a", told[0].Data.Action.Reason)
	})
}

func TestNobodySendsWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		e := w.stopped("a", nil)
		e.Type = followed
		finish(t, w.handler(t), e)
		require.Empty(t, w.told())
	})
}
