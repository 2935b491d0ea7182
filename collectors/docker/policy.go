package docker

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/cause"
)

// How a daemon waits before its restart policy starts a container again: twice as long each time, and
// from the beginning after a run that lasted.
const (
	firstDelay = int64(100 * time.Millisecond)
	lastDelay  = int64(time.Minute)
	lasting    = int64(10 * time.Second)

	// delayUnknown is the wait of a container that was restarted before anybody watched.
	delayUnknown = int64(-1)
)

// again is what the restart policy makes of an end.
type again struct {
	starts bool
	gaveUp bool  // it would have, but has tried often enough
	delay  int64 // ns until then; 0 unknown
	nth    int64 // which of its restarts that will be
}

// waited notes how a run began: restarts is the policy's count by then.
func (t *task) waited(restarts int64) {
	if restarts == 0 {
		t.Delay = 0 // begun by hand, which makes the daemon forget
	} else if restarts != t.Restarts+1 || t.Delay == 0 {
		t.Delay = delayUnknown
	}
}

// again foretells what the daemon does, by its own rules, and keeps the wait for the next time.
func (t *task) again(end *stop) (a again) {
	if end.failed || end.lost.restarted || end.lost.removed || t.shutdown {
		return a // the daemon tries once
	}
	ran := end.at - t.since()
	switch {
	case t.since() > 0 && ran >= lasting || t.Delay == 0:
		t.Delay = firstDelay
	case t.Delay != delayUnknown:
		t.Delay = min(2*t.Delay, lastDelay)
	}
	name, most, _ := strings.Cut(t.Policy, ":")
	switch name {
	case "always", "unless-stopped":
		a.starts = true
	case "on-failure":
		limit, _ := strconv.ParseInt(most, 10, 64)
		failed := end.code != nil && *end.code != 0
		a.starts = failed && (limit == 0 || t.Restarts < limit)
		a.gaveUp = failed && !a.starts
	}
	if t.disarmed() {
		return again{}
	}
	a.delay, a.nth = max(t.Delay, 0), t.Restarts+1
	return a
}

// disarmed reports whether a signal has told the daemon not to restart the container: any, unless the
// image names one for that.
func (t *task) disarmed() bool {
	if t.Stop {
		return true
	}
	for _, k := range t.Kills {
		if t.stopSignal == 0 || k.Signal == 0 || k.Signal == t.stopSignal || k.Signal == 9 {
			return true
		}
	}
	return false
}

// say tells it as the end of a sentence.
func (a again) say(policy string) string {
	switch {
	case a.gaveUp:
		return "; its restart policy " + policy + " gives up"
	case !a.starts:
		return ""
	}
	s := "; its restart policy starts it again"
	if a.delay > 0 {
		s += " in " + cause.Duration(time.Duration(a.delay))
	}
	if a.nth > 1 {
		s += ", for the " + ordinal(a.nth) + " time"
	}
	return s
}

func ordinal(n int64) string {
	end := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, end)
}
