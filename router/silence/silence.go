package silence

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Silence says which notices are held back, when, by whom and why.
type Silence struct {
	// ID names it; a config's entry without one gets one of what it says.
	ID string `json:"id" yaml:"name"`
	// Match is a condition over the events of incidents, as in a route.
	Match string `json:"match" yaml:"match"`
	// Owner is who answers for it, Comment why it is there.
	Owner   string `json:"owner" yaml:"owner"`
	Comment string `json:"comment" yaml:"comment"`
	// Starts is when it begins; zero is at once.
	Starts time.Time `json:"starts,omitzero" yaml:"starts"`
	// Until is when it ends. It may be zero only with windows, which end by themselves.
	Until time.Time `json:"until,omitzero" yaml:"until"`
	// Weekly are the times of the week when it holds; none is always.
	Weekly []Window `json:"weekly,omitempty" yaml:"weekly"`
}

// Longest is for how long a silence without windows may last: what is meant for good is a route's condition.
const Longest = 366 * 24 * time.Hour

// Validate returns all faults but those of the condition.
func (s *Silence) Validate() error {
	var faults []error
	missing := func(path, value, what string) {
		if strings.TrimSpace(value) == "" {
			faults = append(faults, fault.At(path, "is missing; write %s", what))
		}
	}
	missing("match", s.Match, `a condition, such as workload == "web"`)
	missing("comment", s.Comment, "why it is there, for whoever wonders at night why nobody was told")
	missing("owner", s.Owner, "who answers for it")
	switch {
	case s.Until.IsZero() && len(s.Weekly) == 0:
		faults = append(faults, fault.At("until", "is missing; a silence needs an end, such as 2026-12-01T08:00:00Z, or weekly windows"))
	case !s.Until.IsZero() && !s.Until.After(s.Starts):
		faults = append(faults, fault.At("until", "is not after its start"))
	case !s.Until.IsZero() && !s.Starts.IsZero() && s.Until.Sub(s.Starts) > Longest && len(s.Weekly) == 0:
		faults = append(faults, fault.At("until", "is more than a year after its start; leave such events out by the condition of a route"))
	}
	for i := range s.Weekly {
		for _, f := range fault.All(s.Weekly[i].Validate()) {
			faults = append(faults, fault.At(strings.TrimSuffix(fmt.Sprintf("weekly[%d].%s", i, f.Path), "."), "%s", f.Problem))
		}
	}
	return errors.Join(faults...)
}

// WithID returns the silence with an id, made of what it says if it has none.
func (s Silence) WithID() Silence {
	if s.ID == "" {
		s.ID = event.NewID("silence", s.Match, s.Owner, s.Comment, s.Starts.String(), s.Until.String(), fmt.Sprint(s.Weekly))[:8]
	}
	return s
}

// Ended says that it will never hold again.
func (s *Silence) Ended(now time.Time) bool { return !s.Until.IsZero() && !now.Before(s.Until) }

// Holds says whether it holds at the time, and until when at most. The second is a time at which to ask again.
func (s *Silence) Holds(now time.Time) (until time.Time, holds bool) {
	if now.Before(s.Starts) || s.Ended(now) {
		return time.Time{}, false
	}
	if len(s.Weekly) == 0 {
		return s.Until, true
	}
	for i := range s.Weekly {
		if _, end, in := s.Weekly[i].around(now); in && end.After(until) {
			until, holds = end, true
		}
	}
	if holds && !s.Until.IsZero() && s.Until.Before(until) {
		until = s.Until
	}
	return until, holds
}

// Matcher is a compiled condition; *router.Filter is one.
type Matcher interface {
	Match(e *event.Event) (bool, error)
}

// Set is a list of silences with their conditions. It is safe for concurrent use.
type Set struct {
	silences []Silence
	matchers []Matcher
}

// NewSet compiles the silences. One whose condition can't be compiled is left out and named in the error: somebody
// is told too much rather than too little.
func NewSet(list []Silence, compile func(string) (Matcher, error)) (*Set, error) {
	s := &Set{}
	var faults []error
	for _, one := range list {
		m, err := compile(one.Match)
		if err == nil {
			err = one.Validate()
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("silence %s: %w", one.ID, err))
			continue
		}
		s.silences, s.matchers = append(s.silences, one), append(s.matchers, m)
	}
	return s, errors.Join(faults...)
}

// Holding returns the id of the silence that holds an event's notices back longest, and until when; "" is none.
func (s *Set) Holding(e *event.Event, now time.Time) (id string, until time.Time) {
	for i := range s.silences {
		end, holds := s.silences[i].Holds(now)
		if !holds || id != "" && !end.After(until) {
			continue
		}
		if match, err := s.matchers[i].Match(e); err == nil && match {
			id, until = s.silences[i].ID, end
		}
	}
	return id, until
}

// All returns the silences, the one that ends first in front.
func (s *Set) All() []Silence {
	return slices.SortedStableFunc(slices.Values(s.silences), func(a, b Silence) int {
		return cmp.Or(cmp.Compare(b2i(a.Until.IsZero()), b2i(b.Until.IsZero())), a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID))
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// MatchesAll says that a condition matches incidents that have nothing in common but being one.
func MatchesAll(m Matcher) bool {
	for _, name := range []string{"a4c1", "9e7b"} {
		e := event.Event{Type: event.IncidentOpened, Severity: event.Error, Data: event.Data{
			Site: name, Scope: name, Node: name, Workload: name, Owner: name, Incident: &event.Incident{ID: name, Family: name, State: "open"},
		}}
		if match, err := m.Match(&e); err != nil || !match {
			return false
		}
	}
	return true
}
