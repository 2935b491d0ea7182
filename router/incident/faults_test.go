package incident

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// TestManyIncidentsInTheBucket: a router that starts finds every open incident, on a real bucket. BELLBUOY_E2E_LONG=1
// makes it 100,000.
func TestManyIncidentsInTheBucket(t *testing.T) {
	t.Parallel()
	many := 5000
	if os.Getenv("BELLBUOY_E2E_LONG") != "" {
		many = 100_000
	}
	b, err := bustest.New(t).Bucket(t.Context(), bus.IncidentsBucket)
	require.NoError(t, err)
	var mu sync.Mutex
	told := map[string]int{}
	engine := func() *Engine {
		g, err := New(DefaultConfig(), Deps{Site: "prod", Bucket: b, Alone: true, Publish: func(_ context.Context, e event.Event) error {
			mu.Lock()
			defer mu.Unlock()
			told[e.ID]++
			return nil
		}})
		require.NoError(t, err)
		return g
	}
	first := engine()
	var batch []*bus.Delivery
	for n := range many {
		e := stopEvent("w"+strconv.Itoa(n), "a", "exit.error", false)
		e.ID, e.Time = "e"+strconv.Itoa(n), time.Now()
		batch = append(batch, &bus.Delivery{Event: e, Sequence: uint64(n + 1), Stored: e.Time})
		if len(batch) == 256 || n == many-1 {
			require.NoError(t, first.Handle(t.Context(), batch))
			batch = nil
		}
	}
	assert.Len(t, told, many)
	begin := time.Now()
	next := engine()
	require.NoError(t, next.load(t.Context()))
	t.Logf("%d records read in %s", many, time.Since(begin).Round(time.Millisecond))
	assert.Equal(t, many, next.machine.opened)
	assert.Len(t, told, many, "and tells nothing new")
	all, err := List(t.Context(), b)
	require.NoError(t, err)
	assert.Len(t, all, many)
	now, found, err := Stands(t.Context(), b, &all[many/2])
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, "open", now.Data.Incident.State)
}

// story is what happens to some workloads: each crashes a few times and comes back.
func story(random *rand.Rand) []event.Event {
	var all []event.Event
	for w := range 5 {
		at := time.Duration(random.Int64N(int64(5 * time.Minute)))
		for run := range 2 + random.IntN(6) {
			name, id := fmt.Sprintf("w%d", w), fmt.Sprintf("t%d", w)
			start := taskEvent(event.TaskStarted, name, id, "r1")
			stop := stopEvent(name, id, "exit.error", false)
			for n, e := range []event.Event{start, stop} {
				at += time.Second + time.Duration(random.Int64N(int64(time.Minute)))
				run := strconv.Itoa(run)
				section := *e.Data.Task
				section.Run = run
				e.Data.Task, e.ID = &section, fmt.Sprintf("%s-%s-%d", name, run, n)
				e.Time = time.Unix(0, 0).Add(at)
				all = append(all, e)
			}
		}
		last := taskEvent(event.TaskStarted, fmt.Sprintf("w%d", w), fmt.Sprintf("t%d", w), "r1")
		last.Data.Task.Run, last.ID, last.Time = "last", fmt.Sprintf("w%d-last", w), time.Unix(0, 0).Add(at+time.Minute)
		all = append(all, last)
	}
	slices.SortStableFunc(all, func(a, b event.Event) int { return a.Time.Compare(b.Time) })
	return all
}

// TestOrderOfAnHour: whatever the order in which the events of an hour arrive, in the end all is well, and no more is
// told than in their own order.
func TestOrderOfAnHour(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		all := story(random)
		inOrder := tellAll(t, all)
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		shuffled := tellAll(t, all)
		opened, resolved := 0, 0
		for _, e := range shuffled {
			switch {
			case e.Type == event.IncidentResolved:
				resolved++
			case e.Type == event.IncidentOpened, e.Data.Incident.Reason == "again":
				opened++
			}
		}
		assert.Equal(t, opened, resolved, "seed %d: all that was opened is over", seed)
		assert.LessOrEqual(t, len(shuffled), max(len(inOrder), 3*5), "seed %d", seed)
	}
}

func tellAll(t *testing.T, all []event.Event) []event.Event {
	t.Helper()
	m := NewMachine(DefaultConfig(), "prod", nil)
	now := time.Unix(0, 0).Add(2 * time.Hour)
	var told []event.Event
	for n := range all {
		now = now.Add(time.Second)
		m.Apply(&all[n], uint64(n)+1, now)
		told = append(told, m.Events()...)
	}
	for range 3 * 3600 {
		now = now.Add(time.Second)
		m.Tick(now)
		told = append(told, m.Events()...)
	}
	return told
}

// TestPartition: two routers that both believe to be the one at work get the same events, at times one, at times the
// other first. The stream has each transition once, and the same as of one alone.
func TestPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		alone := tellOf(t, 1)
		both := tellOf(t, 2)
		assert.Equal(t, alone, both)
		assert.Greater(t, len(alone), 20)
	})
}

// tellOf gives a story to so many engines on one bucket, and returns what is on the stream.
func tellOf(t *testing.T, engines int) []string {
	t.Helper()
	b := newBucket()
	var stands []*stand
	var mu sync.Mutex
	var told []event.Event
	for range engines {
		s := newStand(t, b)
		s.engine.deps.Publish = func(_ context.Context, e event.Event) error {
			mu.Lock()
			defer mu.Unlock()
			if !slices.ContainsFunc(told, func(other event.Event) bool { return other.ID == e.ID }) {
				told = append(told, e)
			}
			return nil
		}
		stands = append(stands, s)
	}
	random := rand.New(rand.NewPCG(7, 7))
	order := rand.New(rand.NewPCG(3, uint64(engines)))
	for seed := range uint64(4) {
		for n, e := range story(rand.New(rand.NewPCG(seed, 2))) {
			e.ID += fmt.Sprint(seed)
			e.Data.Workload += fmt.Sprint(seed)
			<-time.After(time.Duration(1+random.IntN(9)) * time.Second)
			d := &bus.Delivery{Event: e, Sequence: seed*1000 + uint64(n) + 1, Stored: time.Now()}
			for _, which := range order.Perm(engines) {
				require.NoError(t, stands[which].engine.Handle(t.Context(), []*bus.Delivery{d}))
				require.NoError(t, stands[which].engine.tick(t.Context()))
			}
		}
	}
	var words []string
	for _, e := range told {
		i := e.Data.Incident
		words = append(words, fmt.Sprintf("%s %s %s %d %d", e.Data.Workload, e.Type.Event(), i.Reason, i.Transition, i.Stops))
	}
	slices.SortStableFunc(words, func(a, b string) int { return strings.Compare(a[:3], b[:3]) }) // each workload's in its own order
	return words
}
