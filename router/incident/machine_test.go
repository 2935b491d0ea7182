package incident

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// script plays events at times into a machine and notes what it tells.
type script struct {
	t     *testing.T
	m     *Machine
	begin time.Time
	seq   uint64
	told  []event.Event
	edit  func(*event.Event)
}

func play(t *testing.T, edit func(*Config)) *script {
	t.Helper()
	cfg := DefaultConfig()
	if edit != nil {
		edit(&cfg)
	}
	require.NoError(t, cfg.Validate())
	s := &script{t: t, begin: time.Date(2026, 11, 25, 2, 0, 0, 0, time.UTC)}
	s.m = NewMachine(cfg, "prod", nil)
	s.m.Tick(s.begin)
	return s
}

// at is so many seconds after the begin.
func (s *script) at(sec float64) time.Time {
	return s.begin.Add(time.Duration(sec * float64(time.Second)))
}

func (s *script) apply(sec float64, e event.Event) *script {
	s.seq++
	if e.Time.IsZero() {
		e.Time = s.at(sec)
	}
	if e.ID == "" {
		e.ID = fmt.Sprintf("e%d", s.seq)
	}
	if s.edit != nil {
		s.edit(&e)
	}
	s.m.Apply(&e, s.seq, s.at(sec))
	s.told = append(s.told, s.m.Events()...)
	return s
}

func (s *script) until(sec float64) *script {
	for at := s.m.now.Add(time.Second); at.Before(s.at(sec)); at = at.Add(time.Second) {
		s.m.Tick(at)
	}
	s.m.Tick(s.at(sec))
	s.told = append(s.told, s.m.Events()...)
	return s
}

// task is an event of task id of a workload; the run is the id's count of starts.
func taskEvent(typ event.Type, workload, id, revision string) event.Event {
	return event.Event{Type: typ, Data: event.Data{
		Site: "prod", Runtime: event.Docker, Scope: "shop", Node: "web-7", Workload: workload, Revision: revision, Observed: event.ObservedStream,
		Task: &event.Task{ID: id, Name: workload + "-" + id, Containers: []event.Container{{Name: workload, Image: "shop/" + workload + ":" + revision}}},
	}}
}

func (s *script) start(sec float64, workload, id string) *script {
	return s.apply(sec, taskEvent(event.TaskStarted, workload, id, "r1"))
}

func stopEvent(workload, id, class string, expected bool) event.Event {
	e := taskEvent(event.TaskStopped, workload, id, "r1")
	e.Data.Cause = &event.Cause{Class: class, Confidence: event.Fact, Initiator: "app", Expected: expected, Say: "said " + class}
	if strings.HasPrefix(class, "user.") {
		e.Data.Cause.Initiator = "user"
	}
	return e
}

func (s *script) crash(sec float64, workload, id string) *script {
	return s.apply(sec, stopEvent(workload, id, "exit.error", false))
}

func (s *script) stop(sec float64, workload, id, class string) *script {
	return s.apply(sec, stopEvent(workload, id, class, true))
}

// want compares what was told, a line each: workload or node, event, reason, transition.
func (s *script) want(lines ...string) *script {
	s.t.Helper()
	var got []string
	for _, e := range s.told {
		i := e.Data.Incident
		who := e.Data.Workload
		if who == "" {
			who = e.Data.Node
		}
		got = append(got, fmt.Sprintf("%s %s %s %d", who, e.Type.Event(), i.Reason, i.Transition))
	}
	if len(lines) == 0 {
		assert.Empty(s.t, got)
	} else {
		assert.Equal(s.t, lines, got)
	}
	return s
}

func (s *script) last() event.Event {
	s.t.Helper()
	require.NotEmpty(s.t, s.told)
	return s.told[len(s.told)-1]
}

