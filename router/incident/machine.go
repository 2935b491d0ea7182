package incident

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Machine holds all records and decides. It has no clock: every call brings the time, which never goes back.
// It is not safe for concurrent use.
type Machine struct {
	cfg  Config
	site string
	now  time.Time
	// seq is that of the event at hand.
	seq     uint64
	records map[string]*record
	dirty   map[string]*record
	queue   queue
	// hosts are the records of hosts with an open incident.
	hosts map[string]*record
	// names are the records of workloads by name, as expect asks for them.
	names   map[string][]*record
	expects []*expectation
	// opened counts the open incidents.
	opened int
	// escalations are after how long an open incident is told to the next in line, shortest first.
	escalations []time.Duration
	silenced    Silenced
}

// Silenced returns the id of the silence that holds an event's notices back at a time, and until when at most, or "".
type Silenced func(e *event.Event, at time.Time) (id string, until time.Time)

// Silence sets what holds notices back; nil is nothing.
func (m *Machine) Silence(by Silenced) { m.silenced = by }

// Recheck looks at once whether what is silenced still is: the silences have changed.
func (m *Machine) Recheck() {
	for _, r := range m.records {
		if i := r.open(); i != nil && i.Silenced != "" {
			i.Look = m.now
			m.schedule(r)
		}
	}
}

// NewMachine returns a machine without records. The site is that of what is expected and was never seen.
func NewMachine(cfg Config, site string, escalations []time.Duration) *Machine {
	m := &Machine{
		cfg: cfg, site: site, records: map[string]*record{}, dirty: map[string]*record{}, hosts: map[string]*record{},
		names: map[string][]*record{}, escalations: escalations,
	}
	for _, x := range cfg.Expect {
		m.expects = append(m.expects, &expectation{Expect: x})
	}
	return m
}

// Apply takes one event that the stream stored at the sequence and time. What is due before is done first.
func (m *Machine) Apply(e *event.Event, seq uint64, at time.Time) {
	m.Tick(at)
	m.seq = seq
	switch e.Type.Kind() {
	case "task":
		if e.Data.Task != nil {
			m.task(e)
		}
	case "service", "deployment":
		m.platform(e)
	case "node":
		m.node(e)
	case "collector":
		m.collector(e)
	case "action":
		m.action(e)
	}
}

// Tick does what is due at the time.
func (m *Machine) Tick(at time.Time) {
	if at.After(m.now) {
		if m.now.IsZero() {
			m.now = at
		}
		m.fire(at)
		m.now = at
		m.expect()
	}
}

// fire takes the deadlines up to the time, each at its own.
func (m *Machine) fire(until time.Time) {
	for len(m.queue) > 0 && !m.queue[0].at.After(until) {
		next, _ := heap.Pop(&m.queue).(deadline)
		r := m.records[next.key]
		if r == nil || !r.due.Equal(next.at) {
			continue // it was moved
		}
		m.now = later(m.now, next.at)
		r.due = time.Time{}
		m.overdue(r)
		m.touch(r)
	}
}

// record returns the record of a place, a new one if there is none.
func (m *Machine) record(p place) *record {
	key := p.key()
	r := m.records[key]
	if r == nil {
		r = &record{Place: p, key: key}
		m.add(r)
	}
	return r
}

// add takes a record, in place of one of the same key.
func (m *Machine) add(r *record) {
	m.drop(r.key)
	m.records[r.key] = r
	if r.open() != nil {
		m.opened++
	}
	if name := r.Place.Workload; name != "" {
		m.names[name] = append(m.names[name], r)
	} else if r.open() != nil {
		m.hosts[r.key] = r
	}
	m.schedule(r)
}

// drop forgets a record.
func (m *Machine) drop(key string) {
	old := m.records[key]
	if old == nil {
		return
	}
	delete(m.records, key)
	delete(m.dirty, key)
	delete(m.hosts, key)
	if old.open() != nil {
		m.opened--
	}
	if name := old.Place.Workload; name != "" {
		m.names[name] = without(m.names[name], old)
		if len(m.names[name]) == 0 {
			delete(m.names, name)
		}
	}
}

// touch notes that a record has changed and when it is due next.
func (m *Machine) touch(r *record) {
	r.dirty = true
	m.dirty[r.key] = r
	if r.Place.Workload == "" {
		if r.open() != nil {
			m.hosts[r.key] = r
		} else {
			delete(m.hosts, r.key)
		}
	}
	m.schedule(r)
}

func (m *Machine) schedule(r *record) {
	due := m.next(r)
	if due.IsZero() || due.Equal(r.due) {
		r.due = due
		return
	}
	r.due = due
	heap.Push(&m.queue, deadline{due, r.key})
}

// deadline is when a record wants to be looked at.
type deadline struct {
	at  time.Time
	key string
}

// queue is a heap of deadlines; those of records that were moved meanwhile are left in it until they are due.
type queue []deadline

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push is for package heap.
func (q *queue) Push(x any) {
	if d, ok := x.(deadline); ok {
		*q = append(*q, d)
	}
}

// Pop is for package heap.
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earliest returns the first of the times that are set.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func without(list []*record, r *record) []*record {
	kept := list[:0]
	for _, other := range list {
		if other != r {
			kept = append(kept, other)
		}
	}
	return kept
}

// nodeOf is the host that a task is on, as its platform names it.
func nodeOf(d *event.Data) string {
	if d.Task != nil && d.Runtime == event.ECS {
		return cmp.Or(d.Task.Placement.Instance, d.Node)
	}
	return d.Node
}
