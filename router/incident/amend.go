package incident

import (
	"slices"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// amended takes a stop that amends one that was taken: it is the same stop with better evidence. It says false if
// the first one is not known here, or was expected and this one is not: then it counts as any other.
func (m *Machine) amended(r *record, e *event.Event) bool {
	at := slices.IndexFunc(r.Stops, func(s stop) bool { return s.ID == e.Data.Supersedes && s.ID != "" })
	if at < 0 {
		return false
	}
	old := r.Stops[at]
	if e.Data.Cause.Expected {
		r.Stops = slices.Delete(r.Stops, at, at+1)
		m.withdrawn(r, old, e)
		return true
	}
	r.Stops[at].ID, r.Stops[at].Class = e.ID, e.Data.Cause.Class
	for n := range r.Waiting {
		if r.Waiting[n].Event.ID == old.ID {
			r.Waiting[n].Event = *trimmed(e)
		}
	}
	if i := r.open(); i != nil {
		i.uncount(old.Class)
		i.countCause(e.Data.Cause.Class)
		if i.Base.ID == old.ID {
			i.Base = *trimmed(e)
		}
	}
	return true
}

// withdrawn takes back a stop that somebody had asked for after all.
func (m *Machine) withdrawn(r *record, old stop, e *event.Event) {
	r.Waiting = slices.DeleteFunc(r.Waiting, func(w waiting) bool { return w.Event.ID == old.ID })
	i := r.open()
	if i == nil {
		return
	}
	i.Stops--
	i.uncount(old.Class)
	if i.Stops <= 0 {
		m.resolve(r, "explained", e.Time, e.Data.Cause.Say)
	}
}

func (i *state) countCause(class string) {
	if i.Causes == nil {
		i.Causes = map[string]int64{}
	}
	if _, known := i.Causes[class]; known || len(i.Causes) < maxCauses {
		i.Causes[class]++
	}
}

func (i *state) uncount(class string) {
	if i.Causes[class]--; i.Causes[class] <= 0 {
		delete(i.Causes, class)
	}
}
