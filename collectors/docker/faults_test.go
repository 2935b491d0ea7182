package docker_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

// TestGarbledRecordHidesNoOther: a record is cut off on its way, or runs into the next one. The daemon
// still has it whole.
func TestGarbledRecordHidesNoOther(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(line []byte) []byte{
		"cut off":     func(line []byte) []byte { return append(line[:len(line)/2], '\n') },
		"merged":      func(line []byte) []byte { return line[:len(line)-1] },
		"half merged": func(line []byte) []byte { return line[:len(line)/2] },
		"an error page": func([]byte) []byte {
			return []byte("<html>502 Bad Gateway</html>\n")
		},
	} {
		f := newFake(t)
		r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
		var spoiled atomic.Bool
		f.mu.Lock()
		f.garble = func(line []byte) []byte {
			if bytes.Contains(line, []byte(`"die"`)) && !spoiled.Swap(true) {
				return spoil(line)
			}
			return line
		}
		f.mu.Unlock()
		id, next := fakeFixture(f).Crash(t), fakeFixture(f).Crash(t)
		for _, id := range []string{id, next} {
			e := r.Stopped(id)
			assert.Equal(t, event.ObservedStream, e.Data.Observed, name)
			assert.Equal(t, int64(3), *e.Data.Task.Containers[0].ExitCode, name)
		}
		assert.Empty(t, r.Reporter.Gaps(), name)
		r.Stop()
	}
}

// TestRecordThatIsAlwaysGarbled: reading goes on behind it, and a snapshot finds what it would have told.
func TestRecordThatIsAlwaysGarbled(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	bad := f.create(nil)
	f.mu.Lock()
	f.garble = func(line []byte) []byte {
		if bytes.Contains(line, []byte(bad)) && bytes.Contains(line, []byte(`"die"`)) {
			return append(line[:len(line)/2], '\n')
		}
		return line
	}
	f.mu.Unlock()
	f.run(bad)
	f.exit(bad, 7)
	good := fakeFixture(f).Crash(t)
	assert.Equal(t, event.ObservedStream, r.Stopped(good).Data.Observed)
	assert.Equal(t, event.ObservedReconcile, r.Stopped(bad).Data.Observed)
	assert.Equal(t, int64(7), *r.Stopped(bad).Data.Task.Containers[0].ExitCode)
	gap := gaps(t, r, 1)[0]
	assert.Contains(t, gap.Reason, "the event stream is garbled")
	assert.Equal(t, 1, gap.Reconciled)
	opened := f.streamsOpened()
	require.Never(t, func() bool { return f.streamsOpened() > opened+1 }, 1500*time.Millisecond, 100*time.Millisecond, "it must not reconnect for ever")
}

// TestAnswerThatIsCutOff: the list, an inspect or the replay of the log ends in the middle.
func TestAnswerThatIsCutOff(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"json", "inspect", "info"} {
		f := newFake(t)
		f.mu.Lock()
		f.cutOff = what
		f.mu.Unlock()
		fixture := fakeFixture(f)
		r := collectortest.Start(t, fixture, &collectortest.Stream{}, nil)
		id := fixture.Crash(t)
		if what != "inspect" {
			require.Eventually(t, func() bool { return r.Reporter.Last().Err != nil }, deadline, 5*time.Millisecond, what)
		}
		f.mu.Lock()
		f.cutOff = ""
		f.mu.Unlock()
		r.Connected()
		after := fixture.Crash(t)
		assert.Equal(t, "exit.error", r.Stopped(after).Data.Cause.Class, what)
		_ = id // whether it is told depends on when the first answer came
		r.Stop()
	}
}

// TestContainerThatCannotBeInspected holds up neither the others nor the snapshot.
func TestContainerThatCannotBeInspected(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ids := map[int]string{}
	for _, code := range []int{http.StatusNotFound, http.StatusConflict, http.StatusInternalServerError} {
		id := f.create(nil)
		ids[code] = id
		f.run(id)
		f.mu.Lock()
		f.refuse[id] = code
		f.mu.Unlock()
	}
	runs := f.create(nil)
	f.run(runs)
	f.forgetEvents()
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	assert.Equal(t, event.ObservedReconcile, r.Told(event.TaskStarted, runs).Data.Observed)
	for _, id := range ids {
		f.exit(id, 4)
		assert.Equal(t, int64(4), *r.Stopped(id).Data.Task.Containers[0].ExitCode, "the event tells")
	}
	assert.NoError(t, r.Reporter.Last().Err)
	assert.Equal(t, 1, f.streamsOpened())
}

