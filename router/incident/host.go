package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// host is the record of a host.
func (m *Machine) host(site, node string) *record {
	return m.record(place{Site: site, Node: node})
}

// collector takes what a collector tells of itself.
func (m *Machine) collector(e *event.Event) {
	c := e.Data.Collector
	if c == nil || e.Type == event.CollectorConflict {
		return
	}
	r := m.host(e.Data.Site, e.Data.Node)
	if !r.take(m.seq, m.now) {
		return
	}
	if r.Watches == nil {
		r.Watches = map[string]watch{}
	}
	w := r.Watches[c.Name]
	w.Runtime, w.Engine, w.Seen = e.Data.Runtime, c.Engine, m.now
	switch e.Type {
	case event.CollectorStarted, event.CollectorHeartbeat:
		w.Left, w.Blind = false, time.Time{}
	case event.CollectorStopped:
		w.Left, w.Blind = true, time.Time{}
	case event.CollectorGap:
		m.gap(r, &w, e)
	}
	r.Watches[c.Name] = w
	m.heard(r)
	m.touch(r)
}

// gap takes a gap: open while its end is not told.
func (m *Machine) gap(r *record, w *watch, e *event.Event) {
	c := e.Data.Collector
	if c.To.IsZero() {
		w.Blind = m.now
		return
	}
	w.Blind = time.Time{}
	if r.open() != nil || m.cfg.Gap <= 0 || c.From.IsZero() || c.To.Sub(c.From) < m.cfg.Gap {
		return
	}
	b := *e
	b.Data.Message = fmt.Sprintf("collector %s on %s was blind for %s", c.Name, r.Place.Node, duration(c.To.Sub(c.From)))
	m.openAt(r, &b, opening{reason: "blind", family: "gap", at: c.From})
	m.resolve(r, "returned", c.To, "it sees again; "+plural(c.Reconciled, "change")+" found afterwards")
}

// heard ends the incident of a host of which all collectors are heard and see again.
func (m *Machine) heard(r *record) {
	i := r.open()
	if i == nil || i.Family != "collector" && i.Family != "gap" {
		return
	}
	for _, w := range r.Watches {
		if !w.Left && (m.quiet(w) || !w.Blind.IsZero()) {
			return
		}
	}
	m.resolve(r, "returned", m.now, "the collector is heard again")
}

// quiet says that a collector was not heard of for too long.
func (m *Machine) quiet(w watch) bool { return !w.Left && !w.Seen.Add(m.cfg.Silent).After(m.now) }

// watchDue is when a collector will have been silent or blind for too long.
func (m *Machine) watchDue(w watch) time.Time {
	due := w.Seen.Add(m.cfg.Silent)
	switch {
	case w.Left:
		return time.Time{}
	case !w.Blind.IsZero():
		due = w.Blind.Add(m.cfg.Gap)
	}
	if !due.After(m.now) {
		return time.Time{} // told
	}
	return due
}

// watched opens the incident of a host that has gone silent, or of which a collector is blind.
func (m *Machine) watched(r *record) {
	if r.open() != nil {
		return
	}
	for _, name := range sortedKeys(r.Watches) {
		w := r.Watches[name]
		blind := !w.Blind.IsZero()
		if w.Left || blind && w.Blind.Add(m.cfg.Gap).After(m.now) || !blind && !m.quiet(w) {
			continue
		}
		e := about(r.Place)
		e.Data.Runtime, e.Data.Collector = w.Runtime, &event.Collector{Name: name, Engine: w.Engine}
		tasks, workloads := m.on(r.Place.Node)
		there := fmt.Sprintf("; %s of %s ran there", plural(tasks, "task"), plural(workloads, "workload"))
		if blind {
			e.Time = w.Blind
			e.Data.Message = fmt.Sprintf("collector %s on %s is blind for %s", name, r.Place.Node, duration(m.now.Sub(w.Blind))) + there
			m.openAt(r, &e, opening{reason: "blind", family: "gap", at: w.Blind, tasks: tasks})
		} else {
			e.Time = w.Seen
			e.Data.Message = fmt.Sprintf("collector %s on %s is silent for %s", name, r.Place.Node, duration(m.now.Sub(w.Seen))) + there
			m.openAt(r, &e, opening{reason: "silent", family: "collector", at: w.Seen, tasks: tasks})
		}
		return
	}
}

// on counts the tasks that ran on a host, and their workloads.
func (m *Machine) on(node string) (tasks, workloads int64) {
	for _, r := range m.records {
		before := tasks
		for i := range r.Tasks {
			if r.Tasks[i].Node == node {
				tasks++
			}
		}
		if tasks > before {
			workloads++
		}
	}
	return tasks, workloads
}

// explains returns the host whose own incident explains an unexpected stop: one that is open, or that the stop
// itself tells of.
func (m *Machine) explains(r *record, e *event.Event) *record {
	node := nodeOf(&e.Data)
	if node == "" || r.open() != nil {
		return nil
	}
	if strings.HasPrefix(e.Data.Cause.Class, "host.") {
		return m.host(e.Data.Site, node)
	}
	h := m.records[place{Site: e.Data.Site, Node: node}.key()]
	if h == nil || h.open() == nil || h.Incident.Family != "host" {
		return nil
	}
	return h
}

// loses puts a stop down to the loss of its host.
func (m *Machine) loses(h, r *record, e *event.Event) {
	if !h.take(m.seq, m.now) {
		return
	}
	if h.open() == nil {
		b := *e
		b.Data.Message = "host " + h.Place.Node + " is lost: " + e.Data.Cause.Say
		m.openAt(h, &b, opening{reason: "lost", family: "host", at: e.Time})
	} else {
		h.Incident.again(e, m.now)
	}
	i := h.Incident
	if i.Lost == nil {
		i.Lost = map[string]int64{}
	}
	i.Lost[r.key]++
	m.touch(h)
}

// replaced counts a start of a workload for the hosts that have lost tasks of it.
func (m *Machine) replaced(r *record) {
	for _, h := range m.hosts {
		i := h.Incident
		if i.Lost[r.key] == 0 || !h.take(m.seq, m.now) {
			continue
		}
		i.Restarts++
		if i.Lost[r.key]--; i.Lost[r.key] == 0 {
			delete(i.Lost, r.key)
		}
		if len(i.Lost) == 0 {
			i.Well, i.WellAt = m.now, m.now
		}
		m.touch(h)
	}
}

// node takes what a platform tells of a host.
func (m *Machine) node(e *event.Event) {
	host := e.Data.Host
	if host == nil {
		return
	}
	r := m.host(e.Data.Site, nodeName(e))
	if !r.take(m.seq, m.now) {
		return
	}
	line := "host " + r.Place.Node + " is " + strings.ToLower(host.Status)
	if host.Agent == "disconnected" {
		line += ", its agent disconnected"
	}
	r.remember(e.Time, line)
	if i := r.open(); i != nil {
		i.done(e.Time, line)
		if i.Family == "host" && host.Status == "ACTIVE" && host.Agent == "connected" && len(host.Checks) == 0 {
			m.resolve(r, "returned", e.Time, "the host is back")
		}
	}
	m.touch(r)
}

func nodeName(e *event.Event) string {
	if e.Data.Host.ID != "" {
		return e.Data.Host.ID
	}
	return e.Data.Node
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
