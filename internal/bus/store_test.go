package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// What internal/app wires: these satisfy what the collectors ask for.
var (
	_ interface {
		Publish(ctx context.Context, e event.Event) error
	} = (*bus.Publisher)(nil)
	_ interface {
		Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
		Put(ctx context.Context, key string, value []byte, revision uint64) (next uint64, won bool, err error)
	} = (*bus.Bucket)(nil)
)

func TestBucketComparesAndSets(t *testing.T) {
	ctx := t.Context()
	b := bustest.New(t)
	k, err := b.Bucket(ctx, bus.CursorsBucket)
	require.NoError(t, err)
	_, revision, err := k.Get(ctx, "docker.web-7")
	require.NoError(t, err)
	assert.Zero(t, revision)

	first, won, err := k.Put(ctx, "docker.web-7", []byte("1"), 0)
	require.NoError(t, err)
	assert.True(t, won)
	_, won, err = k.Put(ctx, "docker.web-7", []byte("x"), 0)
	require.NoError(t, err)
	assert.False(t, won, "it exists")
	second, won, err := k.Put(ctx, "docker.web-7", []byte("2"), first)
	require.NoError(t, err)
	assert.True(t, won)
	_, won, err = k.Put(ctx, "docker.web-7", []byte("x"), first)
	require.NoError(t, err)
	assert.False(t, won, "another was first")
	value, revision, err := k.Get(ctx, "docker.web-7")
	require.NoError(t, err)
	assert.Equal(t, "2", string(value))
	assert.Equal(t, second, revision)

	_, _, err = k.Put(ctx, "docker.web-8", []byte("1"), 0)
	require.NoError(t, err)
	_, _, err = k.Put(ctx, "ecs.prod", []byte("1"), 0)
	require.NoError(t, err)
	all, err := k.Keys(ctx, "")
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"docker.web-7", "docker.web-8", "ecs.prod"}, all)
	some, err := k.Keys(ctx, "docker.*")
	require.NoError(t, err)
	assert.Len(t, some, 2)

	won, err = k.Delete(ctx, "docker.web-7", first)
	require.NoError(t, err)
	assert.False(t, won)
	won, err = k.Delete(ctx, "docker.web-7", second)
	require.NoError(t, err)
	assert.True(t, won)
	_, revision, err = k.Get(ctx, "docker.web-7")
	require.NoError(t, err)
	assert.Zero(t, revision, "deleted is absent")
	_, won, err = k.Put(ctx, "docker.web-7", []byte("3"), 0)
	require.NoError(t, err)
	assert.True(t, won, "and may be written anew")

	_, won, err = k.PutFor(ctx, "silence", []byte("1"), time.Second)
	require.NoError(t, err)
	assert.True(t, won)
	_, won, err = k.PutFor(ctx, "silence", []byte("2"), time.Second)
	require.NoError(t, err)
	assert.False(t, won)
	require.Eventually(t, func() bool {
		_, revision, err = k.Get(ctx, "silence")
		return err == nil && revision == 0
	}, bustest.Wait, 10*time.Millisecond, "it ends by itself")

	_, _, err = k.Put(ctx, "a key", nil, 0)
	require.ErrorContains(t, err, `"a key" of bucket BELLBUOY_CURSORS`)
	_, err = b.Bucket(ctx, "NONE")
	require.ErrorContains(t, err, "BELLBUOY_NONE")
}

func TestOneOfManyClaimsWins(t *testing.T) {
	b := bustest.New(t)
	k, err := b.Bucket(t.Context(), bus.ActionsBucket)
	require.NoError(t, err)
	var wg sync.WaitGroup
	wins := make(chan bool, 20)
	for range 20 {
		wg.Go(func() {
			_, won, err := k.Put(t.Context(), "claim", []byte("mine"), 0)
			assert.NoError(t, err)
			wins <- won
		})
	}
	wg.Wait()
	close(wins)
	count := 0
	for won := range wins {
		if won {
			count++
		}
	}
	assert.Equal(t, 1, count)
}