func TestLoneTaskOpensAtOnceAndResolvesWhenStable(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "pay", "a").crash(60, "pay", "a").want("pay opened stopped 1")
	opened := s.last()
	assert.Equal(t, "pay stopped: said exit.error", opened.Data.Incident.Title)
	assert.Equal(t, s.at(60), opened.Time)
	assert.Equal(t, event.Error, opened.Severity)
	assert.NotNil(t, opened.Data.Cause)
	s.start(312, "pay", "a").until(312 + 119).want("pay opened stopped 1")
	s.until(312+120).want("pay opened stopped 1", "pay resolved stable 2")
	resolved := s.last()
	assert.Equal(t, int64(252_000), resolved.Data.Incident.DowntimeMS)
	assert.Equal(t, s.at(312), resolved.Time)
	assert.Equal(t, event.Error, resolved.Severity, "a route by severity that told the problem tells its end")
	assert.Equal(t, "it runs again after 1 start", resolved.Data.Incident.Recovery)
	assert.Equal(t, opened.Data.Incident.ID, resolved.Data.Incident.ID)
}

func TestCrashLoopIsOneIncident(t *testing.T) {
	t.Parallel()
	s := play(t, nil)
	for i := range 200 {
		s.start(float64(2*i), "pay", "a").crash(float64(2*i+1), "pay", "a")
	}
	s.want("pay opened stopped 1", "pay updated crash_loop 2")
	s.start(400, "pay", "a").until(600).want("pay opened stopped 1", "pay updated crash_loop 2", "pay resolved stable 3")
	i := s.last().Data.Incident
	assert.Equal(t, int64(200), i.Stops)
	assert.Equal(t, int64(200), i.Restarts)
	assert.Equal(t, int64(399_000), i.DowntimeMS)
	assert.Equal(t, []string{"exit.error (200)"}, i.Causes)
	assert.Equal(t, int64(1), i.TaskCount)
}

func TestReplacementHealsAServicesStop(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "web", "a").start(0, "web", "b").crash(60, "web", "a").start(70, "web", "c").until(300).want()
	s.crash(400, "web", "b").until(419).want().until(421).want("web opened stopped 1")
	assert.Equal(t, int64(2), s.last().Data.Incident.Desired)
	s.crash(430, "web", "c").want("web opened stopped 1", "web updated crash_loop 2")
	assert.Equal(t, event.Fatal, s.last().Severity)
}

func TestHealedStopsAddUpToALoop(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "web", "a").start(0, "web", "b0")
	for i := range 3 {
		s.crash(60+float64(i)*60, "web", fmt.Sprintf("b%d", i)).start(65+float64(i)*60, "web", fmt.Sprintf("b%d", i+1))
	}
	s.want("web opened crash_loop 1")
	assert.Equal(t, int64(3), s.last().Data.Incident.Stops)
}

func TestWantedStopsOpenNothing(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "web", "a").stop(10, "web", "a", "deploy.replaced").start(11, "web", "b").
		stop(100, "web", "b", "user.stop").start(200, "job", "j").stop(260, "job", "j", "exit.ok").until(100_000)
	s.want()
}

func TestRemovedOnPurposeResolves(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "pay", "a").crash(60, "pay", "a").apply(60.1, taskEvent(event.TaskRemoved, "pay", "a", "r1")).until(500)
	s.want("pay opened stopped 1") // --rm
	s.start(500, "pay", "b").stop(505, "pay", "b", "user.stop").until(524).want("pay opened stopped 1")
	s.until(526).want("pay opened stopped 1", "pay resolved removed 2")
	assert.Contains(t, s.last().Data.Incident.Recovery, "said user.stop")
}

func TestRestartByHandIsNoEnd(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "pay", "a").crash(60, "pay", "a").start(70, "pay", "a").stop(80, "pay", "a", "user.stop").start(82, "pay", "a").until(201)
	s.want("pay opened stopped 1").until(203).want("pay opened stopped 1", "pay resolved stable 2")
}

func TestNewRevisionSupersedes(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "pay", "a").crash(60, "pay", "a").apply(90, taskEvent(event.TaskStarted, "pay", "b", "r2"))
	s.want("pay opened stopped 1", "pay resolved superseded 2")
	crash := stopEvent("pay", "b", "exit.error", false)
	crash.Data.Revision = "r2"
	s.apply(95, crash).want("pay opened stopped 1", "pay resolved superseded 2", "pay opened stopped 1")
	assert.Contains(t, s.last().Data.Incident.Recent, "revision r1 → r2 began to run 5s before")
}

