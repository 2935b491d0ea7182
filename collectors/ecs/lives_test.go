package ecs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// story is a life, what else is told of it, and what must come of it whatever the order.
type story struct {
	name     string
	facts    []*fact
	class    string
	expected bool
	by       string // the initiator's name
	codes    string
}

func noted(n note) *fact { return &fact{note: &n} }

func stories() []story {
	run := func(t *task) { t.Started = sec(30); t.Containers[0].Status = "RUNNING" }
	ended := func(code *int64, reason string) func(*task) {
		return func(t *task) {
			t.DesiredStatus, t.ExecutionStopped = "STOPPED", sec(600)
			t.Containers = []container{{Name: "app", Image: "shop/web:42", Status: "STOPPED", ExitCode: code, Reason: reason}}
		}
	}
	with := func(first func(*task), stopCode, reason string) func(*task) {
		return func(t *task) { first(t); t.StopCode, t.StoppedReason = stopCode, reason }
	}
	final := func(t *task) { t.Stopped = sec(625) }
	begin := func(group, by string) *life { return newLife(group, by).then("PROVISIONING", nil).then("PENDING", nil) }
	early := begin("service:web", "ecs-svc/1").then("RUNNING", run).
		then("DEPROVISIONING", with(ended(code(1), ""), "EssentialContainerExited", "Essential container in task exited")).then("STOPPED", final)
	failed := begin("service:web", "ecs-svc/1").
		then("DEPROVISIONING", with(ended(nil, "CannotPullContainerError: manifest unknown: not found"), failedStart, "Task failed to start")).then("STOPPED", final)
	spot := begin("service:web", "ecs-svc/1").then("RUNNING", run).
		then("RUNNING", func(t *task) {
			t.DesiredStatus, t.StopCode, t.StoppedReason = "STOPPED", "SpotInterruption", "Your Spot Task was interrupted."
		}).
		then("STOPPED", with(ended(code(143), ""), "SpotInterruption", "Your Spot Task was interrupted."))
	job := begin("family:report", "cron").then("RUNNING", run).
		then("STOPPED", with(ended(code(0), ""), "EssentialContainerExited", "Essential container in task exited"))
	byUser := with(ended(code(143), ""), "UserInitiated", "Task stopped by user")
	user := begin("service:web", "ecs-svc/1").then("RUNNING", run).then("DEPROVISIONING", byUser).then("STOPPED", final)
	replaced := scaleIn()
	late := begin("service:web", "ecs-svc/1").then("RUNNING", run).
		then("DEPROVISIONING", with(ended(nil, ""), "EssentialContainerExited", "Essential container in task exited")).
		then("STOPPED", ended(code(139), ""))
	drained := begin("service:web", "ecs-svc/1")
	drained.task.Instance = testHost
	drained.then("RUNNING", run).then("STOPPED", with(ended(nil, ""), "TerminationNotice", "Host EC2 (instance i-0abc) terminated."))
	return []story{
		{"scale-in with 137", scaleIn().facts, "scheduler.scaling", true, "ecs-svc/1", "app=137"},
		{"early stop", early.facts, "exit.error", false, "", "app=1"},
		{"start failure", failed.facts, "start.image.notfound", false, "", ""},
		{"spot", spot.facts, "spot.interruption", true, "", "app=143"},
		{"job", job.facts, "exit.zero.standalone", true, "", "app=0"},
		{"user, CloudTrail", append(user.facts, noted(note{Task: testTask, Cluster: testCluster, Requester: "alice", At: sec(590)})), "user.stop", true, "alice", "app=143"},
		{
			"deploy", append(replaced.facts,
				noted(note{Deployment: "ecs-svc/1", Cluster: testCluster, Service: "web", State: "completed", At: sec(-900)}),
				noted(note{Deployment: "ecs-svc/2", Cluster: testCluster, Service: "web", State: "in_progress", At: sec(500)}),
				noted(note{Deployment: "ecs-svc/2", Cluster: testCluster, Service: "web", State: "completed", At: sec(700)}),
				noted(note{Deployment: "ecs-svc/3", Cluster: testCluster, Service: "web", State: "in_progress", At: sec(9000)})),
			"deploy.replaced", true, "ecs-svc/2", "app=137",
		},
		{"code comes late", late.facts, "exit.crash", false, "", "app=139"},
		{
			"drained host", append(drained.facts,
				noted(note{Host: testHost, EC2: "i-0abc", Cluster: testCluster, Draining: true, At: sec(500)}),
				noted(note{EC2: "i-0abc", Spot: true, At: sec(480)})),
			"host.lost", true, "i-0abc", "",
		},
	}
}

