package router

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a target whose answers a test writes.
type sink struct {
	answer func(n int, batch []event.Event) error

	mu   sync.Mutex
	sent int            // calls of Send
	got  map[string]int // accepted events by id
}

func (s *sink) Send(_ context.Context, batch []event.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	var err error
	if s.answer != nil {
		err = s.answer(s.sent, batch)
	}
	var partial *sinks.Partial
	for i := range batch {
		if err == nil || errors.As(err, &partial) && partial.Errs[i] == nil {
			if s.got == nil {
				s.got = map[string]int{}
			}
			s.got[batch[i].ID]++
		}
	}
	return err
}

func (s *sink) accepted() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for id, n := range s.got {
		out[id] = n
	}
	return out
}

func numbered(n int, name string) event.Event {
	e := stopped()
	e.ID = event.NewID("router", name, fmt.Sprint(n))
	e.Sequence = fmt.Sprintf("%014d-%010d", 1, n)
	e.Recorded = e.Time
	return e
}

// stand is a bus with one route at work.
type stand struct {
	server *natsserver.Server
	bus    *bus.Bus
	router *Router
}

func start(t *testing.T, routes ...Route) stand {
	t.Helper()
	server := bustest.Server(t, natsserver.Options{})
	b := bustest.Connect(t, bus.Options{Server: server})
	for i := range routes {
		if routes[i].When == nil {
			routes[i].When = &Filter{}
		}
		if routes[i].Plan.Batch == 0 {
			routes[i].Plan = Plan{From: bus.All(), Batch: 10, Workers: 2, AckWait: 2 * time.Second, Deliveries: 3}
		}
	}
	r, err := New(routes, Deps{
		Consumer:    func(ctx context.Context, c bus.ConsumerConfig) (Source, error) { return b.Consumer(ctx, c) },
		DeadLetters: b.DeadLetters(),
	})
	require.NoError(t, err)
	require.NoError(t, r.Open(t.Context()))
	run(t, r.Run)
	return stand{server, b, r}
}

// run runs until the test ends.
func run(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
}

func (s stand) publish(t *testing.T, events ...event.Event) {
	t.Helper()
	p := s.bus.NewPublisher()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	for _, e := range events {
		require.NoError(t, p.Publish(t.Context(), e))
	}
	cancel()
	require.NoError(t, <-done)
}

func (s stand) letters(t *testing.T) []bus.DeadLetter {
	t.Helper()
	letters, err := s.bus.DeadLetters().List(t.Context(), 0)
	require.NoError(t, err)
	return letters
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 20*time.Second, 10*time.Millisecond, what)
}

func TestEachRouteGetsWhatItsConditionTakes(t *testing.T) {
	everything, pay := &sink{}, &sink{}
	filter, err := Compile(`workload == "pay" && severity >= warn`)
	require.NoError(t, err)
	s := start(t, Route{Name: "all", Sink: everything}, Route{Name: "pay", Sink: pay, When: filter})
	var events []event.Event
	for i := range 50 {
		e := numbered(i, t.Name())
		if i%2 == 0 {
			e.Data.Workload = "web"
		}
		events = append(events, e)
	}
	s.publish(t, events...)
	eventually(t, "both routes are through", func() bool {
		return len(everything.accepted()) == 50 && len(pay.accepted()) == 25
	})
	for id, n := range everything.accepted() {
		assert.Equal(t, 1, n, id)
	}
}

func TestARouteThatFailsDelaysNoOther(t *testing.T) {
	broken := &sink{answer: func(int, []event.Event) error { return errors.New("connection refused") }}
	well := &sink{}
	s := start(t, Route{Name: "broken", To: "search", Sink: broken}, Route{Name: "well", Sink: well})
	s.publish(t, numbered(1, t.Name()), numbered(2, t.Name()))
	eventually(t, "the other route has both", func() bool { return len(well.accepted()) == 2 })
	eventually(t, "the status says so", func() bool { return s.router.Status()[0].Err != nil })
	assert.Equal(t, "search", s.router.Status()[0].Sink)
	require.NoError(t, s.router.Status()[1].Err)
	assert.Empty(t, s.letters(t), "an outage gives nothing up")
}

func TestATargetThatComesBackGetsEverything(t *testing.T) {
	target := &sink{answer: func(n int, _ []event.Event) error {
		if n <= 4 {
			return errors.New("connection refused")
		}
		return nil
	}}
	s := start(t, Route{Name: "search", Sink: target})
	var events []event.Event
	for i := range 100 {
		events = append(events, numbered(i, t.Name()))
	}
	s.publish(t, events...)
	eventually(t, "all are there", func() bool { return len(target.accepted()) == 100 })
	require.NoError(t, s.router.Status()[0].Err)
	assert.Empty(t, s.letters(t))
}

