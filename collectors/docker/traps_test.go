package docker

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// What a daemon does to mislead, one test a trap. Those that a recording shows are in the golden files.

// A label overwrites the attribute of the same name that the daemon adds to an event.
func TestForgedAttributes(t *testing.T) {
	t.Parallel()
	forged := []string{"exitCode", "99", "signal", "10", "oldName", "/evil", "execDuration", "7"}
	s := newScene(t)
	s.send("a", "create", nil, forged...)
	renamed := s.send("a", "rename", nil, forged...)
	require.Len(t, renamed, 1)
	assert.Equal(t, "web was renamed", renamed[0].Data.Message)
	s.send("a", "start", nil, forged...)
	s.after(time.Second)
	asked := s.send("a", "kill", nil, forged...)
	require.Len(t, asked, 1)
	assert.Equal(t, "web was asked to stop (an unknown signal)", asked[0].Data.Message)
	e := s.stopped(append(s.send("a", "die", nil, forged...), s.after(time.Second)...))
	assert.Nil(t, e.Data.Task.Containers[0].ExitCode)
	assert.Equal(t, "unknown.lost", e.Data.Cause.Class)

	inspected := newScene(t)
	inspected.send("a", "start", inspected.running("no", 0), forged...)
	inspected.after(time.Second)
	f := inspected.running("no", 0)
	f.started, f.running, f.code = inspected.at-int64(time.Second), false, 3
	e = inspected.stopped(inspected.send("a", "die", f, forged...))
	assert.Equal(t, int64(3), *e.Data.Task.Containers[0].ExitCode)
	assert.Equal(t, event.Fact, e.Data.Cause.Confidence)
}

// FinishedAt may lie before StartedAt after a run of a few ms.
func TestEndBeforeItsStart(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.running("no", 0)
	f.running, f.code, f.finished = false, 3, f.started-int64(2*time.Millisecond)
	s.m.from = f.started - int64(time.Second)
	f.created = f.started - int64(10*time.Millisecond)
	s.after(time.Second)
	f.at = s.at
	e := s.stopped(eventsOf(s.m.snapshot(f)))
	assert.Equal(t, "exit.error", e.Data.Cause.Class)
	assert.Equal(t, f.started, e.Time.UnixNano())
	assert.Empty(t, s.m.snapshot(f), "told once")
}

// An inspect right after an end may show the next run, or wait for its lock and show a start that failed.
func TestInspectOfAnotherRun(t *testing.T) {
	t.Parallel()
	for name, shows := range map[string]func(f *facts, at int64){
		"the next run":   func(f *facts, at int64) { f.started, f.running, f.code = at+int64(time.Millisecond), true, 0 },
		"its end":        func(f *facts, at int64) { f.started, f.running, f.code = at+int64(time.Millisecond), false, 0 },
		"a failed start": func(f *facts, _ int64) { f.running, f.code, f.failure = false, 128, "port is already allocated" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			f := s.running("no", 0)
			s.send("a", "start", f)
			run := decimal(f.started)
			s.after(time.Second)
			shows(f, s.at)
			e := s.stopped(s.send("a", "die", f, "exitCode", "5"))
			assert.Equal(t, int64(5), *e.Data.Task.Containers[0].ExitCode)
			assert.Equal(t, run, e.Data.Task.Run)
			assert.Equal(t, "exit.error", e.Data.Cause.Class)
		})
	}
}

// A start that fails after a run leaves its times and overwrites its exit code.
func TestFailedStartOverwritesTheExitCode(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.running("no", 0)
	s.send("a", "start", f)
	s.after(time.Second)
	f.running, f.finished, f.code, f.failure, f.at = false, s.at, 128, "port is already allocated", s.at+1
	var failed, ended event.Event
	for _, e := range eventsOf(s.m.snapshot(f)) {
		if require.Equal(t, event.TaskStopped, e.Type); e.Data.Cause.Class == "start.error" {
			failed = e
		} else {
			ended = e
		}
	}
	assert.Equal(t, "web could not start: port is already allocated", failed.Data.Message)
	assert.Equal(t, int64(128), *failed.Data.Task.Containers[0].ExitCode)
	assert.Equal(t, "unknown.lost", ended.Data.Cause.Class)
	assert.Nil(t, ended.Data.Task.Containers[0].ExitCode, "that of the run is overwritten")
}

