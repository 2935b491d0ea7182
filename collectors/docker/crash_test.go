package docker

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/events"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// world is a recording with the daemon that a collector would have asked meanwhile.
type world struct {
	messages []events.Message
	after    []map[string]facts // what an inspect told once so many messages were sent
}

func worldOf(tb testing.TB, file string) *world {
	tb.Helper()
	text, err := os.ReadFile(file)
	require.NoError(tb, err)
	w := &world{after: []map[string]facts{{}}}
	for line := range strings.Lines(string(text)) {
		var m events.Message
		require.NoError(tb, decodeMessage([]byte(line), &m))
		w.messages = append(w.messages, m)
		w.after = append(w.after, next(w.after[len(w.after)-1], &m))
	}
	return w
}

// next is what inspects tell after an event.
func next(before map[string]facts, m *events.Message) map[string]facts {
	if m.Type != events.ContainerEventType {
		return before
	}
	now, id := maps.Clone(before), m.Actor.ID
	f := now[id]
	f.id, f.at, f.name, f.image, f.policy = id, m.TimeNano, m.Actor.Attributes["name"], m.Actor.Attributes["image"], "no"
	switch actionOf(m.Action) {
	case "create":
		f.created, f.status = m.TimeNano, "created"
	case "start":
		f.started, f.running, f.status, f.code, f.oom = m.TimeNano-5e6, true, "running", 0, false
	case "oom":
		f.oom = true
	case "die":
		f.running, f.status, f.finished = false, "exited", m.TimeNano-30e6
		_, _ = fmt.Sscan(m.Actor.Attributes["exitCode"], &f.code)
	case "destroy":
		delete(now, id)
		return now
	}
	now[id] = f
	return now
}

// ask is the answer to an inspect for message i that the daemon gave lag messages later.
func (w *world) ask(i, lag int) *facts {
	f, ok := w.after[min(i+1+lag, len(w.messages))][w.messages[i].Actor.ID]
	if !ok {
		return nil
	}
	return &f
}

const never = 1 << 20 // messages later: after the end of every recording

// life is one life of a collector: a machine, what it published, and what it would save. It does what a
// shard and the ledger do.
type life struct {
	w    *world
	m    *machine
	lag  int
	told []event.Event

	open   []*entry
	cursor int64
	memory map[string]memory
	gone   map[string]int64
	saves  []save
}

// save is what a crash at this moment leaves behind.
type save struct {
	cursor int64
	memory string
	gone   map[string]int64
	told   int // events that were published by then
}

func (w *world) live(s save, lag int) *life {
	m := newMachine(origin{"site", "node", "engine"}, cause.Docker(), s.cursor)
	l := &life{w: w, m: m, lag: lag, cursor: s.cursor, memory: map[string]memory{}, gone: map[string]int64{}}
	if s.memory != "" {
		if err := json.Unmarshal([]byte(s.memory), &l.memory); err != nil {
			panic(err)
		}
	}
	for id, kept := range l.memory {
		m.tasks[id] = &task{id: id, memory: kept}
	}
	maps.Copy(m.gone, s.gone)
	maps.Copy(l.gone, s.gone)
	return l
}

// run reads the stream from where a collector with this cursor begins.
func (l *life) run() *life {
	order := make([]int, len(l.w.messages))
	for i := range order {
		order[i] = i
	}
	return l.read(order)
}

func (l *life) read(order []int) *life {
	for _, i := range order {
		m := &l.w.messages[i]
		if m.TimeNano < l.cursor-overlap && l.cursor > 0 || !transition(m) {
			continue
		}
		l.publish(l.m.due(m.TimeNano))
		e := &entry{at: m.TimeNano}
		l.open = append(l.open, e)
		l.event(i, m, func() { l.done(e) })
	}
	l.publish(l.m.due(maxTime))
	return l
}

func (l *life) event(i int, m *events.Message, done func()) {
	in := input{msg: m, now: m.TimeNano, done: done}
	t := l.m.tasks[m.Actor.ID]
	switch action := actionOf(m.Action); {
	case action == "die" && (t == nil || t.needsInspect(m)), action == "start", action == "update":
		in.facts = l.w.ask(i, l.lag)
	}
	step := l.m.event(in)
	outs := step.outs
	if last := len(outs) - 1; last >= 0 && outs[last].event.Type == event.TaskStarted {
		l.m.tasks[m.Actor.ID].Untold = true
		l.publish(outs[:last])
		l.memory[m.Actor.ID] = l.m.tasks[m.Actor.ID].remembered()
		l.save()
		outs = outs[last:]
	}
	l.publish(outs)
	l.keep(m.Actor.ID)
	if !step.held {
		done()
	}
	l.save()
}

func (l *life) publish(outs []out) {
	for _, o := range outs {
		l.told = append(l.told, o.event)
		id := o.event.Data.Task.ID
		if t := l.m.tasks[id]; t != nil && o.event.Type == event.TaskStarted {
			t.Untold = false
		}
		l.save()
	}
	for _, o := range outs {
		l.keep(o.event.Data.Task.ID)
		l.save()
	}
	for _, o := range outs {
		if o.done != nil {
			o.done()
		}
		l.save()
	}
}