func TestAPermanentRefusalIsADeadLetterAndTheRestGoesOn(t *testing.T) {
	bad := numbered(1, t.Name())
	target := &sink{answer: func(_ int, batch []event.Event) error {
		partial := &sinks.Partial{Errs: make([]error, len(batch))}
		for i := range batch {
			if batch[i].ID == bad.ID {
				partial.Errs[i] = &sinks.Permanent{Reason: "mapping", Err: errors.New("field is no number")}
			}
		}
		return partial
	}}
	s := start(t, Route{Name: "search", Sink: target})
	s.publish(t, numbered(0, t.Name()), bad, numbered(2, t.Name()))
	eventually(t, "two arrive", func() bool { return len(target.accepted()) == 2 })
	eventually(t, "one is buried", func() bool { return len(s.letters(t)) == 1 })
	letter := s.letters(t)[0]
	assert.Equal(t, "permanent", letter.Class)
	assert.Equal(t, "mapping: field is no number", letter.Reason)
	assert.Equal(t, bad.ID, letter.Event.ID)
}

func TestAnEventThatAloneKeepsFailingIsGivenUp(t *testing.T) {
	bad := numbered(1, t.Name())
	target := &sink{answer: func(_ int, batch []event.Event) error {
		partial := &sinks.Partial{Errs: make([]error, len(batch))}
		for i := range batch {
			if batch[i].ID == bad.ID {
				partial.Errs[i] = errors.New("503 for this one only")
			}
		}
		return partial
	}}
	s := start(t, Route{Name: "search", Sink: target, Plan: Plan{From: bus.All(), Batch: 5, Workers: 1, AckWait: 2 * time.Second, Deliveries: 2}})
	s.publish(t, bad, numbered(2, t.Name()))
	eventually(t, "it is buried", func() bool { return len(s.letters(t)) == 1 })
	assert.Equal(t, "exhausted", s.letters(t)[0].Class)
}

func TestATargetThatNamesADelayGetsIt(t *testing.T) {
	target := &sink{answer: func(n int, _ []event.Event) error {
		if n <= 8 { // by the router's own delays this would take minutes
			return &sinks.Partial{Errs: []error{&sinks.Throttled{After: 10 * time.Millisecond, Err: errors.New("not yet")}}}
		}
		return nil
	}}
	s := start(t, Route{Name: "healer", Sink: target, Plan: Plan{From: bus.All(), Batch: 1, Workers: 1, AckWait: 2 * time.Second, Deliveries: 20}})
	s.publish(t, numbered(1, t.Name()))
	eventually(t, "it arrives", func() bool { return len(target.accepted()) == 1 })
}

func TestWhatCanNotBeDecodedIsBuriedAndTheConsumerGoesOn(t *testing.T) {
	target := &sink{}
	s := start(t, Route{Name: "search", Sink: target})
	bustest.Raw(t, s.server, event.SubjectPrefix+"local.docker._.task.stopped.pay.00", []byte(`{"specversion":"1.0","id":`))
	s.publish(t, numbered(1, t.Name()))
	eventually(t, "the good one arrives", func() bool { return len(target.accepted()) == 1 })
	eventually(t, "the bad one is buried", func() bool { return len(s.letters(t)) == 1 })
	letter := s.letters(t)[0]
	assert.Equal(t, "decode", letter.Class)
	assert.Contains(t, letter.Reason, "invalid event")
}

func TestARedrivenEventReachesItsRouteAgain(t *testing.T) {
	var mended sync.Map
	target := &sink{answer: func(int, []event.Event) error {
		if _, ok := mended.Load("yes"); ok {
			return nil
		}
		return &sinks.Permanent{Reason: "mapping", Err: errors.New("no")}
	}}
	other := &sink{}
	s := start(t, Route{Name: "search", Sink: target}, Route{Name: "other", Sink: other})
	s.publish(t, numbered(1, t.Name()))
	eventually(t, "it is buried", func() bool { return len(s.letters(t)) == 1 })
	eventually(t, "the other has it", func() bool { return len(other.accepted()) == 1 })
	mended.Store("yes", true)
	require.NoError(t, s.bus.DeadLetters().Redrive(t.Context(), s.letters(t)[0].Seq))
	eventually(t, "it arrives", func() bool { return len(target.accepted()) == 1 })
	assert.Empty(t, s.letters(t))
	for _, n := range other.accepted() {
		assert.Equal(t, 1, n, "a redrive is for one route")
	}
}

func TestAConditionThatFailsOnAnEventLeavesItOut(t *testing.T) {
	target := &sink{}
	filter, err := Compile(`task.containers[5].name == "x" || workload == "web"`)
	require.NoError(t, err)
	s := start(t, Route{Name: "odd", Sink: target, When: filter})
	s.publish(t, numbered(1, t.Name()))
	require.NoError(t, s.bus.AwaitDelivered(t.Context(), "odd", 1))
	assert.Empty(t, target.accepted())
}

func TestNewRefusesARouteThatCanNotWork(t *testing.T) {
	_, err := New([]Route{{Name: "x"}}, Deps{})
	require.ErrorContains(t, err, `route "x" needs a sink`)
}
