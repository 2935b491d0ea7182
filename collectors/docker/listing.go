package docker

import (
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
)

const (
	// youngest is how long after a change of state a container is looked at again and again: the list may
	// lag, and events may be on their way.
	youngest = 3 * time.Minute
	// roundTrips is within how many snapshots every container is looked at once, whatever the list says.
	roundTrips = 120
	// firstRound is how many of those that look unchanged are looked at after a start.
	firstRound = 1000
	// neverRan is how many of those that never started are looked at each time: one that can't be started
	// looks the same in the list.
	neverRan = 16
	ageSlop  = 90 * time.Second
)

// listing knows what the list of containers said when each was last inspected, so that only those are
// inspected that may have changed: while a thousand containers idle, a list is enough. It belongs to the
// goroutine that takes snapshots.
type listing struct {
	young   time.Duration
	before  int64               // ns: what had ended by then was told, or is not told
	known   map[string]sighting // by container
	said    map[string]string   // what the last list said of those to inspect
	started bool
	turn    int // how many were looked at in their turn
}

// sighting is a container as it was last inspected.
type sighting struct {
	says  string // what the list said
	since int64  // since when it is in this state, ns; 0 unknown
}

func newListing(every time.Duration, before int64) *listing {
	return &listing{young: max(youngest, 5*every/2), before: before}
}

// suspects returns the containers to inspect, running ones first. now is the daemon's time.
func (l *listing) suspects(list []container.Summary, now int64) []string {
	var suspects, ended, calm, idle []string
	known := make(map[string]sighting, len(l.known))
	said := map[string]string{}
	for i := range list {
		c := &list[i]
		s := statusOf(c)
		old, seen := l.known[c.ID]
		if seen {
			known[c.ID] = old
		}
		said[c.ID] = s.says
		switch doubtful := l.doubt(c, s, old, seen, now); {
		case doubtful && s.stopped:
			ended = append(ended, c.ID)
		case doubtful:
			suspects = append(suspects, c.ID)
		case c.State == container.StateCreated:
			idle = append(idle, c.ID)
		default:
			calm = append(calm, c.ID)
		}
	}
	quota := len(calm)/roundTrips + 1
	if !l.started {
		quota, l.started = firstRound, true
	}
	suspects = append(suspects, ended...)
	suspects = append(suspects, turn(calm, l.turn, quota)...)
	suspects = append(suspects, turn(idle, l.turn, neverRan)...)
	l.turn += max(quota, neverRan)
	l.known, l.said = known, said
	return suspects
}

// doubt reports whether a container may be other than it is known to be.
func (l *listing) doubt(c *container.Summary, s status, old sighting, seen bool, now int64) bool {
	switch {
	case seen && old.says != s.says:
		return true
	case c.State == container.StateCreated:
		return !seen && c.Created*int64(time.Second) >= l.before
	case s.most == 0 || s.least < l.young:
		return true
	case !seen:
		return !s.stopped || now-int64(s.least) >= l.before
	case old.since == 0:
		return false
	}
	age := time.Duration(now - old.since)
	return age < s.least-ageSlop || age > s.most+ageSlop
}

// turn returns up to n of the ids, others each time.
func turn(ids []string, from, n int) []string {
	if n >= len(ids) {
		return ids
	}
	from %= len(ids)
	some := ids[from:min(from+n, len(ids))]
	return append(some[:len(some):len(some)], ids[:n-len(some)]...)
}

// looked notes an inspect; without facts the container is asked for again.
func (l *listing) looked(id string, f *facts) {
	if f == nil {
		l.known[id] = sighting{}
		return
	}
	s := sighting{says: l.said[id], since: f.started}
	if f.stopped() {
		s.since = f.finished
	}
	l.known[id] = s
}

// status is what the list says of a container's state.
type status struct {
	says        string // all of it but the age
	stopped     bool
	least, most time.Duration // since when it is in this state; 0 and 0 if that is not said
}

// statusOf reads what the list says: "Up 3 hours (healthy)", "Exited (137) 2 days ago".
func statusOf(c *container.Summary) status {
	s := status{stopped: c.State == container.StateExited}
	text, age := c.Status, ""
	switch {
	case c.State == container.StateRunning && strings.HasPrefix(text, "Up "), c.State == container.StatePaused && strings.HasPrefix(text, "Up "):
		age, text, _ = strings.Cut(strings.TrimPrefix(text, "Up "), " (")
	case s.stopped && strings.HasPrefix(text, "Exited (") && strings.HasSuffix(text, " ago"):
		text, age, _ = strings.Cut(strings.TrimSuffix(text, " ago"), ") ")
	}
	s.says = strings.Join([]string{string(c.State), text, strings.Join(c.Names, " ")}, "\x00")
	s.least, s.most = ageOf(age)
	return s
}

const (
	day  = 24 * time.Hour
	hour = time.Hour
)

// ageOf reads an age as the daemon rounds it, and returns what it can be.
func ageOf(text string) (least, most time.Duration) {
	switch text {
	case "Less than a second":
		return 0, time.Second
	case "About a minute":
		return time.Minute, 2 * time.Minute
	case "About an hour":
		return hour, 3 * hour / 2
	}
	number, unit, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > 10000 {
		return 0, 0
	}
	var of, slop time.Duration
	switch strings.TrimSuffix(unit, "s") {
	case "second":
		of = time.Second
	case "minute":
		of = time.Minute
	case "hour": // rounded to the nearest
		return time.Duration(n)*hour - hour/2, time.Duration(n)*hour + hour/2
	case "day":
		of, slop = day, hour
	case "week":
		of, slop = 7*day, hour
	case "month":
		of, slop = 30*day, hour
	case "year":
		of, slop = 365*day, hour
	default:
		return 0, 0
	}
	return time.Duration(n)*of - slop, time.Duration(n+1)*of + slop
}
