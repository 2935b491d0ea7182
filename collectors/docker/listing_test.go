package docker

import (
	"fmt"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/assert"
)

func TestAges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]time.Duration{
		"Less than a second": {0, time.Second}, "1 second": {time.Second, 2 * time.Second}, "59 seconds": {59 * time.Second, time.Minute},
		"About a minute": {time.Minute, 2 * time.Minute}, "59 minutes": {59 * time.Minute, time.Hour}, "About an hour": {time.Hour, 90 * time.Minute},
		"2 hours": {90 * time.Minute, 150 * time.Minute}, "3 days": {71 * time.Hour, 97 * time.Hour}, "2 weeks": {14*day - hour, 21*day + hour},
		"3 months": {90*day - hour, 120*day + hour}, "2 years": {730*day - hour, 1095*day + hour},
		"": {}, "soon": {}, "-3 hours": {}, "3 eons": {}, "9999999999 years": {},
	} {
		least, most := ageOf(text)
		assert.Equal(t, want, [2]time.Duration{least, most}, text)
	}
}

// scene of a list: what it says, and what an inspect says.
type listed struct {
	list  []container.Summary
	facts map[string]*facts
}

const listNow = int64(1_700_000_000_000_000_000)

func (l *listed) add(state, status string, since time.Duration) string {
	id := fmt.Sprint(len(l.list))
	l.list = append(l.list, container.Summary{ID: id, State: container.ContainerState(state), Status: status, Created: (listNow - int64(since)) / 1e9, Names: []string{"/c" + id}})
	f := &facts{id: id, started: listNow - int64(since), finished: listNow - int64(since), running: state == "running"}
	if l.facts == nil {
		l.facts = map[string]*facts{}
	}
	l.facts[id] = f
	return id
}

// look takes the list at a time and says what was inspected.
func (l *listed) look(to *listing, now int64) []string {
	ids := to.suspects(l.list, now)
	for _, id := range ids {
		to.looked(id, l.facts[id])
	}
	return ids
}

func TestListingInspectsWhatMayHaveChanged(t *testing.T) {
	t.Parallel()
	var l listed
	const minute = int64(time.Minute)
	runs, ended := l.add("running", "Up 2 hours", 2*time.Hour), l.add("exited", "Exited (3) 2 hours ago", 2*time.Hour)
	sick, young := l.add("running", "Up 5 hours (healthy)", 5*time.Hour), l.add("running", "Up 7 seconds", 7*time.Second)
	strange, dead := l.add("running", "running since tea", time.Hour), l.add("dead", "Dead", time.Hour)
	waits := l.add("created", "Created", time.Hour)
	to := newListing(time.Minute, listNow)
	all := []string{runs, sick, young, strange, dead, ended, waits}
	assert.ElementsMatch(t, all, l.look(to, listNow), "a small number is looked at after a start")

	always := []string{young, strange, dead, waits}
	for i := range int64(5) {
		calm := l.look(to, listNow+i)
		assert.Subset(t, calm, always)
		assert.Len(t, calm, len(always)+1, "one of the others takes its turn")
	}
	l.list[0].Status = "Up 3 minutes" // it was started again
	l.facts[runs].started = listNow - 3*minute
	assert.Contains(t, l.look(to, listNow), runs)
	l.list[1].Status = "Exited (127) 2 hours ago" // a start failed
	assert.Contains(t, l.look(to, listNow), ended)
	l.list[2].Status = "Up 5 hours (unhealthy)"
	assert.Contains(t, l.look(to, listNow), sick)
	l.list[2].Names[0] = "/renamed"
	assert.Contains(t, l.look(to, listNow), sick)
	to.looked(sick, nil) // the daemon could not tell
	assert.Contains(t, l.look(to, listNow), sick)
	l.list[0].State, l.list[0].Status = "exited", "Exited (0) 4 hours ago" // by a clock that was set
	assert.Contains(t, l.look(to, listNow), runs)
}

// TestIdleContainersCostAlmostNothing: a thousand of each kind, each looked at once in a while.
func TestIdleContainersCostAlmostNothing(t *testing.T) {
	t.Parallel()
	var l listed
	for range 1000 {
		l.add("running", "Up 2 days", 60*time.Hour)
		l.add("exited", "Exited (0) 3 weeks ago", 24*day)
	}
	to := newListing(time.Minute, listNow)
	first := l.look(to, listNow)
	assert.Len(t, first, 2000, "running ones must be known; of the others as many at once as is fair")
	seen := map[string]bool{}
	for i := range roundTrips {
		ids := l.look(to, listNow+int64(i)*int64(time.Minute))
		assert.LessOrEqual(t, len(ids), 2000/roundTrips+1)
		for _, id := range ids {
			seen[id] = true
		}
	}
	assert.Len(t, seen, 2000, "every one had its turn")
}

// TestTenThousandDeadOnesAreNotAllAskedFor at the first look.
func TestTenThousandDeadOnesAreNotAllAskedFor(t *testing.T) {
	t.Parallel()
	var l listed
	for range 10_000 {
		l.add("exited", "Exited (1) 4 days ago", 100*time.Hour)
	}
	to := newListing(time.Minute, listNow)
	assert.Len(t, l.look(to, listNow), firstRound)
	assert.Len(t, l.look(to, listNow), 10_000/roundTrips+1)
	assert.LessOrEqual(t, len(to.known), 2*firstRound)
}
