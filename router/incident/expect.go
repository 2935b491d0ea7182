package incident

import (
	"cmp"
	"fmt"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// expectation is an Expect and since when it is not met.
type expectation struct {
	Expect
	short  time.Time // since when fewer run
	looked time.Time
}

// lookEvery is how often the list of what must run is looked through.
const lookEvery = 5 * time.Second

// expect opens and ends incidents of what must run and does not.
func (m *Machine) expect() {
	for _, x := range m.expects {
		if m.now.Sub(x.looked) < lookEvery {
			continue
		}
		x.looked = m.now
		r := m.expected(x)
		if x.Every > 0 {
			m.late(r, x)
		} else {
			m.absent(r, x)
		}
	}
}

// expected is the record that an expectation is about: that of the workload, or one to remember its absence.
func (m *Machine) expected(x *expectation) *record {
	for _, r := range m.names[x.Workload] {
		if (x.Scope == "" || r.Place.Scope == x.Scope) && (x.Runtime == "" || string(r.Place.Runtime) == x.Runtime) {
			return r
		}
	}
	return m.record(place{Site: m.site, Runtime: event.Runtime(x.Runtime), Scope: x.Scope, Workload: x.Workload})
}

func (m *Machine) absent(r *record, x *expectation) {
	var running int64
	for _, other := range m.names[x.Workload] {
		if (x.Scope == "" || other.Place.Scope == x.Scope) && (x.Runtime == "" || string(other.Place.Runtime) == x.Runtime) {
			running += other.running()
		}
	}
	if running >= int64(x.Tasks) {
		x.short = time.Time{}
		return
	}
	if x.short.IsZero() {
		x.short = m.now
	}
	if r.open() != nil || m.now.Sub(x.short) < x.For {
		return
	}
	e := about(r.Place)
	e.Time, e.Data.Owner = x.short, x.Owner
	e.Data.Message = x.Workload + " is not running"
	if running > 0 || x.Tasks > 1 {
		e.Data.Message = fmt.Sprintf("%s runs %d of %d expected tasks", x.Workload, running, x.Tasks)
	}
	m.openAt(r, &e, opening{reason: "absent", family: "missing", at: x.short, need: int64(x.Tasks)})
}

func (m *Machine) late(r *record, x *expectation) {
	last := r.Ended
	if last.IsZero() {
		if r.Expected.IsZero() {
			r.Expected = m.now
			m.touch(r)
		}
		last = r.Expected
	}
	due := last.Add(x.Every)
	if due.After(m.now) || r.open() != nil {
		return
	}
	e := about(r.Place)
	e.Time, e.Data.Owner = due, x.Owner
	e.Data.Message = fmt.Sprintf("%s did not end well within %s; the last time was %s", x.Workload, duration(x.Every),
		cmp.Or(stamp(r.Ended), "before it was watched"))
	m.openAt(r, &e, opening{reason: "late", family: "late", at: due})
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
