package sinktest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// Options is what the suite needs to know of a sink.
type Options struct {
	// New makes a sink whose target is at the URL; it is called once per check. A sink that retries by
	// itself should do so within milliseconds.
	New func(t *testing.T, url string) sinks.Sink
	// Accept answers a request as the target does if it takes everything. Nil: the sink speaks no HTTP,
	// and the checks that need a target are left out.
	Accept http.HandlerFunc
	// Refuse answers as the target does with this status. Nil: the status and a short text.
	Refuse func(w http.ResponseWriter, r *http.Request, status int)
	// Classes has the class of each status to try. Nil: DefaultClasses.
	Classes map[int]Class
	// Events is a batch that the sink hands on. Nil: Alerts.
	Events func() []event.Event
	// Whole says that the sink hands on events as they are, so that one without what an event needs is refused for good.
	Whole bool
	// Secrets must not be in any error.
	Secrets []string
}

// DefaultClasses returns the classes of plain HTTP.
func DefaultClasses() map[int]Class {
	return map[int]Class{400: Permanent, 413: Permanent, 429: Throttled, 500: Retryable, 502: Retryable, 503: Retryable, 504: Retryable}
}

// patience is how long the suite waits for what should happen at once.
const patience = 10 * time.Second

// Run holds the sink to the contract of package sinks.
func Run(t *testing.T, o Options) {
	if o.Events == nil {
		o.Events = Alerts
	}
	if o.Classes == nil {
		o.Classes = DefaultClasses()
	}
	if o.Refuse == nil {
		o.Refuse = func(w http.ResponseWriter, _ *http.Request, status int) { http.Error(w, "scripted", status) }
	}
	t.Run("accepts", o.accepts)
	t.Run("empty batch", o.emptyBatch)
	t.Run("every sample", o.everySample)
	t.Run("ended context", o.endedContext)
	t.Run("concurrent", o.concurrent)
	t.Run("no goroutine left", o.leaks)
	if o.Accept == nil {
		return
	}
	t.Run("cancel", o.cancel)
	t.Run("hung up", o.hungUp)
	t.Run("nobody there", o.nobodyThere)
	for _, status := range slices.Sorted(maps.Keys(o.Classes)) {
		t.Run(fmt.Sprintf("status %d", status), func(t *testing.T) { o.status(t, status, o.Classes[status]) })
	}
}

// open returns a sink and its target, which accepts. The target is nil if the sink has none.
func (o *Options) open(t *testing.T) (sinks.Sink, *target) {
	t.Helper()
	if o.Accept == nil {
		return o.New(t, ""), nil
	}
	tg := newTarget(t)
	tg.play(o.Accept)
	return o.New(t, tg.URL), tg
}

// send sends and checks what holds for every outcome.
func (o *Options) send(ctx context.Context, t *testing.T, s sinks.Sink, batch []event.Event) error {
	t.Helper()
	before := encode(t, batch)
	err := s.Send(ctx, batch)
	assert.Equal(t, before, encode(t, batch), "Send changed the batch")
	if err != nil {
		for _, secret := range o.Secrets {
			assert.NotContains(t, err.Error(), secret, "a secret is in the error")
		}
	}
	return err
}

func (o *Options) accepts(t *testing.T) {
	s, tg := o.open(t)
	require.NoError(t, o.send(t.Context(), t, s, o.Events()))
	if tg != nil {
		assert.Positive(t, tg.requests(), "Send returned nil and the target saw no request")
	}
}

func (o *Options) emptyBatch(t *testing.T) {
	s, _ := o.open(t)
	assert.NoError(t, o.send(t.Context(), t, s, nil))
}

// everySample sends each kind of event: what a sink has no use for is accepted, not an error.
func (o *Options) everySample(t *testing.T) {
	s, _ := o.open(t)
	for _, sample := range Samples() {
		assert.NoError(t, o.send(t.Context(), t, s, []event.Event{sample.Event}), sample.Name)
	}
	err := o.send(t.Context(), t, s, []event.Event{{ID: "bare"}})
	if o.Whole {
		var permanent *sinks.Permanent
		assert.ErrorAs(t, err, &permanent, "what is no event")
		return
	}
	assert.NoError(t, err, "an event without data")
}

func (o *Options) endedContext(t *testing.T) {
	s, _ := o.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := o.send(ctx, t, s, o.Events())
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, Cancelled, ClassOf(err), "an ended context is not the event's fault")
}

func (o *Options) concurrent(t *testing.T) {
	s, _ := o.open(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				assert.NoError(t, s.Send(t.Context(), o.Events()))
			}
		})
	}
	wg.Wait()
}

func (o *Options) leaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("use", func(t *testing.T) {
		s, _ := o.open(t)
		for range 3 {
			assert.NoError(t, s.Send(t.Context(), o.Events()))
		}
	})
	goleak.VerifyNone(t, before)
}

func (o *Options) cancel(t *testing.T) {
	s, tg := o.open(t)
	release := make(chan struct{})
	defer close(release)
	tg.play(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Send(ctx, o.Events()) }()
	within(t, tg.seen, "the target saw no request")
	cancel()
	err := within(t, ended, "Send goes on after its context ended")
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, Cancelled, ClassOf(err))
}

func (o *Options) hungUp(t *testing.T) {
	s, tg := o.open(t)
	tg.play(hangUp)
	err := o.send(t.Context(), t, s, o.Events())
	assert.Equal(t, Retryable, ClassOf(err), "%v", err)
	tg.play(o.Accept)
	assert.NoError(t, o.send(t.Context(), t, s, o.Events()), "Send does not recover")
}

func (o *Options) nobodyThere(t *testing.T) {
	s, tg := o.open(t)
	tg.Close()
	err := o.send(t.Context(), t, s, o.Events())
	assert.Equal(t, Retryable, ClassOf(err), "%v", err)
}

func (o *Options) status(t *testing.T, status int, want Class) {
	s, tg := o.open(t)
	tg.play(func(w http.ResponseWriter, r *http.Request) { o.Refuse(w, r, status) })
	err := o.send(t.Context(), t, s, o.Events())
	assert.Equal(t, want, ClassOf(err), "%v", err)
	assert.Positive(t, tg.requests())
	tg.play(o.Accept)
	assert.NoError(t, o.send(t.Context(), t, s, o.Events()), "Send does not recover")
}

func within[T any](t *testing.T, c <-chan T, otherwise string) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		require.FailNow(t, otherwise)
	}
	return *new(T)
}

// encode is what a batch is compared by.
func encode(t *testing.T, batch []event.Event) []string {
	t.Helper()
	var all []string
	for i := range batch {
		b, err := event.Append(nil, &batch[i])
		if err != nil {
			b = fmt.Appendf(nil, "%+v", batch[i])
		}
		all = append(all, string(b))
	}
	return all
}
