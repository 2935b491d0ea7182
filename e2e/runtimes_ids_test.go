package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/churn"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// sameIDsAfterwards looks at what is left of a churn with collectors that have seen nothing of it and get
// nothing from the daemon's log. Each id that they publish must be the one that was streamed.
func sameIDsAfterwards(t *testing.T, c *churned) {
	t.Helper()
	streamed := idsOf(c.short.watched.stream.Events(), nil)
	require.NoError(t, c.driver.Flush(t.Context()))

	// One was away, and is told of what began since then.
	away := watchHost(t, &counted{}, c.daemon.Host, c.before)
	eventually(t, time.Minute, "what it found is told", func() bool { return len(away.gaps()) > 0 })
	away.stop()
	kept := keptOf(c.driver.Lives())
	n := same(t, streamed, idsOf(away.stream.Events(), kept))
	assert.Equal(t, 3*len(kept), n, "created, started and stopped of each kept container")

	// One never was: it tells what runs.
	never := watchHost(t, &counted{}, c.daemon.Host, &collectortest.Bucket{})
	for id := range c.running {
		eventually(t, time.Minute, "what runs is told", func() bool { return len(never.stream.Of(event.TaskStarted, id)) > 0 })
	}
	never.stop()
	m := same(t, streamed, idsOf(never.stream.Events(), c.running))
	assert.Equal(t, len(c.running), m, "started of each running container")
	t.Logf("ids of who saw a snapshot only are those that were streamed: %d of %d, and %d of %d of a first start", n, 3*len(kept), m, len(c.running))
}

// same counts the ids that are among those that were streamed, and demands that all are.
func same(t *testing.T, streamed, found map[string]event.Event) int {
	t.Helper()
	n := 0
	for id, e := range found {
		assert.Equal(t, event.ObservedReconcile, e.Data.Observed, "%s of %s came from the log, which was to be empty", e.Type, e.Data.Task.Name)
		if _, ok := streamed[id]; assert.True(t, ok, "%s of %s, run %s, has another id; streamed were %s", e.Type, e.Data.Task.Name, e.Data.Task.Run, runsOf(slices.Collect(maps.Values(streamed)), e.Data.Task.ID)) {
			n++
		}
	}
	return n
}

// runsOf lists what was told of a task.
func runsOf(events []event.Event, task string) []string {
	var told []string
	for _, e := range events {
		if e.Data.Task != nil && e.Data.Task.ID == task {
			told = append(told, fmt.Sprintf("%s, run %s, %s, at %d: %s", e.Type.Event(), e.Data.Task.Run, e.Data.Observed, e.Time.UnixNano(), e.Data.Message))
		}
	}
	return told
}

func keptOf(lives []churn.Life) map[string]bool {
	kept := map[string]bool{}
	for _, l := range lives {
		if l.Kept {
			kept[l.ID] = true
		}
	}
	return kept
}

// idsOf returns the events of some tasks, or of all, by id.
func idsOf(events []event.Event, of map[string]bool) map[string]event.Event {
	ids := map[string]event.Event{}
	for _, e := range events {
		if e.Data.Task != nil && (of == nil || of[e.Data.Task.ID]) {
			ids[e.ID] = e
		}
	}
	return ids
}