// The daemon is asked for what can be a transition; commands of exec, which may hold secrets, never come.
func TestNoExecIsAskedFor(t *testing.T) {
	t.Parallel()
	for name := range filters(false)["event"] {
		assert.NotContains(t, name, "exec")
	}
	assert.NotContains(t, plainAction("exec_create: sh -c 'echo hunter2'"), "hunter2")
}

// A new daemon instead of one that was killed ends what still runs; nobody could have asked for it.
func TestSurvivorsOfADaemonThatWasKilled(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send("a", "start", s.running("always", 0))
	s.send("b", "start", nil)
	s.after(time.Minute)
	from := s.at
	s.after(2 * time.Second)
	s.kills.peers.returned(from, s.at+int64(time.Second))
	s.send("a", "kill", nil, "signal", "15")
	s.after(100 * time.Millisecond)
	e := s.stopped(s.send("a", "die", nil, "exitCode", "143"))
	assertExpected(t, e, "host.shutdown", "host")

	s.after(time.Minute)
	s.send("b", "kill", nil, "signal", "15")
	assertExpected(t, s.stopped(s.send("b", "die", nil, "exitCode", "0")), "user.stop", "user")
}

// Ends while the daemon was away have no event; with live-restore the processes went on meanwhile.
func TestEndWhileTheDaemonWasDown(t *testing.T) {
	t.Parallel()
	const oom = "the runtime was down, so no event told of it and an out-of-memory kill can't be known"
	s := newScene(t)
	kept, restarted, auto := s.running("no", 0), s.running("always", 0), s.running("no", 0)
	restarted.id, auto.id, auto.autoRemove = "b", "c", true
	for _, f := range []*facts{kept, restarted, auto} {
		s.send(f.id, "start", f)
	}
	s.after(time.Minute)
	s.kills.peers.returned(s.at, s.at+int64(10*time.Second))
	s.after(5 * time.Second)

	kept.running, kept.finished, kept.code = false, s.at, 137
	next := *restarted
	next.started, next.restarts = s.at+int64(2*time.Second), 1
	s.after(6 * time.Second)
	kept.at, next.at = s.at, s.at

	e := s.stopped(eventsOf(s.m.snapshot(kept)))
	assert.Equal(t, "exit.sigkill", e.Data.Cause.Class)
	assert.Equal(t, int64(137), *e.Data.Task.Containers[0].ExitCode)
	assert.Contains(t, e.Data.Cause.Evidence, oom)

	e = s.stopped(eventsOf(s.m.snapshot(&next)))
	assert.Equal(t, "unknown.lost", e.Data.Cause.Class)
	assert.Contains(t, e.Data.Cause.Evidence, "the restart policy had started another run by then")

	e = s.stopped(s.send("c", "destroy", nil))
	assert.Equal(t, "unknown.lost", e.Data.Cause.Class)
}

// Names and images come from strangers.
func TestNamesAreCleaned(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	made := s.send("a", "create", nil, "name", "we\x1b[31mb\n\u202e", "image", "shop\x00/web\x07", "evil\x1b]0;x\x07label", "a\r\nb")
	require.Len(t, made, 1)
	assert.Equal(t, "web was created from shop/web", made[0].Data.Message)
	assert.Equal(t, map[string]string{"evillabel": "a  b"}, made[0].Data.Labels)
	assert.Equal(t, "web", made[0].Data.Workload)
	for _, e := range s.send("a", "rename", nil, "name", "x", "oldName", "/o\x07ld") {
		assert.Equal(t, "x was renamed from old", e.Data.Message)
	}
}