// verify holds what must be so of a life, however it was told.
func (s *story) verify(t *testing.T, m *machine, p *published) {
	t.Helper()
	var first, last *event.Event
	versions := map[string]bool{}
	stops := p.stops()
	for i := range stops {
		if stops[i].Data.Supersedes == "" {
			require.Nil(t, first, "two stops that supersede nothing: %s", p.types())
			first = &stops[i]
		} else {
			require.NotNil(t, first, "amended before it was told: %s", p.types())
			assert.Equal(t, first.ID, stops[i].Data.Supersedes)
		}
		last = &stops[i]
	}
	require.NotNil(t, first, "%s", p.types())
	c := last.Data.Cause
	assert.Equal(t, s.class, c.Class)
	assert.Equal(t, s.expected, c.Expected)
	assert.Equal(t, s.by, c.InitiatorName)
	assert.Equal(t, s.codes, verdictOf(&last.Data).Codes)
	for i := range p.events {
		e := &p.events[i]
		versions[e.ID] = true
		assert.Equal(t, lastPart(testTask), e.Data.Task.Run)
		require.NoError(t, event.Validate(e))
	}
	for _, f := range s.facts {
		if f.task != nil {
			assert.True(t, versions[f.event.ID], "version %d is told", f.task.Version)
		}
	}
	e := &entry{key: taskKey(testCluster, testTask)}
	_, err := m.fetch(t.Context(), e)
	require.NoError(t, err)
	assert.Equal(t, event.StateStopped, e.saved.State)
	assert.Equal(t, "STOPPED", e.saved.Status)
	assert.True(t, e.saved.Stop.Settled)
	assert.Equal(t, verdictOf(&last.Data), e.saved.Stop.Verdict, "what is saved is what was told")
}

// Any order and any repetition of what is told of a task come to the same.
func TestAnyOrderOfALifeComesToTheSame(t *testing.T) {
	t.Parallel()
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			for range 400 {
				order := slices.Concat(s.facts, s.facts[:r.IntN(len(s.facts)+1)])
				r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				m, p := testMachine(nil), &published{}
				handleAll(t, m, p, order...)
				s.verify(t, m, p)
				if t.Failed() {
					for _, f := range order {
						t.Logf("%s note %+v", f.event.ID, f.note)
						if f.task != nil {
							t.Logf("  v%d %s", f.task.Version, f.task.LastStatus)
						}
					}
					return
				}
			}
		})
	}
}

var errCrash = errors.New("crash")

// crashing fails at one of its calls, before or after it has done it.
type crashing struct {
	Store
	at, calls int
	done      bool // the call is done and its answer lost
}

func (c *crashing) step() bool { c.calls++; return c.calls-1 == c.at }

func (c *crashing) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if c.step() {
		return nil, 0, errCrash
	}
	return c.Store.Get(ctx, key)
}

func (c *crashing) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, bool, error) {
	if !c.step() {
		return c.Store.Put(ctx, key, value, revision)
	}
	if c.done {
		if _, _, err := c.Store.Put(ctx, key, value, revision); err != nil {
			return 0, false, err
		}
	}
	return 0, false, errCrash
}

