package restart

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Two routers get every event, crash at random points of their work, lose answers and race each other.
// No stopped run is started twice, nothing follows a success twice, the budget holds, and what was
// requested has one end.
func TestNoRunIsStartedTwiceUnderCrashes(t *testing.T) {
	seeds := 200
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { storm(t, uint64(seed)) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// fuse makes one delivery crash at its nth operation: from there on everything fails. The operation at
// which it burns may or may not have had its effect.
type fuse struct {
	mu   sync.Mutex
	left int // operations until it burns; negative: burnt
	did  bool
}

type fuseKey struct{}

var errCrash = errors.New("crashed")

func burn(ctx context.Context, _ string) (before, after error) {
	f, ok := ctx.Value(fuseKey{}).(*fuse)
	if !ok {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left--
	switch {
	case f.left > 0:
		return nil, nil
	case f.left == 0 && f.did:
		return nil, errCrash
	}
	return errCrash, nil
}

func storm(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld()
	w.op = burn
	w.slow = time.Duration(rng.IntN(3)) * time.Second
	lifetimes := make([]time.Duration, 64)
	for i := range lifetimes {
		switch rng.IntN(3) {
		case 0:
			lifetimes[i] = time.Duration(rng.IntN(20_000)+1) * time.Millisecond
		case 1:
			lifetimes[i] = time.Duration(rng.IntN(1000)+1) * time.Millisecond
		}
	}
	w.lives = func(run int) (time.Duration, int64) { return lifetimes[run%len(lifetimes)], 3 }
	s := &router{w: w, rng: rng, handlers: []*Handler{w.handler(t), w.handler(t)}}
	for i := range 3 {
		s.add(w.stopped("t"+number(i), nil))
	}
	w.stand("side", nil, "t0")
	w.stand("web", nil, "side", "t1")
	s.run(t)
	s.check(t)
}

// router redelivers to two handlers as the real one does, only worse.
type router struct {
	w        *world
	rng      *rand.Rand
	handlers []*Handler
	queue    []*delivery
	deaths   int
}

type delivery struct {
	e    event.Event
	due  time.Time
	done bool
	runs int
}

func (s *router) add(e event.Event) { s.queue = append(s.queue, &delivery{e: e, due: time.Now()}) }

// run delivers in steps of 200 ms of virtual time until every event is done and nothing dies any more.
func (s *router) run(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	for range 20_000 {
		open := false
		for _, d := range s.queue {
			done, due := s.look(d)
			open = open || !done
			if !due {
				continue
			}
			again := s.rng.IntN(10) == 0
			s.deliver(t, &wg, d, again)
		}
		synctest.Wait() // an operator between a look and a call is nobody's fault
		s.operate()
		if s.rng.IntN(4) == 0 {
			wg.Wait() // else the calls of several steps overlap
		}
		<-time.After(200 * time.Millisecond)
		s.w.set(func() {
			for _, e := range s.w.deaths[s.deaths:] {
				s.add(e)
				open = true
			}
			s.deaths = len(s.w.deaths)
		})
		if !open && s.quiet() {
			return
		}
	}
	require.Fail(t, "events are never done")
}

// look tells whether the event is done and whether it is to be delivered now, and then takes it.
func (s *router) look(d *delivery) (done, due bool) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if d.done || time.Now().Before(d.due) {
		return d.done, false
	}
	d.due = time.Now().Add(time.Hour) // while it is under way
	return false, true
}

// operate lets an operator start a stopped task by hand now and then.
func (s *router) operate() {
	if s.rng.IntN(40) > 0 {
		return
	}
	task := "t" + number(s.rng.IntN(3))
	s.w.set(func() {
		if !s.w.tasks[task].Running {
			s.w.begin(task)
		}
	})
}

// quiet tells whether no run will die any more.
func (s *router) quiet() bool {
	<-time.After(30 * time.Second)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.deaths == len(s.w.deaths)
}

// deliver hands the event to one handler, or to both at once, each with a fuse that may burn.
func (s *router) deliver(t *testing.T, wg *sync.WaitGroup, d *delivery, both bool) {
	n := 1
	if both {
		n = 2
	}
	for i := range n {
		h := s.handlers[(s.rng.IntN(2)+i)%2]
		f := &fuse{left: 1 << 20}
		if d.runs < 6 && s.rng.IntN(2) == 0 {
			f = &fuse{left: s.rng.IntN(12) + 1, did: s.rng.IntN(2) == 0}
		}
		d.runs++
		wg.Go(func() {
			wait, err := deliver(context.WithValue(t.Context(), fuseKey{}, f), h, d.e)
			s.w.set(func() {
				switch {
				case err != nil:
					d.due = time.Now().Add(time.Second)
				case wait > 0:
					d.due = time.Now().Add(wait)
				default:
					d.done = true
				}
			})
		})
	}
}

func (s *router) check(t *testing.T) {
	t.Helper()
	w := s.w
	for trigger, n := range w.effective {
		require.Equal(t, 1, n, "runs that began for the event %s", trigger)
	}
	require.Empty(t, w.wrong)
	ends, requests, seen := map[string]string{}, map[string]bool{}, map[string]time.Time{}
	for _, e := range w.published {
		if at, ok := seen[e.ID]; ok {
			require.True(t, at.Equal(e.Time), "one id, two times")
		}
		seen[e.ID] = e.Time
		id, word := e.Data.Action.ID, e.Type.Event()
		switch e.Type {
		case event.ActionRequested:
			requests[id] = true
		case event.ActionSucceeded, event.ActionFailed, event.ActionDenied:
			if before, ok := ends[id]; ok {
				require.Equal(t, before, word, "an action has one end")
			}
			ends[id] = word
		}
	}
	for id := range requests {
		require.Contains(t, ends, id, fmt.Sprintf("a requested action without an end: %v", w.told()))
	}
	for _, e := range w.published {
		if e.Type == event.ActionStarted || e.Type == event.ActionSucceeded || e.Type == event.ActionFailed {
			require.Contains(t, requests, e.Data.Action.ID, "an action that was never requested")
		}
	}
	s.checkBudget(t)
}

// checkBudget counts the calls that began a run, by the runs' own starts.
func (s *router) checkBudget(t *testing.T) {
	t.Helper()
	var tried []time.Time
	for _, e := range s.w.published {
		if e.Type == event.ActionStarted && e.Data.Workload == "pay" {
			tried = append(tried, e.Time)
		}
	}
	unique := map[int64]time.Time{}
	for _, at := range tried {
		unique[at.UnixNano()] = at
	}
	for _, from := range unique {
		n := 0
		for _, at := range unique {
			if !at.Before(from) && at.Before(from.Add(10*time.Minute)) {
				n++
			}
		}
		require.LessOrEqual(t, n, 4, "actions of the workload within the window")
	}
}
