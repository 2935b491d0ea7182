package restart

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a runtime, a stream and a ledger in memory, for tests in virtual time; a real daemon and real
// streams are in the end-to-end tests.
type world struct {
	mu        sync.Mutex
	tasks     map[string]*State
	lives     func(run int) (lifetime time.Duration, exit int64) // of the nth run; 0 is for ever
	failStart error
	failOnly  string // the task that failStart is about; empty is all
	failState error
	slow      time.Duration
	runs      int
	calls     []string       // "start a", in order
	effective map[string]int // trigger → runs that its calls began
	wrong     []string       // calls that should not have been made
	values    map[string][]byte
	revisions map[string]uint64
	published []event.Event
	refuse    error         // of Publish
	deaths    []event.Event // stops of runs that ended by themselves
	stands    []Dependant   // in order, whatever the task
	op        func(ctx context.Context, name string) (before, after error)
}

func newWorld() *world {
	return &world{
		tasks: map[string]*State{}, effective: map[string]int{}, values: map[string][]byte{}, revisions: map[string]uint64{},
		lives: func(int) (time.Duration, int64) { return 0, 0 },
		op:    func(context.Context, string) (error, error) { return nil, nil },
	}
}

type triggerKey struct{}

func (w *world) State(ctx context.Context, t Target) (State, error) {
	before, after := w.op(ctx, "state")
	if before != nil {
		return State{}, before
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failState != nil {
		return State{}, w.failState
	}
	if s, ok := w.tasks[t.ID]; ok {
		return *s, after
	}
	return State{}, after
}

func (w *world) Start(ctx context.Context, t Target) error { return w.run(ctx, t.ID, "start") }

func (w *world) Restart(ctx context.Context, t Target) error { return w.run(ctx, t.ID, "restart") }

func (w *world) Dependants(ctx context.Context, t Target) ([]Dependant, error) {
	before, after := w.op(ctx, "dependants")
	if before != nil {
		return nil, before
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []Dependant
	for _, d := range w.stands {
		if s := w.tasks[d.ID]; s != nil && d.ID != t.ID && s.Running && s.before(t.Run) {
			d.Run, d.On = s.Run(), slices.Clone(d.On)
			found = append(found, d)
		}
	}
	return connected(t.ID, found), after
}

// stand puts a running task of its own workload into the world that stands on others.
func (w *world) stand(task string, labels map[string]string, on ...string) *State {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &State{Found: true, Running: true, Started: time.Now().Add(-time.Minute), Labels: labels, Name: "/" + task}
	w.tasks[task] = s
	w.stands = append(w.stands, Dependant{ID: task, Name: task, Workload: task, On: on, Why: "it shares the network of " + on[0]})
	return s
}

func (w *world) run(ctx context.Context, task, call string) error {
	before, after := w.op(ctx, call)
	if before != nil {
		return before
	}
	trigger, _ := ctx.Value(triggerKey{}).(*event.Event)
	w.mu.Lock()
	w.calls = append(w.calls, call+" "+task)
	if s := w.tasks[task]; trigger != nil && s != nil && trigger.Data.Task.ID == task && !s.same(trigger) {
		w.wrong = append(w.wrong, "called for "+trigger.ID+" when another run was the last")
	}
	w.mu.Unlock()
	if after != nil { // the caller is gone, the runtime goes on
		time.AfterFunc(w.slow, func() { w.effect(trigger, task, call) }) //nolint:errcheck // nobody is left to hear of it
		return after
	}
	if w.slow > 0 {
		select {
		case <-time.After(w.slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return w.effect(trigger, task, call)
}

func (w *world) effect(trigger *event.Event, task, call string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.tasks[task]
	switch {
	case !ok:
		return errors.New("no such task")
	case w.failStart != nil && (w.failOnly == "" || w.failOnly == task):
		return w.failStart
	case call == "start" && s.Running:
		return nil
	}
	switch {
	case trigger != nil && trigger.Data.Task.ID == task:
		w.effective[trigger.ID]++
	case trigger != nil:
		w.effective[task+" after "+trigger.ID]++
	}
	w.begin(task)
	return nil
}

// begin begins a run, under mu.
func (w *world) begin(task string) {
	s := w.tasks[task]
	w.runs++
	s.Started, s.Running = time.Now().Add(time.Nanosecond*time.Duration(w.runs)), true
	if s.Health != "" {
		s.Health = "healthy"
	}
	if life, exit := w.lives(w.runs); life > 0 {
		run := s.Started
		time.AfterFunc(life, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if s.Running && s.Started.Equal(run) {
				s.Running, s.ExitCode = false, exit
				w.deaths = append(w.deaths, stopOf(task, s, exit))
			}
		})
	}
}

func (w *world) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	before, after := w.op(ctx, "get")
	if before != nil {
		return nil, 0, before
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.values[key]), w.revisions[key], after
}

func (w *world) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, bool, error) {
	before, after := w.op(ctx, "put")
	if before != nil {
		return 0, false, before
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.revisions[key] != revision {
		return 0, false, after
	}
	w.revisions[key]++
	w.values[key] = slices.Clone(value)
	return w.revisions[key], true, after
}

func (w *world) Publish(ctx context.Context, e event.Event) error {
	before, after := w.op(ctx, "publish")
	if before != nil {
		return before
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return w.refuse
	}
	w.published = append(w.published, e)
	return after
}

// told returns the published events by kind, each id once.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	seen := map[string]bool{}
	for _, e := range w.published {
		if !seen[e.ID] {
			words = append(words, e.Type.Event())
		}
		seen[e.ID] = true
	}
	return words
}

// last returns the latest published event.
func (w *world) last() event.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.published[len(w.published)-1]
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) called() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// stopped puts a task with one ended run into the world and returns the event of its end.
func (w *world) stopped(task string, labels map[string]string) event.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if labels == nil {
		labels = map[string]string{}
	}
	if _, ok := labels[labelRestart]; !ok {
		labels[labelRestart] = wantOnFailure
	}
	s := &State{Found: true, Started: now.Add(-time.Second), ExitCode: 3, Labels: labels, Name: "/" + task}
	w.tasks[task] = s
	return stopOf(task, s, 3)
}