func (l *life) keep(id string) {
	switch t := l.m.tasks[id]; {
	case t == nil:
		delete(l.memory, id)
		l.gone[id] = l.m.gone[id]
	case t.pending == nil:
		l.memory[id] = t.remembered()
	}
}

func (l *life) done(e *entry) {
	e.done = true
	for len(l.open) > 0 && l.open[0].done {
		l.cursor = max(l.cursor, l.open[0].at)
		l.open = l.open[1:]
	}
}

func (l *life) save() {
	text, err := json.Marshal(l.memory)
	if err != nil {
		panic(err)
	}
	l.saves = append(l.saves, save{l.cursor, string(text), maps.Clone(l.gone), len(l.told)})
}

// counted returns the id of every occurrence that was told, amendments left out. It fails if one has two.
func counted(t *testing.T, all []event.Event) map[string]string {
	t.Helper()
	ids := map[string]string{}
	for _, e := range all {
		if e.Data.Supersedes != "" {
			continue
		}
		what := fmt.Sprintf("%s of %.12s at %d", e.Type.Event(), e.Data.Task.ID, e.Time.UnixNano())
		if e.Data.Native != nil {
			what = fmt.Sprintf("%s of %.12s by the event of %s", e.Type.Event(), e.Data.Task.ID, e.Data.Native.TimeNano)
		}
		if id, again := ids[what]; again {
			require.Equal(t, id, e.ID, "%s has two ids", what)
		}
		ids[what] = e.ID
	}
	return ids
}

func eachRecording(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.jsonl")
	require.NoError(t, err)
	require.Greater(t, len(files), 30)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			test(t, worldOf(t, file))
		})
	}
}

// A collector that is killed at any moment, and finds no more than what it had saved by then, tells the
// rest: nothing is lost, and what is told again has the same id.
func TestCrashAtEveryMomentOfEveryRecording(t *testing.T) {
	t.Parallel()
	eachRecording(t, func(t *testing.T, w *world) {
		whole := w.live(save{}, 0).run()
		want := counted(t, whole.told)
		for _, lag := range []int{0, never} {
			for n, s := range whole.saves {
				before := whole.told[:s.told]
				again := w.live(s, lag).run()
				told := counted(t, append(slices.Clip(before), again.told...))
				for what, id := range told {
					require.Contains(t, want, what, "lag %d, crash %d", lag, n)
					if lag == 0 {
						require.Equal(t, want[what], id, "crash %d: %s", n, what)
					}
				}
				for what := range want {
					_, got := told[what]
					require.True(t, got, "lag %d, crash %d: %s is lost", lag, n, what)
				}
			}
		}
	})
}

// disorder returns the messages as a stream may also bring them: a stop or an out-of-memory kill on the
// other side of its end, and parts of the log again, as after a reconnect.
func disorder(r *rand.Rand, w *world) []int {
	var order []int
	for i := range w.messages {
		order = append(order, i)
		last := len(order) - 1
		if last == 0 || r.IntN(2) == 0 {
			continue
		}
		a, b := &w.messages[order[last-1]], &w.messages[order[last]]
		if pair := string(a.Action) + " " + string(b.Action); a.Actor.ID == b.Actor.ID && (pair == "die stop" || pair == "stop die" || pair == "oom die" || pair == "die oom") {
			order[last-1], order[last] = order[last], order[last-1]
		}
	}
	for range r.IntN(3) {
		to := r.IntN(len(order) + 1)
		from := max(0, to-r.IntN(20))
		order = slices.Insert(order, to, order[from:to]...)
	}
	return order
}

// However the stream brings it, each run has one first stop, every occurrence one id, and no end an exit
// code that is not its own; and if inspects keep up, the ids are those of the stream in order.
func TestDisorderTellsTheSame(t *testing.T) {
	t.Parallel()
	eachRecording(t, func(t *testing.T, w *world) {
		want := counted(t, w.live(save{}, 0).run().told)
		codes := map[string]string{}
		for _, m := range w.messages {
			if m.Action == events.ActionDie {
				codes[decimal(m.TimeNano)] = m.Actor.Attributes["exitCode"]
			}
		}
		r := rand.New(rand.NewPCG(7, uint64(len(w.messages))))
		for round := range 60 {
			order, lag := disorder(r, w), []int{0, 1, 3, never}[round%4]
			l := w.live(save{}, lag)
			l.read(order)
			told := counted(t, l.told)
			first := map[string]string{}
			for _, e := range l.told {
				if e.Type != event.TaskStopped || e.Data.Supersedes != "" {
					continue
				}
				run := e.Data.Task.ID + " " + e.Data.Task.Run
				require.Contains(t, []string{"", e.ID}, first[run], "round %d: two stops of one run", round)
				first[run] = e.ID
				if code := e.Data.Task.Containers[0].ExitCode; code != nil && e.Data.Native != nil {
					require.Equal(t, codes[e.Data.Native.TimeNano], decimal(*code), "round %d", round)
				}
			}
			for what, id := range want {
				require.Contains(t, told, what, "round %d %v", round, order)
				if lag == 0 {
					require.Equal(t, id, told[what], "round %d: %s", round, what)
				}
			}
		}
	})
}