// TestFailedRemovalIsNoFailedStart: the daemon notes it in the same place.
func TestFailedRemovalIsNoFailedStart(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	id := f.create(nil)
	f.run(id)
	r.Told(event.TaskStarted, id)
	f.quietly(func() {
		f.exit(id, 4)
		f.set(id, func(in *container.InspectResponse) {
			in.State.Dead, in.State.Status, in.State.Error = true, "dead", "unable to remove filesystem: directory not empty"
		})
		f.forgetEvents()
	})
	e := r.Stopped(id)
	assert.Equal(t, "exit.error", e.Data.Cause.Class)
	assert.Equal(t, int64(4), *e.Data.Task.Containers[0].ExitCode)
	assert.Len(t, r.Stream.Of(event.TaskStopped, id), 1)
}

// TestTenThousandDeadContainers: the first look asks for few of them, and holds up no event.
func TestTenThousandDeadContainers(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	old := time.Now().Add(-72 * time.Hour)
	for range 10_000 {
		f.create(nil, func(in *container.InspectResponse) {
			in.Created = old.Format(time.RFC3339Nano)
			in.State.StartedAt, in.State.FinishedAt = old.Format(time.RFC3339Nano), old.Add(time.Hour).Format(time.RFC3339Nano)
			in.State.Status, in.State.ExitCode = "exited", 1
		})
	}
	f.forgetEvents()
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	begun := time.Now()
	assert.Equal(t, event.ObservedStream, r.Stopped(fakeFixture(f).Crash(t)).Data.Observed)
	t.Logf("an end was told after %s", time.Since(begun).Round(time.Millisecond))
	assert.Equal(t, 10_000, r.Reporter.Last().Containers)
	f.mu.Lock()
	asked := f.calls["inspect"]
	f.mu.Unlock()
	assert.Less(t, asked, 2000)
	assert.Len(t, r.Stream.Events(), 3, "nothing of before is told")
}

// TestThousandIdleContainers: minute by minute a handful of questions, however many there are.
func TestThousandIdleContainers(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	old := time.Now().Add(-72 * time.Hour)
	for range 1000 {
		f.create(nil, func(in *container.InspectResponse) {
			in.Created, in.State.StartedAt = old.Format(time.RFC3339Nano), old.Format(time.RFC3339Nano)
			in.State.Status, in.State.Running = "running", true
		})
	}
	f.forgetEvents()
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	calls := func() map[string]int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return map[string]int{"json": f.calls["json"], "inspect": f.calls["inspect"], "events": f.calls["events"]}
	}
	require.Eventually(t, func() bool { return calls()["json"] >= 2 }, deadline, 5*time.Millisecond)
	begun := calls()
	require.Eventually(t, func() bool { return calls()["json"] >= begun["json"]+2 }, deadline, 5*time.Millisecond)
	end := calls()
	snapshots := end["json"] - begun["json"]
	assert.LessOrEqual(t, end["inspect"]-begun["inspect"], (snapshots+1)*(1000/120+1))
	assert.LessOrEqual(t, end["events"]-begun["events"], snapshots+1)
	t.Logf("%d snapshots: %v calls before, %v after", snapshots, begun, end)
	assert.Len(t, r.Stream.Of(event.TaskStarted, ""), 1000)
}

// TestListThatLags: what it says of a container that just ended is not believed.
func TestListThatLags(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mu.Lock()
	f.lagging = true
	f.mu.Unlock()
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	var ids []string
	f.quietly(func() {
		ids = append(ids, fakeFixture(f).Crash(t))
		f.forgetEvents()
	})
	assert.Equal(t, event.ObservedReconcile, r.Stopped(ids[0]).Data.Observed, "an inspect tells the truth")
	require.Never(t, func() bool { return len(r.Stream.Of(event.TaskStarted, ids[0])) > 1 }, 1200*time.Millisecond, 100*time.Millisecond)
}