// A collector that ends at any point of its work, and whose message another gets, tells the same.
func TestACrashAtEveryPointLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	for _, s := range stories() {
		for _, reversed := range []bool{false, true} {
			t.Run(fmt.Sprint(s.name, " reversed ", reversed), func(t *testing.T) {
				t.Parallel()
				facts := slices.Clone(s.facts)
				if reversed {
					slices.Reverse(facts)
				}
				points := 0
				for at := 0; ; at++ {
					reached := false
					for _, done := range []bool{false, true} {
						if crashAt(t, &s, facts, at, done) {
							reached = true
							points++
						}
					}
					if t.Failed() || !reached {
						break
					}
				}
				assert.Greater(t, points, 2*len(facts))
			})
		}
	}
}

// crashAt lets a collector end at a call of the store or the stream, each of which may have been done, and goes
// on with a new one. It reports whether there was such a call.
func crashAt(t *testing.T, s *story, facts []*fact, at int, done bool) bool {
	t.Helper()
	store := newMemoryStore()
	p := &published{}
	c := &crashing{Store: store, at: at, done: done}
	m := testMachine(c)
	crashed := false
	for _, f := range facts {
		err := m.handle(t.Context(), f, func(ctx context.Context, o out) error {
			if !c.step() {
				return p.tell(ctx, o)
			}
			if done {
				_ = p.tell(ctx, o)
			}
			return errCrash
		})
		if err == nil {
			continue
		}
		require.ErrorIs(t, err, errCrash)
		crashed = true
		c.at = -1
		m = testMachine(c) // nothing is left of the old one but what it has saved
		require.NoError(t, m.load(t.Context()))
		handleAll(t, m, p, f)
	}
	if crashed {
		s.verify(t, m, p)
	}
	return crashed
}

// Two collectors on one queue that get everything twice, at the same time, tell each stop once.
func TestTwoMachinesOnOneStore(t *testing.T) {
	t.Parallel()
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			rounds := 60
			if s.name == "deploy" {
				rounds++ // the last one on a real bucket
			}
			for round := range rounds {
				var store Store = newMemoryStore()
				if round == 60 {
					bucket, err := bustest.New(t).Bucket(t.Context(), "VERSIONS")
					require.NoError(t, err)
					store = bucket
				}
				p := &published{}
				var mu sync.Mutex
				tell := func(ctx context.Context, o out) error {
					mu.Lock()
					defer mu.Unlock()
					return p.tell(ctx, o)
				}
				machines := []*machine{testMachine(store), testMachine(store)}
				var all sync.WaitGroup
				for i, m := range machines {
					order := slices.Clone(s.facts)
					rand.New(rand.NewPCG(uint64(round), uint64(i))).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
					for k := range 2 { // pollers
						all.Go(func() {
							for n := k; n < len(order); n += 2 {
								for m.handle(t.Context(), order[n], tell) != nil {
									continue
								}
							}
						})
					}
				}
				all.Wait()
				s.verify(t, machines[0], p)
				if t.Failed() {
					return
				}
			}
		})
	}
}

func TestAClaimThatWasNotToldIsToldByWhoeverComes(t *testing.T) {
	t.Parallel()
	s := stories()[1]
	store, p := newMemoryStore(), &published{}
	m := testMachine(store)
	handleAll(t, m, p, s.facts[:3]...)
	p.fail = func(out) error { return errCrash }
	require.ErrorIs(t, m.handle(t.Context(), s.facts[3], p.tell), errCrash)
	p.fail = nil

	m = testMachine(store)
	require.NoError(t, m.load(t.Context()))
	live := m.live(testCluster)
	require.Len(t, live, 1)
	assert.True(t, live[0].Unsettled)
	require.NoError(t, m.resume(t.Context(), p.tell))
	require.Len(t, p.stops(), 1)
	assert.Equal(t, s.facts[3].event.ID, p.stops()[0].ID)
	assert.Empty(t, m.live(testCluster))
	handleAll(t, m, p, s.facts...)
	s.verify(t, m, p)
}