// A megabyte of labels is cut, and says so; what is known of the stop stays.
func TestHugeLabels(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	labels := []string{"team", "payments"}
	for i := range 100 {
		labels = append(labels, "label"+decimal(int64(i)), strings.Repeat("x", 10<<10))
	}
	s.send("a", "start", nil, labels...)
	s.after(time.Second)
	e := s.stopped(s.send("a", "die", nil, append(labels, "exitCode", "3")...))
	text, err := event.Append(nil, &e)
	require.NoError(t, err)
	require.LessOrEqual(t, len(text), event.MaxSize)
	back, err := event.Decode(text)
	require.NoError(t, err)
	assert.Contains(t, back.Data.Truncated, "labels")
	assert.Equal(t, "payments", back.Data.Labels["team"])
	assert.Equal(t, int64(3), *back.Data.Task.Containers[0].ExitCode)
	for _, kept := range s.m.tasks {
		m := kept.remembered()
		assert.Empty(t, m.Labels, "what is saved of a container is small")
	}
}

// Nothing but State.Error tells a start that failed, and it says the same after each try.
func TestEachFailedTryIsTold(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send("a", "create", nil)
	try := func(tried int64) []event.Event {
		return eventsOf(s.m.snapshot(&facts{
			id: "a", at: s.at, created: s.at, status: "created", code: 127, failure: "exec: nope: not found", tried: tried, policy: "no", name: "web",
		}))
	}
	s.after(time.Second)
	first := s.stopped(try(s.at - int64(20*time.Millisecond)))
	assert.Equal(t, event.ObservedStream, first.Data.Observed)
	assert.Equal(t, s.at-int64(20*time.Millisecond), first.Time.UnixNano())
	assert.Empty(t, try(s.at-int64(19*time.Millisecond)), "another network of the same try")
	s.after(time.Minute)
	assert.Empty(t, try(0), "a snapshot")

	second := s.stopped(try(s.at))
	assert.Equal(t, "web could not start: the command is missing or can't be executed (exit code 127): exec: nope: not found", second.Data.Message)
	assert.NotEqual(t, first.ID, second.ID)
	kept := s.m.tasks["a"].remembered()
	s.m.tasks["a"] = &task{id: "a", memory: kept}
	assert.Empty(t, try(s.at), "the same after a restart")

	other := newScene(t)
	other.at = s.at
	found := other.m.snapshot(&facts{id: "a", at: s.at, created: s.at, status: "created", code: 127, failure: "exec: nope: not found"})
	assert.Equal(t, first.ID, other.stopped(eventsOf(found)).ID, "who saw a snapshot only has the same identity")
}

// A daemon that finds a process gone when it starts records an exit code that nobody returned.
func TestExitCodeThatNobodyReturned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code  int64
		down  bool
		class string
	}{
		"made up":                {255, true, "unknown.lost"},
		"of the process":         {255, false, "exit.error"},
		"kept by its containerd": {5, true, "exit.error"},
	} {
		s := newScene(t)
		f := s.running("no", 0)
		s.send("a", "start", f)
		s.after(time.Minute)
		if c.down {
			s.kills.peers.returned(s.at-int64(time.Second), s.at+int64(time.Second))
		}
		f.running, f.code, f.finished, f.at = false, c.code, s.at, s.at
		e := s.stopped(eventsOf(s.m.snapshot(f)))
		assert.Equal(t, c.class, e.Data.Cause.Class, name)
		assert.Equal(t, c.class == "unknown.lost", e.Data.Task.Containers[0].ExitCode == nil, name)
	}

	rebooted := newScene(t)
	f := rebooted.running("no", 0)
	rebooted.send("a", "start", f)
	rebooted.after(time.Minute)
	rebooted.m.begun = rebooted.at + 1
	f.running, f.code, f.finished, f.at = false, 255, rebooted.at, rebooted.at+2
	assert.Equal(t, "unknown.lost", rebooted.stopped(eventsOf(rebooted.m.snapshot(f))).Data.Cause.Class)
}
