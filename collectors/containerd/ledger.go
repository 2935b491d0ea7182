package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// saved is what a restart finds, a part for each shard, so that what one container does need not write
// what is known of all. The first part is written now and then even if nothing happens.
type saved struct {
	Engine string            `json:"engine"`
	Alive  int64             `json:"alive"` // ns: the collector watched until here, by the first part
	Clean  bool              `json:"clean"` // it was stopped, not killed, by the first part
	Tasks  map[string]memory `json:"tasks"` // by key
}

const (
	saveEvery  = time.Second
	aliveEvery = 10 * time.Second
	saveLast   = 3 * time.Second
	maxSaved   = 900 << 10 // below what one message may carry
)

// ledger keeps in a bucket what a shard knows of each container, because containerd can't be asked for
// the past. It is safe for concurrent use.
type ledger struct {
	bucket collectors.Bucket
	key    string
	first  bool // of the parts
	engine string
	logger *slog.Logger

	mu      sync.Mutex // guards what follows
	tasks   map[string]memory
	dirty   bool
	waiting []chan struct{} // closed once what is kept now is saved

	wake chan struct{}

	revision  uint64 // of the value in the bucket; belongs to load and run
	lastSaved time.Time
	conflicts int
}

func (c *Collector) newLedger(part int, engine string) *ledger {
	sum := sha256.Sum256([]byte(c.cfg.socket()))
	key := event.Token(c.deps.Site) + ".containerd." + event.Token(c.deps.Node) + "." + hex.EncodeToString(sum[:4])
	return &ledger{
		bucket: c.deps.Cursors, key: key + "." + strconv.Itoa(part), first: part == 0, engine: engine, logger: c.deps.Logger,
		tasks: map[string]memory{}, wake: make(chan struct{}, 1),
	}
}

// load returns what was saved about this containerd, or nil.
func (l *ledger) load(ctx context.Context) (*saved, error) {
	if l.bucket == nil {
		return nil, nil //nolint:nilnil // nothing is kept
	}
	value, revision, err := l.bucket.Get(ctx, l.key)
	if err != nil {
		return nil, err
	}
	l.revision = revision
	if revision == 0 {
		return nil, nil //nolint:nilnil // the first start
	}
	var s saved
	if err := json.Unmarshal(value, &s); err != nil {
		l.logger.Warn("saved memory can't be read, beginning anew", "err", err)
		return nil, nil //nolint:nilnil // as at the first start
	}
	if s.Engine != l.engine || s.Alive <= 0 {
		return nil, nil //nolint:nilnil // another containerd's
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.Copy(l.tasks, s.Tasks)
	return &s, nil
}

func (l *ledger) keep(key string, m memory) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tasks[key], l.dirty = m, true
}

func (l *ledger) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tasks, key)
	l.dirty = true
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
				l.logger.Warn("memory not saved", "key", l.key, "err", err)
			}
			return
		}
	}
}

// conflict takes over a key that somebody else wrote: an unknown outcome of our own write, or another
// collector of the same site, node and socket.
func (l *ledger) conflict(ctx context.Context) error {
	_, revision, err := l.bucket.Get(ctx, l.key)
	if err != nil {
		return err
	}
	l.revision = revision
	if l.conflicts++; l.conflicts > 1 {
		l.logger.Warn("another collector writes the same memory; give it a node name of its own", "key", l.key, "conflicts", l.conflicts)
	}
	return nil
}

// encode returns the value to save, who waits for it, and whether it is time to save.
func (l *ledger) encode(clean bool) (value []byte, waiting []chan struct{}, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pulse := l.first && (clean || time.Since(l.lastSaved) >= aliveEvery)
	if !l.dirty && len(l.waiting) == 0 && !pulse {
		return nil, nil, false
	}
	s := saved{Engine: l.engine, Alive: time.Now().UnixNano(), Clean: clean, Tasks: l.tasks}
	var err error
	value, err = json.Marshal(s)
	if err == nil && len(value) > maxSaved {
		s.Tasks = shorter(l.tasks)
		if value, err = json.Marshal(s); len(value) > maxSaved {
			s.Tasks = nil // a snapshot still tells what runs
			value, err = json.Marshal(s)
		}
	}
	if err != nil {
		l.logger.Error("memory not encoded", "err", err)
		return nil, nil, false
	}
	l.dirty, waiting, l.waiting = false, l.waiting, nil
	return value, waiting, true
}

// shorter keeps what decides about the end of runs.
func shorter(tasks map[string]memory) map[string]memory {
	kept := map[string]memory{}
	for key, m := range tasks {
		if m.Run != "" && !m.Exited || len(m.Unsent) > 0 {
			kept[key] = memory{Name: m.Name, Labels: m.Labels, State: m.State, Created: m.Created, Born: m.Born, Run: m.Run, Exited: m.Exited, Unsent: m.Unsent}
		}
	}
	return kept
}
