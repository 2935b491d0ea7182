package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// saved is what a restart finds. It is one value, so that the cursor and the memory agree.
type saved struct {
	Engine string            `json:"engine"`
	Cursor int64             `json:"cursor"` // ns: every event up to here is on the stream
	Alive  int64             `json:"alive"`  // ns of our clock: the collector watched until here
	Clean  bool              `json:"clean"`  // it was stopped, not killed
	Tasks  map[string]memory `json:"tasks"`
	// Gone is when containers were removed, as far back as their events may be read again.
	Gone map[string]int64 `json:"gone,omitempty"`
}

const (
	saveEvery  = time.Second
	aliveEvery = 10 * time.Second
	saveLast   = 3 * time.Second
	maxSaved   = 900 << 10 // below what one message may carry
	keepGone   = 5 * overlap
)

// ledger knows which events are on the stream, and keeps the cursor and the memory in a bucket. It is
// safe for concurrent use.
type ledger struct {
	bucket collectors.Bucket
	key    string
	engine string
	logger *slog.Logger

	mu      sync.Mutex // guards what follows
	entries []*entry   // received events in order, from the oldest that is not done
	cursor  int64
	tasks   map[string]memory
	gone    map[string]int64
	dirty   bool
	waiting []chan struct{} // closed once what is kept now is saved

	wake chan struct{}

	revision  uint64 // of the value in the bucket; belongs to load and run
	lastSaved time.Time
	conflicts int
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
	return &ledger{
		bucket: bucket, key: key, engine: engine, logger: logger,
		tasks: map[string]memory{}, gone: map[string]int64{}, wake: make(chan struct{}, 1),
	}
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
	var s saved
	if revision == 0 {
		return nil, nil //nolint:nilnil // the first start
	}
	if err := json.Unmarshal(value, &s); err != nil {
		l.logger.Warn("saved cursor can't be read, beginning anew", "err", err)
		return nil, nil //nolint:nilnil // as at the first start
	}
	if s.Engine != l.engine || s.Cursor <= 0 {
		return nil, nil //nolint:nilnil // another daemon's
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.Copy(l.tasks, s.Tasks)
	maps.Copy(l.gone, s.Gone)
	return &s, nil
}

// begin sets the cursor of a start.
func (l *ledger) begin(cursor int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cursor, l.dirty = cursor, true
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
			l.cursor = max(l.cursor, l.entries[0].at)
			l.entries, l.dirty = l.entries[1:], true
		}
	}
}

func (l *ledger) keep(id string, m memory) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tasks[id], l.dirty = m, true
}

func (l *ledger) forget(id string, removed int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tasks, id)
	l.dirty = true
	if removed > 0 {
		l.gone[id] = removed
	}
}

// flush returns after all that is kept now has been saved, or with the error of ctx.
func (l *ledger) flush(ctx context.Context) error {
	if l.bucket == nil {
		return nil
	}
	saved := make(chan struct{})
	l.mu.Lock()
	l.waiting = append(l.waiting, saved)
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
		case <-l.wake:
		}
		l.save(ctx, false)
	}
}

func (l *ledger) save(ctx context.Context, clean bool) {
	for range 2 { // again at once if somebody was first
		value, waiting, due := l.encode(clean)
		if !due {
			return
		}
		revision, won, err := l.bucket.Put(ctx, l.key, value, l.revision)
		if err == nil && won {
			l.revision, l.lastSaved = revision, time.Now()
			for _, w := range waiting {
				close(w)
			}
			return
		}
		l.mu.Lock()
		l.waiting, l.dirty = append(waiting, l.waiting...), true
		l.mu.Unlock()
		if err == nil {
			err = l.conflict(ctx)
		}
		if err != nil {
			if ctx.Err() == nil {
				l.logger.Warn("cursor not saved", "key", l.key, "err", err)
			}
			return
		}
	}
}

// conflict takes over a key that somebody else wrote: an unknown outcome of our own write, or another
// collector of the same site, node and host.
func (l *ledger) conflict(ctx context.Context) error {
	_, revision, err := l.bucket.Get(ctx, l.key)
	if err != nil {
		return err
	}
	l.revision = revision
	if l.conflicts++; l.conflicts > 1 {
		l.logger.Warn("another collector writes the same cursor; give it a node name of its own", "key", l.key, "conflicts", l.conflicts)
	}
	return nil
}

// encode returns the value to save, who waits for it, and whether it is time to save.
func (l *ledger) encode(clean bool) (value []byte, waiting []chan struct{}, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dirty && !clean && len(l.waiting) == 0 && time.Since(l.lastSaved) < aliveEvery {
		return nil, nil, false
	}
	maps.DeleteFunc(l.gone, func(_ string, at int64) bool { return at < l.cursor-keepGone })
	s := saved{Engine: l.engine, Cursor: l.cursor, Alive: time.Now().UnixNano(), Clean: clean, Tasks: l.tasks, Gone: l.gone}
	var err error
	value, err = json.Marshal(s)
	if err == nil && len(value) > maxSaved {
		s.Tasks = running(l.tasks)
		if value, err = json.Marshal(s); len(value) > maxSaved {
			s.Tasks, s.Gone = nil, nil // a snapshot still tells what runs
			value, err = json.Marshal(s)
		}
	}
	if err != nil {
		l.logger.Error("cursor not encoded", "err", err)
		return nil, nil, false
	}
	l.dirty, waiting, l.waiting = false, l.waiting, nil
	return value, waiting, true
}

func running(tasks map[string]memory) map[string]memory {
	kept := map[string]memory{}
	for id, m := range tasks {
		if m.Run != "" && !m.Exited {
			kept[id] = m
		}
	}
	return kept
}