func TestWhatChangedSinceTheLastHealthyRun(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "pay", "a").stop(600, "pay", "a", "deploy.replaced").apply(601, taskEvent(event.TaskStarted, "pay", "b", "r2"))
	crash := stopEvent("pay", "b", "exit.error", false)
	crash.Data.Revision, crash.Data.Task.Containers[0].Image = "r2", "shop/pay:r2"
	s.apply(605, crash).want("pay opened stopped 1")
	assert.Equal(t, []event.Change{{What: "revision", From: "r1", To: "r2"}, {What: "image", From: "shop/pay:r1", To: "shop/pay:r2"}}, s.last().Data.Changed)
	assert.Equal(t, s.at(600), s.last().Data.Incident.Healthy)
}

func TestFlappingIsOneIncident(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "pay", "a").crash(60, "pay", "a").start(61, "pay", "a").until(200).crash(300, "pay", "a").start(301, "pay", "a")
	s.want("pay opened stopped 1", "pay resolved stable 2", "pay updated again 3").until(301 + 479).until(301 + 481)
	s.want("pay opened stopped 1", "pay resolved stable 2", "pay updated again 3", "pay resolved stable 4")
	assert.Equal(t, int64(1), s.last().Data.Incident.Flaps)
	s.crash(301+481+3600, "pay", "a")
	assert.Equal(t, "pay", s.last().Data.Workload)
	assert.Equal(t, int64(1), s.last().Data.Incident.Transition, "after the flap time it is a new one")
}

func TestUnhealthyForLonger(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "web", "a").apply(10, taskEvent(event.TaskUnhealthy, "web", "a", "r1")).apply(40, taskEvent(event.TaskHealthy, "web", "a", "r1")).until(300).want()
	s.apply(400, taskEvent(event.TaskUnhealthy, "web", "a", "r1")).until(459).want().until(461).want("web opened unhealthy 1")
	assert.Equal(t, event.Warn, s.last().Severity)
	assert.Equal(t, s.at(400), s.last().Time)
	s.apply(500, taskEvent(event.TaskHealthy, "web", "a", "r1")).want("web opened unhealthy 1", "web resolved healthy 2")
	assert.Equal(t, int64(100_000), s.last().Data.Incident.DowntimeMS)
}

func TestJobThatRanWellNextTime(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "backup", "a").crash(60, "backup", "a").start(3600, "backup", "b").stop(3660, "backup", "b", "exit.ok")
	s.want("backup opened stopped 1", "backup resolved completed 2")
}

func TestAmendedStop(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "web", "a")
	first := stopEvent("web", "a", "exit.sigkill", false)
	first.ID = "first"
	better := stopEvent("web", "a", "oom", false)
	better.ID, better.Data.Supersedes = "second", "first"
	after := stopEvent("web", "a", "deploy.replaced", true)
	after.ID, after.Data.Supersedes = "third", "second"
	s.apply(10, first).apply(11, better).want("web opened stopped 1")
	s.apply(12, after).want("web opened stopped 1", "web resolved explained 2")
	assert.Equal(t, int64(0), s.last().Data.Incident.Stops)
}

func TestReminders(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "pay", "a").crash(0, "pay", "a").until(3 * 24 * 3600)
	s.want("pay opened stopped 1", "pay updated reminder 2", "pay updated reminder 3", "pay updated reminder 4", "pay updated reminder 5")
	assert.Equal(t, s.at((4+8+16+24)*3600), s.last().Time)
	s.until(8*24*3600).want("pay opened stopped 1", "pay updated reminder 2", "pay updated reminder 3", "pay updated reminder 4", "pay updated reminder 5",
		"pay updated reminder 6", "pay updated reminder 7", "pay updated reminder 8", "pay updated reminder 9", "pay resolved forgotten 10")
}

