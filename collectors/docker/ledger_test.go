package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// remembering is a memory as a container of a compose project has it.
func remembering(n int, exited bool) memory {
	m := memory{
		Name: fmt.Sprintf("shop-payments-%d", n), Image: "registry.example/shop/payments:2026.11.24", Digest: "sha256:" + strings.Repeat("ab", 32),
		Labels: map[string]string{
			"com.docker.compose.project": "shop", "com.docker.compose.service": "payments", "com.docker.compose.config-hash": strings.Repeat("c", 64),
			"bellbuoy.owner": "team-payments", "bellbuoy.restart": "on-failure",
		},
		Policy: "unless-stopped", State: event.StateRunning, Created: 1e18, Run: "1764000000123456789", Started: 1764000000123456789,
		Start: 1764000000125456789, Last: 1764000000125456789 + int64(n), Health: "healthy", Restarts: 3, Exited: exited, Ended: 1764000000125456789,
		Kills: []cause.Kill{{Signal: 15, At: time.Unix(1764000000, 5)}},
	}
	return m
}

func containerID(n int) string { return fmt.Sprintf("%064x", n*7919) }

func newTestLedger(bucket collectors.Bucket, log *bytes.Buffer) *ledger {
	return newLedger(bucket, ledgerKey("s", "n", "unix:///d.sock"), "E web-7", slog.New(slog.NewTextHandler(log, nil)))
}

func TestLedgerKeepsTheMemoryOfThousands(t *testing.T) {
	t.Parallel()
	var bucket collectortest.Bucket
	var log bytes.Buffer
	l := newTestLedger(&bucket, &log)
	l.begin(5, 4)
	const many = 5000
	for n := range many {
		l.keep(containerID(n), remembering(n, n%2 == 0))
	}
	l.forget(containerID(many), 1<<62)
	l.save(t.Context(), true)
	assert.Empty(t, log.String())
	size := 0
	for _, p := range l.parts {
		value, _, err := bucket.Get(t.Context(), p.key)
		require.NoError(t, err)
		size += len(value)
	}
	t.Logf("%d bytes each: room for %d containers", size/many, shards*maxPart/(size/many))
	assert.Greater(t, shards*maxPart/(size/many), 15_000)

	again := newTestLedger(&bucket, &log)
	s, err := again.load(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Tasks, many)
	assert.Equal(t, remembering(77, false), withUTC(s.Tasks[containerID(77)]))
	assert.Equal(t, map[string]int64{containerID(many): 1 << 62}, s.Gone)
	assert.Equal(t, []int64{5, 4}, []int64{s.Cursor, s.Anchor})
	assert.True(t, s.Clean)

	other := newLedger(&bucket, l.key, "E web-8", slog.New(slog.DiscardHandler))
	s, err = other.load(t.Context())
	require.NoError(t, err)
	assert.Nil(t, s, "that of a clone is not taken over")
}

// withUTC has its times as a test makes them.
func withUTC(m memory) memory {
	for i := range m.Kills {
		m.Kills[i].At = m.Kills[i].At.Local()
	}
	return m
}

// TestLedgerBoundary: what does not fit is what ended first, and it is said.
func TestLedgerBoundary(t *testing.T) {
	t.Parallel()
	var bucket collectortest.Bucket
	var log bytes.Buffer
	l := newTestLedger(&bucket, &log)
	l.begin(5, 0)
	const many = 2400
	for n := range many {
		m := remembering(n, n%4 != 0)
		m.Labels["bellbuoy.owner"] = strings.Repeat("team ", 1400)
		l.keep(containerID(n), m)
	}
	l.save(t.Context(), true)
	for _, p := range l.parts {
		value, _, err := bucket.Get(t.Context(), p.key)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(value), maxPart+(16<<10))
	}
	s, err := newTestLedger(&bucket, &log).load(t.Context())
	require.NoError(t, err)
	t.Logf("%d of %d containers fit", len(s.Tasks), many)
	assert.Greater(t, len(s.Tasks), many/2)
	assert.Less(t, len(s.Tasks), many)
	running := 0
	for _, m := range s.Tasks {
		if !m.Exited {
			running++
		}
	}
	assert.Equal(t, many/4, running, "what runs is kept")
	assert.Equal(t, shards, strings.Count(log.String(), "more containers than the memory can hold"))
	l.keep(containerID(1), remembering(2, true))
	l.save(t.Context(), false)
	assert.Equal(t, shards, strings.Count(log.String(), "more containers"), "it is said once")
}

// writes is a bucket that counts.
type writes struct {
	collectortest.Bucket
	mu   sync.Mutex // guards keys
	keys map[string]int
	fail bool
}