func TestVanishedThenSeen(t *testing.T) {
	t.Parallel()
	s := stories()[1]
	at := time.Date(2026, 11, 3, 5, 0, 0, 0, time.UTC)
	store, p := newMemoryStore(), &published{}
	m := testMachine(store)
	handleAll(t, m, p, s.facts[:3]...)
	live := m.live(testCluster)
	require.Len(t, live, 1)
	assert.Equal(t, int64(3), live[0].Version)
	require.NoError(t, m.vanish(t.Context(), live[0], at, p.tell))
	require.NoError(t, m.vanish(t.Context(), live[0], at, p.tell), "found twice")
	require.Len(t, p.stops(), 1)
	gone := p.stops()[0]
	require.NoError(t, event.Validate(&gone))
	assert.Equal(t, "unknown.lost", gone.Data.Cause.Class)
	assert.Equal(t, event.ObservedReconcile, gone.Data.Observed)
	assert.Equal(t, "web", gone.Data.Workload)
	assert.Empty(t, m.live(testCluster))

	handleAll(t, m, p, s.facts[3:]...)
	assert.Equal(t, "created updated started stopped stopped* updated", p.types())
	s.verify(t, m, p)
}

// What ECS did not list for a moment lives on, and its end is told as the end that was told wrongly.
func TestVanishedButAlive(t *testing.T) {
	t.Parallel()
	m, p := testMachine(nil), &published{}
	l := newLife("service:web", "ecs-svc/1").then("RUNNING", nil)
	handleAll(t, m, p, l.facts...)
	require.NoError(t, m.vanish(t.Context(), m.live(testCluster)[0], sec(100), p.tell))
	l.then("RUNNING", nil)
	handleAll(t, m, p, l.last())
	require.Len(t, m.live(testCluster), 1)
	l.then("STOPPED", func(t *task) { t.DesiredStatus, t.StopCode = "STOPPED", "UserInitiated" })
	handleAll(t, m, p, l.last())
	assert.Equal(t, "started stopped updated stopped*", p.types())
	assert.Empty(t, m.live(testCluster))
}

// What reconciling finds has the ids of what the stream tells, whichever is first.
func TestReconciledAndStreamedCollapse(t *testing.T) {
	t.Parallel()
	for _, first := range []event.Observed{event.ObservedReconcile, event.ObservedStream} {
		s := stories()[1]
		m, p := testMachine(nil), &published{}
		marked := func(o event.Observed) *fact {
			f := *s.facts[len(s.facts)-1]
			f.event.Data.Observed = o
			return &f
		}
		second := event.ObservedStream
		if first == second {
			second = event.ObservedReconcile
		}
		handleAll(t, m, p, s.facts[0], marked(first), marked(second))
		require.Len(t, p.stops(), 1)
		assert.Equal(t, first, p.stops()[0].Data.Observed)
		assert.Equal(t, 2, p.all)
		handleAll(t, m, p, s.facts...)
		s.verify(t, m, p)
	}
}

// between calls do once, before a task that has ended is first written.
type between struct {
	Store
	do func()
}

func (s *between) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, bool, error) {
	if r, _, err := readRecord(value); err == nil && r.Stop != nil && s.do != nil {
		do := s.do
		s.do = nil
		do()
	}
	return s.Store.Put(ctx, key, value, revision)
}

// What another collector notes after a stop was judged and before it was claimed is not lost.
func TestANoteBetweenJudgementAndClaim(t *testing.T) {
	t.Parallel()
	for _, s := range stories() {
		notes := slices.DeleteFunc(slices.Clone(s.facts), func(f *fact) bool { return f.note == nil })
		lives := slices.DeleteFunc(slices.Clone(s.facts), func(f *fact) bool { return f.note != nil })
		if len(notes) == 0 {
			continue
		}
		store, p := newMemoryStore(), &published{}
		slow := &between{Store: store}
		m, other := testMachine(slow), testMachine(store)
		slow.do = func() { handleAll(t, other, p, notes...) }
		handleAll(t, m, p, lives...)
		assert.Nil(t, slow.do)
		s.verify(t, m, p)
	}
}
