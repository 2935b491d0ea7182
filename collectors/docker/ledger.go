package docker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// saved is what a restart finds. The cursor is saved after the memory that it needs, so that the memory
// may be ahead of it and never behind.
type saved struct {
	Engine string `json:"engine"`
	Cursor int64  `json:"cursor"`           // ns: every event up to here is on the stream
	Anchor int64  `json:"anchor,omitempty"` // ns: an event that the daemon had logged, of any kind; 0 is none
	Alive  int64  `json:"alive"`            // ns of our clock: the collector watched until here
	Clean  bool   `json:"clean"`            // it was stopped, not killed

	Tasks map[string]memory `json:"-"`
	// Gone is when containers were removed, as far back as their events may be read again.
	Gone map[string]int64 `json:"-"`
}

const (
	saveEvery  = time.Second
	aliveEvery = 10 * time.Second
	saveLast   = 3 * time.Second
	// partWriters is how many parts of the memory are written at a time.
	partWriters = 4
	keepGone    = 5 * overlap
)

// ledger knows which events are on the stream, and keeps the cursor and the memory in a bucket. It is
// safe for concurrent use.
type ledger struct {
	bucket collectors.Bucket
	key    string
	engine string
	logger *slog.Logger

	mu      sync.Mutex // guards what follows and the parts
	entries []*entry   // received events in order, from the oldest that is not done
	cursor  int64
	saved   int64 // the cursor in the bucket: from there a restart reads again
	anchor  int64
	dirty   bool
	parts   [shards]*part

	wake chan struct{}

	revision  uint64 // of the cursor in the bucket; belongs to load and run
	lastSaved time.Time
}

type entry struct {
	at   int64
	done bool
}

func ledgerKey(site, node, host string) string {
	sum := sha256.Sum256([]byte(host))
	return event.Token(site) + ".docker." + event.Token(node) + "." + hex.EncodeToString(sum[:4])
}

func newLedger(bucket collectors.Bucket, key, engine string, logger *slog.Logger) *ledger {
	l := &ledger{bucket: bucket, key: key, engine: engine, logger: logger, wake: make(chan struct{}, 1)}
	for i := range l.parts {
		l.parts[i] = newPart(engine, key+"."+strconv.Itoa(i))
	}
	return l
}

// load returns what was saved about this daemon, or nil.
func (l *ledger) load(ctx context.Context) (*saved, error) {
	if l.bucket == nil {
		return nil, nil //nolint:nilnil // nothing is kept
	}
	value, revision, err := l.bucket.Get(ctx, l.key)
	if err != nil {
		return nil, err
	}
	l.revision = revision
	s := &saved{Tasks: map[string]memory{}, Gone: map[string]int64{}}
	switch {
	case revision == 0:
		s = nil // the first start
	case json.Unmarshal(value, s) != nil:
		l.logger.Warn("saved cursor can't be read, beginning anew", "key", l.key)
		s = nil
	case s.Engine != l.engine || s.Cursor <= 0:
		s = nil // another daemon's
	}
	for _, p := range l.parts {
		value, revision, err := l.bucket.Get(ctx, p.key)
		if err != nil {
			return nil, err
		}
		if p.revision = revision; s == nil || revision == 0 {
			continue
		}
		if err := p.load(value, s); err != nil {
			l.logger.Warn("saved memory can't be read", "key", p.key, "err", err)
		}
	}
	if s != nil {
		l.saved = s.Cursor
	}
	return s, nil
}

// begin sets the cursor of a start.
func (l *ledger) begin(cursor, anchor int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cursor, l.anchor, l.dirty = cursor, anchor, true
}

// open notes an event that was received. The cursor does not pass it before the returned function has
// been called.
func (l *ledger) open(at int64) (done func()) {
	e := &entry{at: at}
	l.mu.Lock()
	l.entries = append(l.entries, e)
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		e.done = true
		for len(l.entries) > 0 && l.entries[0].done {
			l.advance(l.entries[0].at)
			l.entries = l.entries[1:]
		}
	}
}

