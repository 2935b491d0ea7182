package docker

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// stop is the end of one run.
type stop struct {
	at       int64 // ns of the die event, or of FinishedAt
	code     *int64
	codeFrom string
	oomFlag  bool
	removed  bool
	lost     lost
	failed   bool   // no process ever ran
	failure  string // State.Error
	key      string // identity; the run, except for failed starts
	seen     event.Observed
	native   *event.Native
	line     int
	done     func()

	again again // what the restart policy makes of it

	deadline int64 // when it is told even without more evidence, ns of the daemon's clock

	first, class string // id of the event and class of the cause that were told
	expected     bool   // what that cause said
}

// lost says what is left of a run whose end nobody saw.
type lost struct{ unseen, restarted, policy, removed bool }

// How long after an end, in ns, other events still belong to it.
const (
	lateOOM = int64(5 * time.Second)
	soon    = int64(2 * time.Second)
	late    = int64(30 * time.Second)
)

// hold says how long the end waits for evidence that may still come. It waits only where the next event
// may turn an alert into none or give it another cause; what comes later amends the end.
func hold(t *task, s *stop) time.Duration {
	near := false
	for _, k := range t.Kills {
		near = near || s.at-k.At.UnixNano() < int64(10*time.Second)
	}
	switch {
	case t.Stop:
		return 0
	case len(t.Kills) == 0 && s.code != nil && *s.code == 137 && !t.OOM && !s.oomFlag:
		return 250 * time.Millisecond // the out-of-memory event may come after the end
	case len(t.Kills) > 0 && !near:
		return time.Second // only a stop event tells a long grace from a signal that was ignored
	}
	return 0
}

// ended returns the end of the last run while evidence may still change it.
func (t *task) ended() *stop { return cmp.Or(t.pending, t.told) }

func (m *machine) died(t *task, in input, s *step) {
	at, f := in.msg.TimeNano, in.facts
	if at < t.since() {
		s.ignored = "older than the run that is known"
		return
	}
	if t.Run != "" && t.Exited {
		if f == nil || t.Started == 0 || f.started <= t.Started || f.started > at {
			s.ignored = "the end of this run is known"
			return
		}
		s.outs = append(s.outs, m.settle(t)...) // the stream lost its start
		unseen := m.unseen(t, f)
		t.begin(decimal(f.started), f.started, 0)
		s.outs = append(s.outs, m.begunUnseen(t, unseen))
	}
	end := &stop{at: at, seen: m.seen, line: in.line, done: in.done, native: &event.Native{Action: "die", TimeNano: decimal(at)}}
	if f != nil && f.started > 0 && f.started <= at && (t.Run == "" || t.Started == 0 && (t.Start == 0 || f.started <= t.Start)) {
		unseen, known := m.unseen(t, f), t.Run != ""
		t.Started = f.started
		t.Run = cmp.Or(t.Run, decimal(f.started))
		if !known && f.started >= m.from {
			s.outs = append(s.outs, m.begunUnseen(t, unseen))
		}
	}
	t.Run = cmp.Or(t.Run, "t"+decimal(at))
	m.readCode(t, in, end)
	m.end(t, end, in.now)
	s.held = t.pending != nil
	if !s.held {
		s.outs = append(s.outs, m.tell(t, end))
	}
}

// needsInspect reports whether the daemon must be asked about an end: the event tells enough if the run
// is known, no label can have forged its exit code, and no out-of-memory kill can have gone unseen. An
// inspect would wait until the daemon has taken down the network.
func (t *task) needsInspect(m *events.Message) bool {
	code, ok, sure := t.attribute(m, "exitCode")
	return !ok || !sure || !t.inspected || t.Started == 0 || t.Exited || code == "137" && len(t.Kills) == 0 && !t.OOM
}