func stopOf(task string, s *State, exit int64) event.Event {
	now := time.Now()
	e := event.Event{
		ID: event.NewID("test", task, s.Run()), Type: event.TaskStopped, Source: "bellbuoy://local/docker/n1", Subject: "shop/pay/" + task,
		PartitionKey: "shop/pay/" + task, Time: now, Recorded: now,
		Data: event.Data{
			Site: "local", Runtime: event.Docker, Scope: "shop", Node: "n1", Workload: "pay", Observed: event.ObservedStream, Labels: maps.Clone(s.Labels),
			Task: &event.Task{
				ID: task, Name: task, Run: s.Run(), State: event.StateStopped, Times: event.Times{Started: s.Started, Stopped: now},
				Containers: []event.Container{{ID: task, ExitCode: &exit}},
			},
			Cause: &event.Cause{Class: "exit.error", Confidence: event.Fact, Initiator: "app", Say: fmt.Sprintf("exit code %d", exit)},
		},
	}
	e.Severity = event.SeverityOf(&e)
	return e
}

// unhealthy puts a running task whose probe fails into the world and returns the event.
func (w *world) unhealthy(task string) event.Event {
	e := w.stopped(task, map[string]string{labelRestart: wantUnhealthy})
	w.set(func() { w.tasks[task].Running, w.tasks[task].Health = true, "unhealthy" })
	e.ID, e.Type, e.Data.Cause, e.Data.Task.State = event.NewID("sick", task), event.TaskUnhealthy, nil, event.StateUnhealthy
	return e
}

func (w *world) handler(t *testing.T, change ...func(*Config)) *Handler {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Mode = Act
	for _, c := range change {
		c(&cfg)
	}
	h, err := New(cfg, Deps{Name: "healer", Node: "n1", Publisher: w, Ledger: w, Restarters: map[event.Runtime]Restarter{event.Docker: w}})
	require.NoError(t, err)
	return h
}

// deliver hands one event over and returns how long until it wants to be delivered again; 0 is done.
func deliver(ctx context.Context, h *Handler, e event.Event) (time.Duration, error) {
	err := h.Send(context.WithValue(ctx, triggerKey{}, &e), []event.Event{e})
	var partial *sinks.Partial
	var throttled *sinks.Throttled
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &partial) && errors.As(partial.Errs[0], &throttled):
		return throttled.After, nil
	}
	return time.Second, err
}

// finish redelivers as the router does until the event is done.
func finish(t *testing.T, h *Handler, e event.Event) {
	t.Helper()
	for range 200 {
		wait, err := deliver(t.Context(), h, e)
		require.NoError(t, err)
		if wait == 0 {
			return
		}
		<-time.After(wait)
	}
	require.Fail(t, "the event is never done")
}

func number(i int) string { return strconv.Itoa(i) }
