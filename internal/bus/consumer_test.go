package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
)

func consumer(t *testing.T, b *bus.Bus, cfg bus.ConsumerConfig) *bus.Consumer {
	t.Helper()
	c, err := b.Consumer(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

func TestFetchGivesWhatThereIsInOrder(t *testing.T) {
	b := bustest.New(t)
	bustest.Publish(t, b, bustest.Numbers(0, 50)...)
	c := consumer(t, b, bus.ConsumerConfig{Name: "search"})
	got := bustest.Fetch(t, c, 50)
	for i, d := range got {
		require.NoError(t, d.Err)
		assert.Equal(t, bustest.Event(i), d.Event)
		assert.Equal(t, 1, d.Attempt)
		assert.EqualValues(t, i+1, d.Sequence)
		assert.EqualValues(t, 49-i, d.Pending)
		assert.WithinDuration(t, time.Now(), d.Stored, bustest.Wait)
	}
	info, err := c.Info(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 50, info.AckPending)
	assert.Positive(t, info.Oldest)
	for _, d := range got {
		require.NoError(t, d.Ack())
	}
	require.Eventually(t, func() bool {
		info, err = c.Info(t.Context())
		return err == nil && info == bus.Info{}
	}, bustest.Wait, time.Millisecond)
}

func TestFetchWaitsAndLingers(t *testing.T) {
	b := bustest.New(t)
	c := consumer(t, b, bus.ConsumerConfig{Name: "search"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Fetch(ctx, 10, time.Second)
	require.ErrorIs(t, err, context.DeadlineExceeded, "nothing came")

	p := bustest.Publisher(t, b)
	require.NoError(t, p.Publish(t.Context(), bustest.Event(0)))
	published := make(chan error, 2)
	time.AfterFunc(100*time.Millisecond, func() { published <- p.Publish(t.Context(), bustest.Event(1)) })
	got, err := c.Fetch(t.Context(), 10, time.Second)
	require.NoError(t, err)
	assert.Len(t, got, 2, "the one that came within the linger is in")

	time.AfterFunc(50*time.Millisecond, func() { published <- p.Publish(t.Context(), bustest.Event(2)) })
	began := time.Now()
	got, err = c.Fetch(t.Context(), 10, 0)
	require.NoError(t, err)
	assert.Len(t, got, 1)
	assert.Less(t, time.Since(began), time.Second, "without linger it returns with the first")
	require.NoError(t, <-published)
	require.NoError(t, <-published)
}

func TestFetchAtMaxAckPending(t *testing.T) {
	b := bustest.New(t)
	bustest.Publish(t, b, bustest.Numbers(0, 10)...)
	c := consumer(t, b, bus.ConsumerConfig{Name: "pager", MaxAckPending: 4})
	got, err := c.Fetch(t.Context(), 10, time.Millisecond)
	require.NoError(t, err)
	require.Len(t, got, 4, "the server gives no more before an answer")
	for _, d := range got {
		require.NoError(t, d.Ack())
	}
	assert.Equal(t, bustest.Event(4), bustest.Fetch(t, c, 1)[0].Event)
}

// What a process held when it died must not wait for its AckWait, if there is only one process.
func TestAloneGetsAtOnceWhatAnEarlierOneHeld(t *testing.T) {
	b := bustest.New(t)
	bustest.Publish(t, b, bustest.Numbers(0, 5)...)
	cfg := bus.ConsumerConfig{Name: "pager", AckWait: time.Hour, Alone: true}
	died := consumer(t, b, cfg)
	got := bustest.Fetch(t, died, 5)
	require.NoError(t, got[0].Ack())
	require.NoError(t, died.Close())

	again := consumer(t, b, cfg)
	got = bustest.Fetch(t, again, 4)
	for _, d := range got {
		assert.Equal(t, 2, d.Attempt)
	}
	bounded, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := again.Fetch(bounded, 1, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded, "AckWait is an hour again")
}

func TestRedelivery(t *testing.T) {
	b := bustest.New(t)
	bustest.Publish(t, b, bustest.Numbers(0, 5)...)
	c := consumer(t, b, bus.ConsumerConfig{Name: "pager", AckWait: 300 * time.Millisecond})
	got := bustest.Fetch(t, c, 5)
	require.NoError(t, got[0].DoubleAck(t.Context()))
	require.NoError(t, got[1].NakAfter(0))
	require.NoError(t, got[2].NakAfter(time.Hour))
	require.NoError(t, got[3].Term("no use"))
	// 4: no answer at all.
	for _, want := range []int{1, 4} { // given back: at once; not answered: after the AckWait
		again := bustest.Fetch(t, c, 1)[0]
		assert.Equal(t, bustest.Event(want), again.Event)
		assert.Equal(t, 2, again.Attempt)
		require.NoError(t, again.DoubleAck(t.Context()))
	}
	info, err := c.Info(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, info.AckPending, "the one to come in an hour")
	assert.Positive(t, info.Oldest)

	bustest.Publish(t, b, bustest.Event(5))
	d := bustest.Fetch(t, c, 1)[0]
	assert.Equal(t, bustest.Event(5), d.Event)
	for range 5 { // longer than the AckWait
		require.NoError(t, d.InProgress())
		wait(t, 100*time.Millisecond)
	}
	require.NoError(t, d.DoubleAck(t.Context()))
	info, err = c.Info(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, info.AckPending, "not redelivered while in progress")
}

func wait(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
}

func TestUndecodableIsDelivered(t *testing.T) {
	s := bustest.Server(t, natsserver.Options{})
	b := bustest.Connect(t, bus.Options{Server: s})
	js := raw(t, s)
	for _, body := range []string{"not an event", "", `{"specversion":"1.0"}`} {
		_, err := js.Publish(t.Context(), "bellbuoy.events.v1.test.docker.shop.task.stopped.web.00", []byte(body))
		require.NoError(t, err)
	}
	bustest.Publish(t, b, bustest.Event(1))
	c := consumer(t, b, bus.ConsumerConfig{Name: "search"})
	got := bustest.Fetch(t, c, 4)
	for _, d := range got[:3] {
		require.Error(t, d.Err)
		assert.Zero(t, d.Event)
		require.NoError(t, d.Term("can't be decoded"))
	}
	assert.Equal(t, "not an event", string(got[0].Raw))
	assert.Equal(t, bustest.Event(1), got[3].Event)
}

func TestFiltersAndStart(t *testing.T) {
	b := bustest.New(t)
	bustest.Publish(t, b, bustest.Numbers(0, 10)...)
	one := consumer(t, b, bus.ConsumerConfig{Name: "one", Filters: []string{"bellbuoy.events.v1.*.*.*.task.*.app-3.>"}})
	assert.Equal(t, bustest.Event(3), bustest.Fetch(t, one, 1)[0].Event)
	fresh := consumer(t, b, bus.ConsumerConfig{Name: "fresh", From: bus.New()})
	since := consumer(t, b, bus.ConsumerConfig{Name: "since", From: bus.At(time.Now().Add(-time.Hour))})
	bustest.Publish(t, b, bustest.Event(13))
	assert.Equal(t, bustest.Event(13), bustest.Fetch(t, one, 1)[0].Event)
	assert.Equal(t, bustest.Event(13), bustest.Fetch(t, fresh, 1)[0].Event)
	assert.Equal(t, bustest.Event(0), bustest.Fetch(t, since, 1)[0].Event)

	// Filters of an existing route change; where it is does not.
	moved := consumer(t, b, bus.ConsumerConfig{Name: "fresh", Filters: []string{"bellbuoy.events.v1.*.*.*.task.*.app-4.>"}})
	bustest.Publish(t, b, bustest.Event(23), bustest.Event(24))
	assert.Equal(t, bustest.Event(24), bustest.Fetch(t, moved, 1)[0].Event)

	_, err := b.Consumer(t.Context(), bus.ConsumerConfig{Name: "bad", Filters: []string{"bellbuoy.events.v1.>", "bellbuoy.events.v1.a.>"}})
	require.ErrorContains(t, err, "route bad")
	_, err = b.Consumer(t.Context(), bus.ConsumerConfig{})
	require.ErrorContains(t, err, "no name")
}

// TestDeletedConsumerRecovers: an operator deletes the durable while the route waits.
func TestDeletedConsumerRecovers(t *testing.T) {
	s := bustest.Server(t, natsserver.Options{})
	b := bustest.Connect(t, bus.Options{Server: s})
	p := bustest.Publisher(t, b)
	for i := range 5 {
		require.NoError(t, p.Publish(t.Context(), bustest.Event(i)))
	}
	c := consumer(t, b, bus.ConsumerConfig{Name: "search"})
	for _, d := range bustest.Fetch(t, c, 5) {
		require.NoError(t, d.DoubleAck(t.Context()))
	}
	js := raw(t, s)
	type result struct {
		got []*bus.Delivery
		err error
	}
	done := make(chan result, 1)
	go func() {
		got, err := c.Fetch(t.Context(), 10, 0)
		done <- result{got, err}
	}()
	require.Eventually(t, func() bool {
		have, err := js.Consumer(t.Context(), bus.EventsStream, "search")
		return err == nil && have.CachedInfo().NumWaiting == 1
	}, bustest.Wait, time.Millisecond)
	require.NoError(t, js.DeleteConsumer(t.Context(), bus.EventsStream, "search"))
	require.Eventually(t, func() bool {
		_, err := js.Consumer(t.Context(), bus.EventsStream, "search")
		return err == nil
	}, bustest.Wait, time.Millisecond, "it is made again")
	first := <-done // nothing is lost: it starts at the last known place, which here is the beginning
	require.NoError(t, first.err)
	assert.Equal(t, bustest.Event(0), first.got[0].Event)

	// Deleted between two fetches, with a floor that was not looked at yet: the events come again.
	require.NoError(t, js.DeleteConsumer(t.Context(), bus.EventsStream, "search"))
	assert.Len(t, bustest.Fetch(t, c, 5), 5)
}

func TestConsumerSurvivesServerRestart(t *testing.T) {
	o := natsserver.Options{Dir: t.TempDir(), Listen: freeAddress(t)}
	s, err := natsserver.Start(t.Context(), o)
	require.NoError(t, err)
	defer func() { s.Shutdown() }()
	b := bustest.Connect(t, bus.Options{URL: "nats://" + o.Listen})
	c := consumer(t, b, bus.ConsumerConfig{Name: "search"})
	bustest.Publish(t, b, bustest.Event(0))
	require.NoError(t, bustest.Fetch(t, c, 1)[0].DoubleAck(t.Context()))
	done := make(chan []*bus.Delivery, 1)
	go func() {
		got, err := c.Fetch(t.Context(), 1, 0)
		assert.NoError(t, err)
		done <- got
	}()
	s.Shutdown()
	s, err = natsserver.Start(t.Context(), o)
	require.NoError(t, err)
	bustest.Publish(t, b, bustest.Event(1))
	assert.Equal(t, bustest.Event(1), (<-done)[0].Event)
}

func TestPinnedRouteHasOneReader(t *testing.T) {
	b := bustest.New(t)
	cfg := bus.ConsumerConfig{Name: "heal", Pinned: true}
	first, err := b.Consumer(t.Context(), cfg)
	require.NoError(t, err)
	p := bustest.Publisher(t, b)
	require.NoError(t, p.Publish(t.Context(), bustest.Event(0)))
	require.NoError(t, bustest.Fetch(t, first, 1)[0].DoubleAck(t.Context()))

	second := consumer(t, b, cfg)
	for i := 1; i < 4; i++ {
		require.NoError(t, p.Publish(t.Context(), bustest.Event(i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = second.Fetch(ctx, 10, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded, "the other is pinned")
	for _, d := range bustest.Fetch(t, first, 2) {
		require.NoError(t, d.DoubleAck(t.Context()))
	}
	began := time.Now()
	require.NoError(t, first.Close())
	assert.Equal(t, bustest.Event(3), bustest.Fetch(t, second, 1)[0].Event)
	assert.Less(t, time.Since(began), 5*time.Second, "no wait for the other's time to run out")
}

func TestTail(t *testing.T) {
	s := bustest.Server(t, natsserver.Options{})
	b := bustest.Connect(t, bus.Options{Server: s})
	read := func(o bus.TailOptions) (numbers []string) {
		require.NoError(t, b.Tail(t.Context(), o, func(d bus.Delivery) error {
			numbers = append(numbers, d.Event.Data.Message)
			require.Error(t, d.Ack(), "there is nothing to acknowledge")
			return nil
		}))
		return numbers
	}
	assert.Empty(t, read(bus.TailOptions{}))
	bustest.Publish(t, b, bustest.Numbers(0, 200)...)
	assert.Len(t, read(bus.TailOptions{}), 200)
	assert.Equal(t, []string{"occurrence 198", "occurrence 199"}, read(bus.TailOptions{Last: 2}))
	assert.Equal(t, []string{"occurrence 187", "occurrence 197"}, read(bus.TailOptions{Last: 2, Filter: "bellbuoy.events.v1.*.*.*.*.*.app-7.>"}))
	assert.Len(t, read(bus.TailOptions{Last: 1000}), 200)
	assert.Len(t, read(bus.TailOptions{Since: time.Now().Add(-time.Hour)}), 200)
	assert.Empty(t, read(bus.TailOptions{Since: time.Now().Add(time.Hour)}))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan string, 300)
	done := make(chan error, 1)
	go func() {
		done <- b.Tail(ctx, bus.TailOptions{Last: 1, Follow: true}, func(d bus.Delivery) error {
			seen <- d.Event.Data.Message
			return nil
		})
	}()
	assert.Equal(t, "occurrence 199", <-seen)
	bustest.Publish(t, b, bustest.Event(200))
	assert.Equal(t, "occurrence 200", <-seen)
	cancel()
	require.NoError(t, <-done)
	require.ErrorIs(t, b.Tail(t.Context(), bus.TailOptions{}, func(bus.Delivery) error { return assert.AnError }), assert.AnError)

	stream, err := raw(t, s).Stream(t.Context(), bus.EventsStream)
	require.NoError(t, err)
	assert.Zero(t, stream.CachedInfo().State.Consumers, "no trace is left on the server")
}

// TestDeletedNewConsumerMissesNothing: a route that began with the next event is made again from there, not
// from the present.
func TestDeletedNewConsumerMissesNothing(t *testing.T) {
	s := bustest.Server(t, natsserver.Options{})
	b := bustest.Connect(t, bus.Options{Server: s})
	bustest.Publish(t, b, bustest.Numbers(0, 5)...)
	c := consumer(t, b, bus.ConsumerConfig{Name: "pager", From: bus.New()})
	require.NoError(t, raw(t, s).DeleteConsumer(t.Context(), bus.EventsStream, "pager"))
	bustest.Publish(t, b, bustest.Event(5))
	assert.Equal(t, bustest.Event(5), bustest.Fetch(t, c, 1)[0].Event)
}