// readCode finds the exit code: the daemon's record if it is still of this run, else the event's
// attribute unless a label may have forged it, else none.
func (m *machine) readCode(t *task, in input, end *stop) {
	if f := in.facts; f != nil {
		if f.started == t.Started {
			t.Restarts = max(t.Restarts, f.made())
		}
		if f.stopped() && f.started == t.Started && f.started > 0 && f.failure == "" {
			end.code, end.oomFlag = &f.code, f.oom
			return
		}
	}
	value, ok, sure := t.attribute(in.msg, "exitCode")
	if code, err := strconv.ParseInt(value, 10, 64); ok && err == nil {
		end.code, end.codeFrom = &code, "the event"
		if sure {
			end.codeFrom = ""
		}
	}
}

// end ends the run; the stop is pending if it is worth waiting for more evidence.
func (m *machine) end(t *task, end *stop, now int64) {
	t.Exited, t.State, t.told = true, event.StateStopped, nil
	t.Ended = end.at
	end.key, end.again = cmp.Or(end.key, t.Run), t.again(end)
	if wait := m.holds(t, end); wait > 0 {
		end.deadline = now + int64(wait)
		t.pending = end
		m.held[t.id] = t
	}
}

// tell returns the event of an end.
func (m *machine) tell(t *task, end *stop) out {
	c, near := m.classify(t, end)
	e := m.stopEvent(t, end, c)
	t.pending, t.told = nil, end
	delete(m.held, t.id)
	end.first, end.class, end.expected = e.ID, c.Class, c.Expected
	o := out{event: e, near: near, line: end.line, done: end.done}
	if !c.Expected && !end.failed {
		o.tail = tailOf(t)
	}
	return o
}

// settle tells a pending end now.
func (m *machine) settle(t *task) []out {
	if t.pending == nil {
		return nil
	}
	return []out{m.tell(t, t.pending)}
}

// better uses evidence that came after the end: it settles a pending one, and amends one that was told
// if that changes its class or what is wanted.
func (m *machine) better(t *task, in input) []out {
	if t.pending != nil {
		return m.settle(t)
	}
	end := t.told
	if end == nil || in.now-end.at > late && in.msg.TimeNano-end.at > late {
		return nil
	}
	return m.amend(t, end, in.line)
}

func (m *machine) amend(t *task, end *stop, line int) []out {
	c, near := m.classify(t, end)
	if c.Class == end.class && c.Expected == end.expected {
		return nil
	}
	end.class, end.expected = c.Class, c.Expected
	e := m.stopEvent(t, end, c)
	e.ID, e.Data.Supersedes = event.NewID(end.first, c.Class), end.first
	o := out{event: e, near: near, line: line}
	if !c.Expected && !end.failed {
		o.tail = tailOf(t)
	}
	return []out{o}
}

// lose tells the end of a run that nobody saw.
func (m *machine) lose(t *task, at int64, how lost) []out {
	how.unseen = true
	end := &stop{at: at, lost: how, removed: how.removed, seen: event.ObservedReconcile, key: t.Run}
	t.Exited, t.State = true, event.StateStopped
	return []out{m.tell(t, end)}
}

// classify returns the cause of an end and, if somebody reads them, the rows that nearly gave another.
func (m *machine) classify(t *task, end *stop) (event.Cause, []cause.Near) {
	e := m.evidence(t, end)
	if !m.near {
		return m.table.Classify(e), nil
	}
	c, near := m.table.Explain(e)
	if e.Shutdown && m.guess {
		c.Confidence = event.Guess
	}
	return c, near
}