func collectorEvent(typ event.Type, name string) event.Event {
	return event.Event{Type: typ, Data: event.Data{Site: "prod", Runtime: event.Docker, Node: "web-7", Collector: &event.Collector{Name: name}}}
}

func TestSilentCollectorIsOneIncident(t *testing.T) {
	t.Parallel()
	s := play(t, nil).apply(0, collectorEvent(event.CollectorStarted, "docker"))
	for i := range 40 {
		s.start(1, fmt.Sprintf("w%d", i), "t")
	}
	s.apply(60, collectorEvent(event.CollectorHeartbeat, "docker")).until(239).want().until(241).want("web-7 opened silent 1")
	assert.Contains(t, s.last().Data.Incident.Title, "40 tasks of 40 workloads")
	assert.Equal(t, event.Fatal, s.last().Severity)
	s.apply(600, collectorEvent(event.CollectorStarted, "docker")).want("web-7 opened silent 1", "web-7 resolved returned 2")
	assert.Equal(t, int64(540_000), s.last().Data.Incident.DowntimeMS)
	s.apply(700, collectorEvent(event.CollectorStopped, "docker")).until(5000).want("web-7 opened silent 1", "web-7 resolved returned 2")
}

func TestGap(t *testing.T) {
	t.Parallel()
	s := play(t, nil).apply(0, collectorEvent(event.CollectorStarted, "docker"))
	blind := collectorEvent(event.CollectorGap, "docker")
	blind.Data.Collector.From = s.at(10)
	s.apply(10, blind).until(309).want().until(311).want("web-7 opened blind 1")
	over := collectorEvent(event.CollectorGap, "docker")
	over.Data.Collector = &event.Collector{Name: "docker", From: s.at(10), To: s.at(400)}
	s.apply(400, over).want("web-7 opened blind 1", "web-7 resolved returned 2")
}

func TestLostHostExplainsItsTasks(t *testing.T) {
	t.Parallel()
	s := play(t, nil)
	for i := range 40 {
		s.start(0, fmt.Sprintf("w%d", i), fmt.Sprintf("t%d", i))
	}
	for i := range 40 {
		s.apply(60+float64(i)/100, stopEvent(fmt.Sprintf("w%d", i), fmt.Sprintf("t%d", i), "host.lost", false))
	}
	s.want("web-7 opened lost 1")
	for i := range 40 {
		e := taskEvent(event.TaskStarted, fmt.Sprintf("w%d", i), "u", "r1")
		e.Data.Node = "web-8"
		s.apply(90, e)
	}
	s.until(90+121).want("web-7 opened lost 1", "web-7 resolved stable 2")
	i := s.last().Data.Incident
	assert.Equal(t, int64(40), i.Stops)
	assert.Equal(t, int64(40), i.TaskCount)
	assert.Len(t, i.Tasks, maxShown)
}

func TestGaveUp(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "pay", "a").crash(1, "pay", "a")
	act := taskEvent(event.ActionGaveUp, "pay", "a", "r1")
	act.Data.Action = &event.Action{ID: "x", Handler: "healer", Kind: "restart", Reason: "4 restarts within 10m did not help"}
	s.apply(2, act).want("pay opened stopped 1", "pay updated gave_up 2")
	assert.Equal(t, event.Fatal, s.last().Severity)
	assert.Equal(t, []string{"02:00:02 healer: restart gaveup: 4 restarts within 10m did not help"}, s.last().Data.Incident.Done)
}

func TestExpected(t *testing.T) {
	t.Parallel()
	s := play(t, func(c *Config) {
		c.Expect = []Expect{{Workload: "web", Tasks: 2, For: time.Minute}, {Workload: "backup", Tasks: 1, Every: 24 * time.Hour}}
	})
	s.start(0, "web", "a").start(30, "web", "b").until(40).stop(50, "web", "b", "user.stop").until(100).want()
	s.until(120).want("web opened absent 1")
	s.start(200, "web", "c").until(321).want("web opened absent 1", "web resolved at_desired 2")
	s.start(3600, "backup", "x").stop(3700, "backup", "x", "exit.ok").until(3700 + 24*3600 - 10)
	s.want("web opened absent 1", "web resolved at_desired 2")
	s.until(3700+24*3600+10).want("web opened absent 1", "web resolved at_desired 2", "backup opened late 1")
	s.start(3700+25*3600, "backup", "x").stop(3700+25*3600+60, "backup", "x", "exit.ok")
	assert.Equal(t, "completed", s.last().Data.Incident.Reason)
}