func (w *writes) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, bool, error) {
	if w.fail {
		return 0, false, errors.New("no answer")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.keys == nil {
		w.keys = map[string]int{}
	}
	w.keys[key]++
	return w.Bucket.Put(ctx, key, value, revision)
}

func TestLedgerWritesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	bucket := &writes{}
	l := newTestLedger(bucket, &log)
	l.begin(5, 0)
	for n := range 100 {
		l.keep(containerID(n), remembering(n, false))
	}
	l.save(t.Context(), false)
	assert.Len(t, bucket.keys, shards+1)
	bucket.keys = nil
	l.save(t.Context(), false)
	assert.Empty(t, bucket.keys, "nothing is due")
	l.keep(containerID(3), remembering(3, false))
	l.save(t.Context(), false)
	assert.Empty(t, bucket.keys, "nothing has changed")
	l.keep(containerID(3), remembering(3, true))
	done := l.open(9)
	l.save(t.Context(), false)
	assert.Len(t, bucket.keys, 1)
	done()
	bucket.fail = true
	l.save(t.Context(), false)
	assert.Contains(t, log.String(), "cursor not saved")
	bucket.fail, bucket.keys = false, nil
	l.save(t.Context(), false)
	assert.Equal(t, map[string]int{l.key: 1}, bucket.keys)
}

// TestLedgerIsSharedByTwo: two collectors of one key write over each other, and neither fails.
func TestLedgerIsSharedByTwo(t *testing.T) {
	t.Parallel()
	var bucket collectortest.Bucket
	var log bytes.Buffer
	one, two := newTestLedger(&bucket, &log), newTestLedger(&bucket, &log)
	one.begin(1, 0)
	two.begin(2, 0)
	for i := range 10 {
		for _, l := range []*ledger{one, two} {
			l.open(int64(1000 + i))()
			l.keep(containerID(1), remembering(i, false))
			l.save(t.Context(), false)
		}
	}
	assert.Empty(t, log.String())
	s, err := newTestLedger(&bucket, &log).load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, int64(1009), s.Cursor)
	assert.Len(t, s.Tasks, 1)
}

func TestLedgerCursorFollowsAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	l := newTestLedger(&collectortest.Bucket{}, &bytes.Buffer{})
	l.begin(1e18, 0)
	l.open(1e18 + 5)()
	l.open(1e18 + 3)() // out of order
	assert.Equal(t, int64(1e18+5), l.cursor)
	l.open(1e18 - int64(time.Hour))()
	assert.Equal(t, int64(1e18)-int64(time.Hour), l.cursor)
	l.settled(1e18)
	assert.Equal(t, int64(1e18), l.anchor)
	l.open(1e18 + 9)
	l.settled(2e18)
	assert.Equal(t, int64(1e18), l.anchor, "something before it is not done")
}

func TestLedgerOfNonsense(t *testing.T) {
	t.Parallel()
	var bucket collectortest.Bucket
	var log bytes.Buffer
	l := newTestLedger(&bucket, &log)
	l.begin(5, 0)
	l.keep(containerID(1), remembering(1, false))
	l.save(t.Context(), true)
	p := l.parts[shardOf(containerID(1))]
	_, revision, err := bucket.Get(t.Context(), p.key)
	require.NoError(t, err)
	_, _, err = bucket.Put(t.Context(), p.key, []byte(`{"engine":"E web-7","tasks":{"a":[]}}`), revision)
	require.NoError(t, err)
	s, err := newTestLedger(&bucket, &log).load(t.Context())
	require.NoError(t, err)
	assert.Empty(t, s.Tasks)
	assert.Contains(t, log.String(), "saved memory can't be read")
	_, revision, err = bucket.Get(t.Context(), l.key)
	require.NoError(t, err)
	_, _, err = bucket.Put(t.Context(), l.key, []byte(`{`), revision)
	require.NoError(t, err)
	s, err = newTestLedger(&bucket, &log).load(t.Context())
	require.NoError(t, err)
	assert.Nil(t, s)

	huge := remembering(1, false)
	huge.Labels["com.docker.compose.project"] = strings.Repeat("x", 1<<20)
	value, err := encodeMemory(huge)
	require.NoError(t, err)
	assert.Less(t, len(value), maxMemory)
}

// TestLedgerKeepsTheRemovedUntilTheCursorIsSaved: what happened since the saved cursor is read again, however far
// this process has come meanwhile.
func TestLedgerKeepsTheRemovedUntilTheCursorIsSaved(t *testing.T) {
	t.Parallel()
	var bucket collectortest.Bucket
	var log bytes.Buffer
	begun, now := int64(time.Hour), int64(2*time.Hour)
	l := newTestLedger(&bucket, &log)
	l.begin(begun, 0)
	l.save(t.Context(), false)

	killed := newTestLedger(&bucket, &log)
	_, err := killed.load(t.Context())
	require.NoError(t, err)
	killed.begin(begun, 0)
	killed.forget(containerID(1), begun+1)
	killed.open(now)()
	require.NoError(t, killed.saveParts(t.Context(), false)) // and no more
	s, err := newTestLedger(&bucket, &log).load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, begun, s.Cursor)
	assert.Equal(t, begun+1, s.Gone[containerID(1)])

	killed.save(t.Context(), false)
	for n := range 100 { // the next write of its part lets go
		killed.forget(containerID(100+n), now)
	}
	killed.save(t.Context(), true)
	s, err = newTestLedger(&bucket, &log).load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, now, s.Cursor)
	for id, at := range s.Gone {
		assert.Equal(t, now, at, id)
	}
	assert.Empty(t, log.String())
}
