package docker

import (
	"time"

	"github.com/moby/moby/api/types/events"
)

// killTimes remembers which containers were sent a signal lately, to recognise a daemon that shuts
// down: it asks all of them within a second, and then the stream ends. It belongs to the reader, peers
// within it to everybody.
type killTimes struct {
	at    []int64
	ids   []string
	peers peers
}

const (
	killsKept     = 4096
	togetherTime  = int64(time.Second)
	shutdownGrace = int64(20 * time.Second)
)

func (k *killTimes) note(m *events.Message) {
	k.peers.note(m)
	if m.Type != events.ContainerEventType || m.Action != events.ActionKill {
		return
	}
	if len(k.at) == killsKept {
		k.at, k.ids = k.at[1:], k.ids[1:]
	}
	k.at, k.ids = append(k.at, m.TimeNano), append(k.ids, m.Actor.ID)
}

// together returns the containers of the last group that was signalled within one second, not longer
// than the grace of a shutdown before end. Signals to some of a group again, as a daemon sends them to
// who did not obey, do not make another one.
func (k *killTimes) together(end int64) map[string]bool {
	var last map[string]bool
	for i := len(k.at) - 1; i >= 0 && (end == maxTime || end-k.at[i] <= shutdownGrace); i-- {
		group := k.upTo(i)
		if len(group) > 1 && (last == nil || len(group) > len(last) && containsAll(group, last)) {
			last = group
		}
	}
	return last
}

// upTo returns the containers that were signalled in the second that ends with signal i.
func (k *killTimes) upTo(i int) map[string]bool {
	group := map[string]bool{}
	for j := i; j >= 0 && k.at[i]-k.at[j] <= togetherTime; j-- {
		group[k.ids[j]] = true
	}
	return group
}

func containsAll(group, part map[string]bool) bool {
	for id := range part {
		if !group[id] {
			return false
		}
	}
	return true
}

const maxTime = 1<<63 - 1
