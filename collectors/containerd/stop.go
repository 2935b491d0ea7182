package containerd

import (
	"cmp"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// stop is the end of one run.
type stop struct {
	at      int64 // exitedAt, or when it was missed, ns
	code    *int64
	key     string // identity
	seen    event.Observed
	native  *event.Native
	line    int
	failed  bool   // no process ever ran
	failure string // in the runtime's words
	witness witness
	oomFlag bool // as another runtime on top of containerd says

	unseen    bool // no event told of it
	restarted bool // another run had begun by then
	down      bool // containerd was down when it ended
	reboot    bool // the host was booted since

	deadline int64 // when it is told even without more evidence, ns

	first, class string // id of the event and class of the cause that were told
	expected     bool   // what that cause said
}

// How long after an end, in ns, other events still belong to it.
const (
	lateOOM = int64(5 * time.Second)
	late    = int64(30 * time.Second)
)

// hold says how long the end waits for evidence that may still come: the out-of-memory event may come
// after the end. Who has counted need not wait.
func hold(t *task, s *stop) time.Duration {
	if s.code != nil && *s.code == 137 && !t.OOM && !s.oomFlag && !s.witness.counted && !t.onPurpose(s.at) {
		return 250 * time.Millisecond
	}
	return 0
}

// onPurpose reports that whoever asked this run to stop has marked it, and that it ended within the time
// that it is given. nerdctl makes the same mark for every signal, also for one that ends nothing.
func (t *task) onPurpose(at int64) bool {
	return t.Purpose && !t.Stale && (t.Marked == 0 || at-t.Marked <= cmp.Or(t.grace, graceOf(nil)))
}

// ended returns the end of the last run while evidence may still change it.
func (t *task) ended() *stop {
	if t.pending != nil {
		return t.pending
	}
	return t.told
}

// deleted is the second chance for an end whose event was lost.
func (m *machine) deleted(t *task, in input, s *step) {
	m.exited(t, in, s)
	if len(s.outs) == 0 && !s.held {
		s.ignored = "the end of this run is known"
	}
}

func (m *machine) exited(t *task, in input, s *step) {
	run := m.runOf(in)
	switch {
	case t.Run == run && t.Exited:
		s.ignored = "the end of this run is known"
		return
	case t.Run != run && t.Run != "" && in.exited != 0 && in.exited < max(t.Started, t.Ended, t.Before):
		s.ignored = "older than the run that is known"
		return
	case t.Run != run && t.prepared == in.pid && in.pid != 0:
		s.outs = append(s.outs, m.settle(t)...)
		m.neverStarted(t, in, s)
		return
	case t.Run != run:
		s.outs = append(s.outs, m.lostStart(t, in, run)...)
	}
	end := &stop{
		at: cmp.Or(in.exited, in.at), seen: m.seen, line: in.line, native: nativeOf(in.record), witness: in.witness, code: &in.code,
	}
	end.key = decimal(end.at)
	if in.pod != nil {
		end.oomFlag, end.failure = in.pod.oom, in.pod.failure
	}
	m.end(t, end, in.now)
	if s.held = t.pending != nil; !s.held {
		s.outs = append(s.outs, m.tell(t, end))
	}
}

// lostStart begins a run whose end was seen, and tells its start if its container is known.
func (m *machine) lostStart(t *task, in input, run string) []out {
	outs := m.settle(t)
	if t.running() {
		outs = append(outs, m.lose(t, in.at, true)...)
	}
	known, oom := t.State != "" || t.asked, t.OOM && t.Run == ""
	t.begin(run, 0)
	t.OOM = oom
	if !known {
		return outs
	}
	e := m.make(t, event.TaskStarted, run, cmp.Or(in.exited, in.at), event.ObservedReconcile)
	finish(&e, t.title()+" started")
	return append(outs, out{event: e, key: t.key(), line: in.line})
}

// neverStarted tells a task that was created and ended before it was started.
func (m *machine) neverStarted(t *task, in input, s *step) {
	t.prepared = 0
	end := &stop{
		at: cmp.Or(in.exited, in.at), seen: m.seen, line: in.line, native: nativeOf(in.record), code: &in.code, failed: true,
		failure: "its process ended before it was started",
	}
	end.key = "failed " + decimal(end.at)
	run, exited, told, started := t.Run, t.Exited, t.told, t.Started
	t.Run, t.Started = "", 0
	s.outs = append(s.outs, m.tell(t, end))
	t.Run, t.Exited, t.told, t.Started = run, exited, told, started
	t.State = event.StateStopped
}

// end ends the run; the stop is pending if it is worth waiting for more evidence.
func (m *machine) end(t *task, end *stop, now int64) {
	t.Exited, t.State, t.told, t.missing = true, event.StateStopped, nil, 0
	t.Ended = end.at
	if wait := m.holds(t, end); wait > 0 {
		end.deadline = now + int64(wait)
		t.pending = end
		m.held[t.key()] = t
	}
}

// lose tells the end of a run of which nothing is left but its absence.
func (m *machine) lose(t *task, at int64, restarted bool) []out {
	end := &stop{at: at, unseen: true, restarted: restarted, key: "lost " + t.Run, seen: event.ObservedReconcile}
	return []out{m.loseAs(t, end)}
}

func (m *machine) loseAs(t *task, end *stop) out {
	end.reboot = m.boot != "" && t.Run != "" && !m.booted(t.Run)
	t.Exited, t.State, t.Ended, t.missing = true, event.StateStopped, end.at, 0
	return m.tell(t, end)
}

// tell returns the event of an end.
func (m *machine) tell(t *task, end *stop) out {
	c, near := m.classify(t, end)
	e := m.stopEvent(t, end, c)
	t.pending, t.told = nil, end
	delete(m.held, t.key())
	end.first, end.class, end.expected = e.ID, c.Class, c.Expected
	o := out{event: e, key: t.key(), line: end.line, near: near}
	if !c.Expected && !end.failed {
		o.tail = tailOf(t, end)
	}
	return o
}

func (m *machine) classify(t *task, end *stop) (c event.Cause, near []cause.Near) {
	e := m.evidence(t, end)
	if m.near {
		c, near = m.table.Explain(e)
	} else {
		c = m.table.Classify(e)
	}
	if note := end.witness.note(); note != "" && c.Class == "exit.sigkill" {
		c.Evidence = append(c.Evidence, note)
	}
	if end.restarted && !restarts(t.Policy) {
		c.Evidence = append(c.Evidence, "another run had been started by then")
	}
	return c, near
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
	if end == nil || in.at-end.at > late {
		return nil
	}
	c, near := m.classify(t, end)
	if c.Class == end.class && c.Expected == end.expected {
		return nil
	}
	end.class, end.expected = c.Class, c.Expected
	e := m.stopEvent(t, end, c)
	e.ID, e.Data.Supersedes = event.NewID(end.first, c.Class), end.first
	o := out{event: e, key: t.key(), line: in.line, near: near}
	if !c.Expected && !end.failed {
		o.tail = tailOf(t, end)
	}
	return []out{o}
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
