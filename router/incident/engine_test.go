package incident

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// bucket is one in memory, with the compare-and-set of the real one.
type bucket struct {
	mu       sync.Mutex
	values   map[string][]byte
	versions map[string]uint64
	next     uint64
	refuse   int // so many writes are lost to somebody else
	fail     error
}

func newBucket() *bucket {
	return &bucket{values: map[string][]byte{}, versions: map[string]uint64{}}
}

func (b *bucket) Get(_ context.Context, key string) ([]byte, uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.values[key], b.versions[key], b.fail
}

func (b *bucket) Put(_ context.Context, key string, value []byte, revision uint64) (uint64, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse > 0 {
		b.refuse--
		return 0, false, b.fail
	}
	if b.fail != nil || b.versions[key] != revision {
		return 0, false, b.fail
	}
	b.next++
	b.values[key], b.versions[key] = value, b.next
	return b.next, true, nil
}

func (b *bucket) Delete(_ context.Context, key string, revision uint64) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.versions[key] != revision {
		return false, b.fail
	}
	delete(b.values, key)
	delete(b.versions, key)
	return true, b.fail
}

func (b *bucket) Each(_ context.Context, _ string, do func(string, []byte, uint64) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	for key, value := range b.values {
		if err := do(key, value, b.versions[key]); err != nil {
			return err
		}
	}
	return nil
}

// stand is an engine on a bucket, and what it has published.
type stand struct {
	t      *testing.T
	bucket *bucket
	engine *Engine
	mu     sync.Mutex
	told   []event.Event
	seq    uint64
}

func newStand(t *testing.T, b *bucket) *stand {
	t.Helper()
	s := &stand{t: t, bucket: b}
	var err error
	s.engine, err = New(DefaultConfig(), Deps{Site: "prod", Bucket: b, Alone: true, Publish: func(_ context.Context, e event.Event) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		// As the stream does: an id is stored once.
		if !slices.ContainsFunc(s.told, func(other event.Event) bool { return other.ID == e.ID }) {
			s.told = append(s.told, e)
		}
		return nil
	}})
	require.NoError(t, err)
	return s
}

func (s *stand) delivery(e event.Event) *bus.Delivery {
	s.seq++
	e.Time = time.Now()
	if e.ID == "" {
		e.ID = event.NewID("test", e.Time.String(), string(e.Type))
	}
	return &bus.Delivery{Event: e, Sequence: s.seq, Stored: time.Now()}
}

func (s *stand) words() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var words []string
	for _, e := range s.told {
		words = append(words, e.Type.Event())
	}
	return words
}

func TestRecordsSurviveARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		s := newStand(t, b)
		require.NoError(t, s.engine.Handle(t.Context(), []*bus.Delivery{s.delivery(taskEvent(event.TaskStarted, "pay", "a", "r1"))}))
		crash := s.delivery(stopEvent("pay", "a", "exit.error", false))
		require.NoError(t, s.engine.Handle(t.Context(), []*bus.Delivery{crash}))
		assert.Equal(t, []string{"opened"}, s.words())
		id := s.told[0].ID

		next := newStand(t, b)
		next.seq = s.seq
		require.NoError(t, next.engine.Handle(t.Context(), []*bus.Delivery{crash}), "it is delivered once more")
		for _, e := range next.told {
			assert.Equal(t, id, e.ID, "what may not have been published is, under the same id")
		}
		next.told = nil
		require.NoError(t, next.engine.Handle(t.Context(), []*bus.Delivery{next.delivery(taskEvent(event.TaskStarted, "pay", "a", "r1"))}))
		<-time.After(DefaultConfig().Stable)
		require.NoError(t, next.engine.tick(t.Context()))
		assert.Equal(t, []string{"resolved"}, next.words())
		assert.Equal(t, int64(1), next.told[0].Data.Incident.Stops)
	})
}

func TestLostRacesAreRunAgain(t *testing.T) {
	t.Parallel()
	b := newBucket()
	s := newStand(t, b)
	b.refuse = maxRaces - 1
	require.NoError(t, s.engine.Handle(t.Context(), []*bus.Delivery{s.delivery(stopEvent("pay", "a", "exit.error", false))}))
	assert.Equal(t, []string{"opened"}, s.words())
	b.refuse = 1000
	require.ErrorContains(t, s.engine.Handle(t.Context(), []*bus.Delivery{s.delivery(stopEvent("web", "b", "exit.error", false))}), "other instances")
	assert.Equal(t, []string{"opened"}, s.words(), "nothing is told that is not written")
}

func TestBucketAwayLosesNothing(t *testing.T) {
	t.Parallel()
	b := newBucket()
	s := newStand(t, b)
	b.fail = assert.AnError
	d := s.delivery(stopEvent("pay", "a", "exit.error", false))
	require.ErrorIs(t, s.engine.Handle(t.Context(), []*bus.Delivery{d}), assert.AnError)
	assert.Empty(t, s.words())
	b.fail = nil
	require.NoError(t, s.engine.Handle(t.Context(), []*bus.Delivery{d}))
	assert.Equal(t, []string{"opened"}, s.words())
}

func TestEveryPartOfARecordIsKept(t *testing.T) {
	t.Parallel()
	b := newBucket()
	s := newStand(t, b)
	sick := taskEvent(event.TaskUnhealthy, "web", "a", "r1")
	host := stopEvent("db", "c", "host.lost", false)
	require.NoError(t, s.engine.Handle(t.Context(), []*bus.Delivery{
		s.delivery(taskEvent(event.TaskStarted, "web", "a", "r1")), s.delivery(sick), s.delivery(collectorEvent(event.CollectorStarted, "docker")), s.delivery(host),
	}))
	keys := make([]string, 0, len(b.values))
	for key := range b.values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	assert.Equal(t, "h.prod.web-7 w.prod.docker._._.shop.db w.prod.docker._._.shop.web", strings.Join(keys, " "))
	for key, value := range b.values {
		r, err := decode(key, value, b.versions[key])
		require.NoError(t, err)
		want := s.engine.machine.records[key]
		assert.Equal(t, want.Place, r.Place)
		assert.Len(t, r.Tasks, len(want.Tasks))
		assert.Len(t, r.Watches, len(want.Watches))
		assert.Equal(t, want.Incident == nil, r.Incident == nil)
	}
}

func TestClockJumpsMoveNothing(t *testing.T) {
	t.Parallel()
	var c clock
	now := time.Now().Round(0)
	assert.Zero(t, c.jumped(now))
	assert.Zero(t, c.jumped(now.Add(time.Second)))
	c.skew = time.Hour
	assert.Equal(t, now.Round(0), c.now(now.Add(time.Hour)))
	assert.Equal(t, now.Round(0).Add(-time.Minute), c.at(now.Add(59*time.Minute), now.Add(time.Hour)))
	assert.Equal(t, now.Round(0), c.at(now.Add(3*time.Hour), now.Add(time.Hour)), "never later than now")
}
