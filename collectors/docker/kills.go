package docker

import (
	"time"

	"github.com/moby/moby/api/types/events"
)

// killTimes remembers which containers were sent a signal lately, to recognise a daemon that shuts
// down: it asks all of them within a second, and then the stream ends.
type killTimes struct {
	at  []int64
	ids []string
}

const (
	killsKept     = 4096
	togetherTime  = int64(time.Second)
	shutdownGrace = int64(20 * time.Second)
)

func (k *killTimes) note(m *events.Message) {
	if m.Type != events.ContainerEventType || m.Action != events.ActionKill {
		return
	}
	if len(k.at) == killsKept {
		k.at, k.ids = k.at[1:], k.ids[1:]
	}
	k.at, k.ids = append(k.at, m.TimeNano), append(k.ids, m.Actor.ID)
}

// together returns the containers of the largest group that was signalled within one second, not
// longer than the grace of a shutdown before end.
func (k *killTimes) together(end int64) map[string]bool {
	var best map[string]bool
	for i, from := range k.at {
		if end-from > shutdownGrace && end < maxTime {
			continue
		}
		group := map[string]bool{}
		for j := i; j < len(k.at) && k.at[j]-from <= togetherTime; j++ {
			group[k.ids[j]] = true
		}
		if len(group) > len(best) {
			best = group
		}
	}
	return best
}

const maxTime = 1<<63 - 1