func TestRedeliveryChangesNothing(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "pay", "a").crash(60, "pay", "a").want("pay opened stopped 1")
	again := stopEvent("pay", "a", "exit.error", false)
	again.Time = s.at(60)
	s.m.Apply(&again, s.seq, s.at(61))
	assert.Empty(t, s.m.Events())
	assert.Equal(t, int64(1), s.m.records[workloadOf(&again.Data).key()].Incident.Stops)
}

func TestServiceBelowDesired(t *testing.T) {
	t.Parallel()
	service := func(word string, desired, running int64) event.Event {
		e := taskEvent(event.ServiceUpdated, "web", "", "r1")
		e.Data.Task, e.Data.Service = nil, &event.Service{Name: "web", Event: word, Counts: &event.Counts{Desired: desired, Running: running}}
		return e
	}
	s := play(t, nil).start(0, "web", "a").apply(10, service("below_desired", 3, 1)).until(309).want().until(311).want("web opened below_desired 1")
	assert.Equal(t, "web runs 1 of 3 tasks", s.last().Data.Incident.Title)
	s.start(400, "web", "b").start(401, "web", "c").apply(410, service("at_desired", 3, 3)).until(700)
	s.want("web opened below_desired 1", "web resolved at_desired 2")
}

// TestSilence: transitions are stamped with what holds them back; when that ends with the problem still there, it is
// told once, and a problem that ended within it never.
func TestSilence(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		until   float64 // when the silence was to end
		expired float64 // when somebody ended it, 0 for never
		back    float64 // when the workload ran again, 0 for never
		want    []string
	}{
		"it ends by itself":       {600, 0, 0, []string{"web opened stopped 1 by s1", "web updated silence_ended 2 by "}},
		"somebody ends it":        {9000, 300, 0, []string{"web opened stopped 1 by s1", "web updated silence_ended 2 by "}},
		"the problem ends within": {600, 0, 20, []string{"web opened stopped 1 by s1", "web resolved stable 2 by s1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, nil)
			end := s.at(tt.until)
			s.m.Silence(func(e *event.Event, at time.Time) (string, time.Time) {
				if e.Data.Workload == "web" && at.Before(end) {
					return "s1", end
				}
				return "", time.Time{}
			})
			s.start(0, "web", "1").crash(10, "web", "1")
			if tt.back > 0 {
				s.start(tt.back, "web", "1")
			}
			if tt.expired > 0 {
				s.until(tt.expired)
				end = s.at(tt.expired)
				s.m.Recheck()
			}
			s.until(1200)
			var got []string
			for _, e := range s.told {
				i := e.Data.Incident
				got = append(got, fmt.Sprintf("%s %s %s %d by %s", e.Data.Workload, e.Type.Event(), i.Reason, i.Transition, i.Silenced))
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

// TestNewestEvidence: what is told later shows the newest stop, not the first.
func TestNewestEvidence(t *testing.T) {
	t.Parallel()
	s := play(t, nil).start(0, "web", "1").crash(1, "web", "1").start(2, "web", "1").crash(3, "web", "1").start(4, "web", "1")
	e := stopEvent("web", "1", "oom.limit", false)
	e.Data.Task.Log = &event.Log{Lines: []string{"the last words"}}
	s.apply(5, e).start(6, "web", "1").until(300)
	s.want("web opened stopped 1", "web updated crash_loop 2", "web resolved stable 3")
	for _, told := range s.told[1:] {
		assert.Equal(t, "oom.limit", told.Data.Cause.Class)
		assert.Equal(t, []string{"the last words"}, told.Data.Task.Log.Lines)
	}
	assert.Equal(t, s.told[0].CausationID, "e2")
}