func (m *machine) evidence(t *task, end *stop) cause.Evidence {
	e := cause.Evidence{
		Task: t.identity(), ExitCode: end.code, CodeFrom: end.codeFrom, OOMFlag: end.oomFlag, OOMEvent: t.OOM, Kills: killsOf(t, end), StopSignal: t.stopSignal,
		StopEvent: t.Stop, NoKillRecord: t.podman && len(t.Kills) == 0, StoppedAt: utc(end.at), Removed: end.removed, AutoRemove: t.Auto,
		StartFailed: end.failed, StateError: end.failure, Unhealthy: t.Health == "unhealthy", ProbeEvery: t.probeEvery,
		RestartPolicy: t.Policy, Restarts: t.Restarts, Service: isService(t), OwnAction: m.acting != nil && !end.failed && m.acting(t.id, t.Run),
		Shutdown: t.shutdown, Together: t.together,
		Unseen: end.lost.unseen, Restarted: end.lost.restarted, PolicyRestarted: end.lost.policy,
	}
	if m.peers != nil && !end.failed {
		e.ReplacedBy, e.Replaced = m.peers.replacement(t, end)
		e.ScaledIn = !e.Replaced && m.peers.scaledIn(t, end)
		e.Shutdown = e.Shutdown || m.peers.swept(t)
		e.RuntimeDown = end.lost.unseen && m.peers.wasDown(end.at)
	}
	if end.failed {
		e.OOMFlag, e.OOMEvent, e.Kills, e.StopEvent, e.Unhealthy = false, false, nil, false, false
		return e
	}
	if e.PolicyGaveUp = end.again.gaveUp; end.again.starts {
		e.NextRestart = time.Duration(end.again.delay)
	}
	if since := t.since(); since > 0 && !end.lost.unseen && end.at > since {
		e.Ran = time.Duration(end.at - since)
	}
	if e.Unhealthy && t.Sick > 0 {
		until := end.at
		if len(t.Kills) > 0 {
			until = t.Kills[0].At.UnixNano()
		}
		e.UnhealthyFor = time.Duration(max(until-t.Sick, 0))
	}
	return e
}

// killsOf returns the signals of the run. One that the daemon does not name, or a label forges, was the one
// that the exit code stands for, if that came soon after.
func killsOf(t *task, end *stop) []cause.Kill {
	kills := t.Kills
	for i, k := range kills {
		if k.Signal != 0 || end.code == nil || *end.code <= 128 || end.at-k.At.UnixNano() > int64(10*time.Second) {
			continue
		}
		kills = slices.Clone(kills)
		kills[i].Signal = int(*end.code - 128)
	}
	return kills
}

func (m *machine) stopEvent(t *task, end *stop, c event.Cause) event.Event {
	e := m.make(t, event.TaskStopped, end.key, end.at, end.seen)
	e.Data.Cause, e.Data.Native = &c, end.native
	e.Data.Task.State = event.StateStopped
	e.Data.Task.PreviousState = event.StateRunning
	e.Data.Task.Times.Stopped = utc(end.at)
	if len(t.Kills) > 0 && !end.failed {
		e.Data.Task.PreviousState = event.StateStopping
		e.Data.Task.Times.Stopping = t.Kills[0].At
	}
	if end.failed {
		e.Data.Task.PreviousState = event.StateCreated
	}
	only := &e.Data.Task.Containers[0]
	only.ExitCode, only.OOMKilled, only.Reason = end.code, !end.failed && (end.oomFlag || t.OOM), end.failure
	if end.code != nil && !end.failed {
		only.Signal = cause.SignalOf(*end.code)
	}
	if only.Health == "unhealthy" {
		t.probed.tell(only)
	}
	if end.again.starts && end.again.delay > 0 {
		e.Data.Task.NextStart = utc(end.at + end.again.delay)
	}
	finish(&e, cause.Sentence(t.title(), c)+end.again.say(t.Policy))
	return e
}

// due tells the ends whose time to wait is over.
func (m *machine) due(now int64) []out {
	var outs []out
	for _, t := range m.held {
		if t.pending.deadline <= now {
			outs = append(outs, m.settle(t)...)
		}
	}
	return outs
}

// next returns when due has something to do, ns, 0 for never.
func (m *machine) next() int64 {
	var next int64
	for _, t := range m.held {
		if next == 0 || t.pending.deadline < next {
			next = t.pending.deadline
		}
	}
	return next
}
