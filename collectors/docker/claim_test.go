package docker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
)

// watcher is the part of a collector that claims a daemon.
type watcher struct {
	reporter *collectortest.Reporter
	claim    *claim
	leave    context.CancelFunc
	done     sync.WaitGroup
}

func newWatcher(t *testing.T, bucket collectors.Bucket, d daemon, node string) *watcher {
	t.Helper()
	w := &watcher{reporter: &collectortest.Reporter{}}
	deps := Deps{Name: "docker", Site: "s", Node: node, Cursors: bucket, Reporter: w.reporter, Logger: slog.New(slog.DiscardHandler)}
	x := &watch{Collector: &Collector{cfg: DefaultConfig(), deps: deps}, daemon: d}
	x.ledger = newLedger(bucket, ledgerKey("s", node, "unix:///d.sock"), d.engine(), deps.Logger)
	w.claim = x.claim()
	ctx, leave := context.WithCancel(t.Context())
	w.leave = func() {
		leave()
		w.done.Wait()
	}
	w.done.Go(func() { w.claim.run(ctx) })
	return w
}

func TestClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bucket collectortest.Bucket
		d := daemon{id: "E", host: "web-7"}
		first := newWatcher(t, &bucket, d, "n1")
		pass(time.Hour)
		assert.Empty(t, first.reporter.Conflicts())

		second := newWatcher(t, &bucket, d, "n2")
		pass(4*beatEvery + time.Second)
		a, b := first.reporter.Conflicts(), second.reporter.Conflicts()
		require.Len(t, a, 1)
		require.Len(t, b, 1, "each side tells it")
		assert.Equal(t, a[0].Key, b[0].Key, "as one event")
		assert.Equal(t, []string{"docker on n1", "docker on n2"}, []string{a[0].Self, a[0].Peer})
		assert.Equal(t, []string{"docker on n2", "docker on n1"}, []string{b[0].Self, b[0].Peer})
		assert.NotContains(t, a[0].Advice, "cursor")
		pass(time.Hour)
		assert.Len(t, first.reporter.Conflicts(), 1, "it is told once")

		second.leave()
		pass(2 * beatEvery)
		a = first.reporter.Conflicts()
		require.Len(t, a, 2)
		assert.Equal(t, a[0].Key, a[1].Key)
		assert.False(t, a[1].Until.IsZero())
		b = second.reporter.Conflicts()
		require.Len(t, b, 2, "who goes tells it, too, because the other one may not know yet")
		assert.Equal(t, b[0].Key, b[1].Key)
		first.leave()
		assert.Empty(t, first.claim.rivals)
		value, _, err := bucket.Get(t.Context(), first.claim.key)
		require.NoError(t, err)
		assert.Equal(t, "{}", string(value))
	})
}

// TestClaimLeftBehind: a collector that was killed and started again is no other one, and who is killed in
// a conflict is gone.
func TestClaimLeftBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bucket collectortest.Bucket
		d := daemon{id: "E", host: "web-7"}
		killed := newWatcher(t, &bucket, d, "n1")
		pass(time.Minute)
		dead := bucket.Copy() // it will not withdraw
		killed.leave()
		again := newWatcher(t, dead, d, "n1")
		pass(time.Hour)
		assert.Empty(t, again.reporter.Conflicts())
		value, _, err := dead.Get(t.Context(), again.claim.key)
		require.NoError(t, err)
		assert.NotContains(t, string(value), killed.claim.id, "it is swept away")

		cut := &severed{Bucket: dead}
		rival := newWatcher(t, cut, d, "n1")
		pass(time.Minute)
		require.Len(t, again.reporter.Conflicts(), 1)
		assert.Contains(t, again.reporter.Conflicts()[0].Advice, "they also share a cursor")
		cut.off.Store(true) // its claim stands still
		pass(2 * deadAfter)
		require.Len(t, again.reporter.Conflicts(), 2)
		assert.False(t, again.reporter.Conflicts()[1].Until.IsZero())
		rival.leave()
		again.leave()
	})
}

// TestClonesAreNoConflict: copies of a disk image have the same engine id and other host names.
func TestClonesAreNoConflict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bucket collectortest.Bucket
		one, two := newWatcher(t, &bucket, daemon{id: "E", host: "web-7"}, "n1"), newWatcher(t, &bucket, daemon{id: "E", host: "web-8"}, "n2")
		pass(time.Hour)
		assert.Empty(t, append(one.reporter.Conflicts(), two.reporter.Conflicts()...))
		one.leave()
		two.leave()
	})
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// severed is a bucket that can't be reached.
type severed struct {
	*collectortest.Bucket
	off atomic.Bool
}

func (s *severed) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if s.off.Load() {
		return nil, 0, errors.New("no answer")
	}
	return s.Bucket.Get(ctx, key)
}

// contended is a bucket in which somebody else is first for a while.
type contended struct {
	collectortest.Bucket
	first int
}

func (c *contended) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, bool, error) {
	if c.first > 0 {
		c.first--
		return 0, false, nil
	}
	return c.Bucket.Put(ctx, key, value, revision)
}

func TestClaimOfManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bucket := &contended{first: 4}
		w := newWatcher(t, bucket, daemon{id: "E"}, "n1")
		synctest.Wait()
		value, _, err := bucket.Get(t.Context(), w.claim.key)
		require.NoError(t, err)
		assert.True(t, strings.Contains(string(value), w.claim.id))
		w.leave()
	})
}