func TestDeadLetterAndRedrive(t *testing.T) {
	ctx := t.Context()
	s := bustest.Server(t, natsserver.Options{})
	b := bustest.Connect(t, bus.Options{Server: s})
	bustest.Publish(t, b, bustest.Event(1))
	search := consumer(t, b, bus.ConsumerConfig{Name: "search"})
	redriven := consumer(t, b, bus.ConsumerConfig{Name: "search", Redriven: true})
	pager := consumer(t, b, bus.ConsumerConfig{Name: "page payments", Redriven: true})
	dlq := b.DeadLetters()
	d := bustest.Fetch(t, search, 1)[0]
	letter := bus.DeadLetter{Route: "search", Class: "permanent", Reason: "mapping:\nfield x " + strings.Repeat("é", 2000)}
	require.NoError(t, dlq.Put(ctx, d, letter))
	require.NoError(t, dlq.Put(ctx, d, letter), "again: stored once")
	require.NoError(t, d.Term("dead letter"))

	list, err := dlq.List(ctx, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	got := list[0]
	assert.Equal(t, bustest.Event(1), got.Event)
	assert.Equal(t, []any{"search", "permanent", 1, d.Subject, d.Sequence}, []any{got.Route, got.Class, got.Attempts, got.Subject, got.Sequence})
	assert.True(t, strings.HasPrefix(got.Reason, "mapping: field x é"))
	assert.Less(t, len(got.Reason), 1100)
	assert.WithinDuration(t, time.Now(), got.Time, bustest.Wait)
	shown, err := dlq.Show(ctx, got.Seq)
	require.NoError(t, err)
	assert.Equal(t, got, shown)

	require.NoError(t, dlq.Redrive(ctx, got.Seq))
	again := bustest.Fetch(t, redriven, 1)[0]
	assert.Equal(t, bustest.Event(1), again.Event)
	assert.True(t, strings.HasPrefix(again.Subject, "bellbuoy.retry.v1.search.test.docker."))
	require.ErrorIs(t, dlq.Redrive(ctx, got.Seq), bus.ErrNoDeadLetter)
	bounded, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err = pager.Fetch(bounded, 1, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded, "no other route sees it")
	bustest.Events(t, b, 1)

	// It fails again within the duplicate window: that is another dead letter, not a duplicate.
	require.NoError(t, dlq.Put(ctx, again, letter))
	require.NoError(t, dlq.Put(ctx, d, letter), "and so is the first delivery, should it come once more")
	list, err = dlq.List(ctx, 10)
	require.NoError(t, err)
	require.Len(t, list, 2)
	newest, err := dlq.List(ctx, 1)
	require.NoError(t, err)
	assert.Equal(t, list[1:], newest)
	for _, l := range list {
		assert.Equal(t, d.Subject[len("bellbuoy.events.v1."):], l.Subject[strings.Index(l.Subject, "test.docker"):])
		require.NoError(t, dlq.Drop(ctx, l.Seq))
	}
	require.ErrorIs(t, dlq.Drop(ctx, list[0].Seq), bus.ErrNoDeadLetter)
	_, err = dlq.Show(ctx, 0)
	require.ErrorIs(t, err, bus.ErrNoDeadLetter)
}

func TestUndecodableDeadLetter(t *testing.T) {
	ctx := t.Context()
	s := bustest.Server(t, natsserver.Options{})
	b := bustest.Connect(t, bus.Options{Server: s})
	_, err := raw(t, s).PublishMsg(ctx, &nats.Msg{Subject: "bellbuoy.events.v1.x", Data: []byte("?"), Header: nats.Header{"Dlq-Route": {"forged"}, "X": {"kept"}}})
	require.NoError(t, err)
	c := consumer(t, b, bus.ConsumerConfig{Name: "page payments"})
	d := bustest.Fetch(t, c, 1)[0]
	require.Error(t, d.Err)
	require.NoError(t, b.DeadLetters().Put(ctx, d, bus.DeadLetter{Route: "page payments", Class: "decode", Reason: d.Err.Error()}))
	require.NoError(t, d.Term("decode"))
	list, err := b.DeadLetters().List(ctx, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, "page payments", list[0].Route)
	require.Error(t, list[0].Err)
	redriven := consumer(t, b, bus.ConsumerConfig{Name: "page payments", Redriven: true})
	require.NoError(t, b.DeadLetters().Redrive(ctx, list[0].Seq))
	assert.Equal(t, "?", string(bustest.Fetch(t, redriven, 1)[0].Raw))

	require.NoError(t, b.DeadLetters().Put(ctx, d, bus.DeadLetter{Route: "gone", Class: "decode", Reason: "x"}))
	list, err = b.DeadLetters().List(ctx, 10)
	require.NoError(t, err)
	require.ErrorContains(t, b.DeadLetters().Redrive(ctx, list[0].Seq), `route "gone" has no consumer`)
}

func TestEachValueOfABucket(t *testing.T) {
	ctx := t.Context()
	k, err := bustest.New(t).Bucket(ctx, bus.VersionsBucket)
	require.NoError(t, err)
	values := func(filter string) map[string]string {
		out := map[string]string{}
		require.NoError(t, k.Each(ctx, filter, func(key string, value []byte, revision uint64) error {
			assert.Positive(t, revision)
			out[key] = string(value)
			return nil
		}))
		return out
	}
	assert.Empty(t, values(""), "an empty bucket ends at once")
	revisions := map[string]uint64{}
	for i := range 2000 { // more than the client holds back
		key := fmt.Sprintf("t.%d.%d", i%2, i)
		revisions[key], _, err = k.Put(ctx, key, []byte(key), 0)
		require.NoError(t, err)
	}
	_, _, err = k.Put(ctx, "t.1.1", []byte("new"), revisions["t.1.1"])
	require.NoError(t, err)
	_, err = k.Delete(ctx, "t.1.3", revisions["t.1.3"])
	require.NoError(t, err)
	assert.Len(t, values(""), 1999)
	odd := values("t.1.>")
	assert.Len(t, odd, 999)
	assert.Equal(t, "new", odd["t.1.1"])
	assert.NotContains(t, odd, "t.1.3")
	assert.Empty(t, values("x.*"))

	enough := errors.New("enough")
	require.ErrorIs(t, k.Each(ctx, "", func(string, []byte, uint64) error { return enough }), enough)
	ended, cancel := context.WithCancel(ctx)
	n := 0
	err = k.Each(ended, "", func(string, []byte, uint64) error {
		if n++; n == 5 {
			cancel()
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
}

// What is written while a bucket is read is not missed for it.
func TestEachMissesNothingThatIsWrittenMeanwhile(t *testing.T) {
	ctx := t.Context()
	k, err := bustest.New(t).Bucket(ctx, bus.VersionsBucket)
	require.NoError(t, err)
	revisions := map[string]uint64{}
	for i := range 400 {
		key := fmt.Sprintf("t.%d", i)
		revisions[key], _, err = k.Put(ctx, key, []byte("old"), 0)
		require.NoError(t, err)
	}
	seen := map[string]bool{}
	require.NoError(t, k.Each(ctx, "", func(key string, _ []byte, _ uint64) error {
		if len(seen) == 0 { // moves the newest, and two that were on their way, behind them
			for _, key := range []string{"t.0", "t.1", "t.399"} {
				_, _, err := k.Put(ctx, key, []byte("new"), revisions[key])
				require.NoError(t, err)
			}
		}
		seen[key] = true
		return nil
	}))
	assert.Len(t, seen, 400)
}

// TestBucketWatch: all values at once and after each change.
func TestBucketWatch(t *testing.T) {
	server := bustest.Server(t, natsserver.Options{Listen: "127.0.0.1:0"})
	writer := bustest.Connect(t, bus.Options{Server: server})
	k, err := writer.Bucket(t.Context(), bus.SilencesBucket)
	require.NoError(t, err)
	first, _, err := k.Put(t.Context(), "a", []byte("1"), 0)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	seen, done := make(chan map[string][]byte, 16), make(chan error, 1)
	go func() { done <- k.Watch(ctx, func(values map[string][]byte) { seen <- values }) }()
	want := func(values map[string][]byte) {
		t.Helper()
		select {
		case got := <-seen:
			assert.Equal(t, values, got)
		case <-time.After(10 * time.Second):
			t.Fatal("no change is told")
		}
	}
	want(map[string][]byte{"a": []byte("1")})
	_, _, err = k.PutFor(t.Context(), "b", []byte("2"), time.Hour)
	require.NoError(t, err)
	want(map[string][]byte{"a": []byte("1"), "b": []byte("2")})
	_, err = k.Delete(t.Context(), "a", first)
	require.NoError(t, err)
	want(map[string][]byte{"b": []byte("2")})
	stop()
	require.NoError(t, <-done)
	writer.Close()
	require.Error(t, k.Watch(t.Context(), func(map[string][]byte) {}), "a connection that is closed")
}