// advance moves the cursor: not back over what a stream tells out of order, but after a clock that was
// set back.
func (l *ledger) advance(at int64) {
	if at > l.cursor || l.cursor-at > overlap {
		l.cursor, l.anchor = at, at
	}
	l.dirty = true
}

// settled notes an event of any kind that the daemon has logged, if everything before it is done.
func (l *ledger) settled(anchor int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == 0 && anchor > l.anchor {
		l.anchor, l.dirty = anchor, true
	}
}

func (l *ledger) keep(id string, m memory) {
	value, err := encodeMemory(m)
	if err != nil {
		l.logger.Error("memory not encoded", "container_id", id, "err", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[shardOf(id)].keep(id, value, m)
}

func (l *ledger) forget(id string, removed int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[shardOf(id)].forget(id, removed)
}

// flush returns after what is kept now of a container has been saved, or with the error of ctx.
func (l *ledger) flush(ctx context.Context, id string) error {
	if l.bucket == nil {
		return nil
	}
	saved := make(chan struct{})
	l.mu.Lock()
	p := l.parts[shardOf(id)]
	p.waiting = append(p.waiting, saved)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	select {
	case <-saved:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run saves now and then, and once more after ctx has ended.
func (l *ledger) run(ctx context.Context) {
	if l.bucket == nil {
		return
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLast)
			defer cancel()
			l.save(last, true)
			return
		case <-tick.C:
			l.save(ctx, false)
		case <-l.wake:
			if err := l.saveParts(ctx, true); err != nil && ctx.Err() == nil {
				l.logger.Warn("memory not saved", "key", l.key, "err", err)
			}
		}
	}
}

// save writes what has changed: the memory, then the cursor.
func (l *ledger) save(ctx context.Context, clean bool) {
	l.mu.Lock()
	s := saved{Engine: l.engine, Cursor: l.cursor, Anchor: l.anchor, Alive: time.Now().UnixNano(), Clean: clean}
	due := l.dirty || clean || time.Since(l.lastSaved) >= aliveEvery
	l.dirty = false
	l.mu.Unlock()
	err := l.saveParts(ctx, false)
	if err == nil && due {
		if err = l.saveCursor(ctx, s); err == nil {
			l.lastSaved = time.Now()
			return
		}
	}
	if err != nil {
		l.mu.Lock()
		l.dirty = true
		l.mu.Unlock()
		if ctx.Err() == nil {
			l.logger.Warn("cursor not saved", "key", l.key, "err", err)
		}
	}
}

var errWriters = errors.New("another writer is always first")

func (l *ledger) saveCursor(ctx context.Context, s saved) error {
	value, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if l.revision, err = l.put(ctx, l.key, value, l.revision); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saved = s.Cursor
	return nil
}

// saveParts writes the parts that have changed, or only those that somebody waits for, a few at a time.
func (l *ledger) saveParts(ctx context.Context, urgent bool) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(partWriters)
	for _, p := range l.parts {
		group.Go(func() error { return l.savePart(ctx, p, urgent) })
	}
	return group.Wait()
}

func (l *ledger) savePart(ctx context.Context, p *part, urgent bool) error {
	l.mu.Lock()
	value, waiting := p.encode(urgent, l.saved, l.logger)
	l.mu.Unlock()
	if value == nil {
		return nil
	}
	revision, err := l.put(ctx, p.key, value, p.revision)
	if err != nil {
		l.mu.Lock()
		p.dirty, p.waiting = true, append(waiting, p.waiting...)
		l.mu.Unlock()
		return err
	}
	p.revision = revision
	for _, w := range waiting {
		close(w)
	}
	return nil
}

// put writes a value over whatever is there: its own write of which it did not hear, or that of another
// collector of the same site, node and host.
func (l *ledger) put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	for range 3 {
		next, won, err := l.bucket.Put(ctx, key, value, revision)
		if err != nil || won {
			return cmp.Or(next, revision), err
		}
		if _, revision, err = l.bucket.Get(ctx, key); err != nil {
			return 0, err
		}
	}
	return revision, errWriters
}