// TestMonstrousContainer: a megabyte of labels, and control characters in whatever has a name.
func TestMonstrousContainer(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	labels := map[string]string{"evil\x1b[31m\x00label": "\x1b]0;pwned\x07", "com.docker.compose.project": "sh\x00op\n", "com.docker.compose.service": strings.Repeat("pay", 100)}
	for i := range 100 {
		labels[fmt.Sprintf("label.%d", i)] = strings.Repeat("x", 10_000)
	}
	id := f.create(labels, func(in *container.InspectResponse) {
		in.Name, in.Config.Image = "/web\x1b[2J\x07", "busy\x1b[31mbox\x00"
	})
	f.run(id)
	f.exit(id, 3)
	e := r.Stopped(id)
	schematest.Valid(t, e)
	text, err := event.Append(nil, &e)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(text), 64<<10)
	told, err := event.Decode(text)
	require.NoError(t, err)
	assert.Contains(t, told.Data.Truncated, "labels")
	for _, bad := range []string{"\x1b", "\x00", "\x07", `\u001b`, `\u0000`, `\u0007`} {
		assert.NotContains(t, string(text), bad)
	}
	assert.Equal(t, "exit.error", r.Stopped(fakeFixture(f).Crash(t)).Data.Cause.Class)
}

// TestClockOfTheDaemonIsSet back and forth while it is watched.
func TestClockOfTheDaemonIsSet(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		f := newFake(t)
		r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
		r.Stopped(fakeFixture(f).Crash(t))
		f.mu.Lock()
		f.ahead = by
		f.mu.Unlock()
		live := fakeFixture(f).Crash(t)
		assert.Equal(t, "exit.error", r.Stopped(live).Data.Cause.Class, by)
		f.cut()
		after := fakeFixture(f).Crash(t)
		e := r.Stopped(after)
		assert.Equal(t, event.ObservedStream, e.Data.Observed, by)
		assert.WithinDuration(t, time.Now().Add(by), e.Time, time.Minute, "the daemon's time is told as it is")
		r.Stop()
		again := collectortest.Start(t, fakeFixture(f), r.Stream, r.Cursors).Connected()
		last := fakeFixture(f).Crash(t)
		assert.Equal(t, "exit.error", again.Stopped(last).Data.Cause.Class, by)
		for _, id := range []string{live, after, last} {
			assert.Len(t, r.Stream.Of(event.TaskStopped, id), 1, by)
		}
		again.Stop()
	}
}

// TestPodman: it gets no list of actions, has its own words for them, and its log is a file.
func TestPodman(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.mu.Lock()
	f.podman = true
	f.mu.Unlock()
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	id := f.create(nil)
	f.run(id)
	f.set(id, func(in *container.InspectResponse) {
		in.State.Running, in.State.Status, in.State.ExitCode, in.State.FinishedAt = false, "exited", 3, time.Now().Format(time.RFC3339Nano)
	})
	f.emit(id, "died")
	f.emit(id, "cleanup")
	e := r.Stopped(id)
	assert.Equal(t, event.ObservedStream, e.Data.Observed)
	assert.Equal(t, int64(3), *e.Data.Task.Containers[0].ExitCode)
	assert.Contains(t, r.Reporter.Last().Version, "(Podman, best effort)")
	f.emit(id, "remove")
	r.Told(event.TaskRemoved, id)
}

// TestClonedEngines: copies of one disk image have one engine id; two collectors of one daemon agree.
func TestClonedEngines(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	fixture := fakeFixture(f)
	one := collectortest.Start(t, fixture, &collectortest.Stream{}, nil).Connected()
	same := collectortest.Start(t, fakeFixtureOf(f, "another-node"), &collectortest.Stream{}, nil).Connected()
	f.mu.Lock()
	f.name = "host-2"
	f.mu.Unlock()
	clone := collectortest.Start(t, fixture, &collectortest.Stream{}, nil).Connected()
	id := fixture.Crash(t)
	assert.Equal(t, one.Stopped(id).ID, same.Stopped(id).ID)
	assert.NotEqual(t, one.Stopped(id).ID, clone.Stopped(id).ID)
}
