package containerd

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

const (
	pingEvery = 15 * time.Second
	shards    = 16
	// maxQueued events wait for the publisher before reading stops; it goes on below resumeBelow.
	// containerd can't replay what is not read, so many may wait.
	maxQueued   = 16384
	resumeBelow = maxQueued / 4
	stableAfter = 3 * time.Second
	// onItsWay is how long an event may be between containerd and here.
	onItsWay = 2 * time.Second
)

var (
	errBehind     = errors.New("publishing is blocked: the stream does not take events")
	errOtherStore = errors.New("another containerd answers at the same address")
)

// watch is one run of a collector: the connection to one containerd, and what outlives its streams.
type watch struct {
	*Collector
	api     *api
	host    host
	server  server
	boot    string
	images  *imageNames
	owned   *owned
	waits   *waits
	shards  [shards]*shard
	backlog *collectors.Backlog
	look    chan struct{} // asks for a snapshot soon; holds one

	// What was told without an event of it, and the ends among that whose exit code is not known, since the
	// last gap was told.
	found, codeless atomic.Int64

	blind   blindness
	sure    atomic.Int64 // up to when the stream has delivered all, ns
	watched time.Time    // when the last snapshot was taken
}

// blindness is a loss of sight that has not been told.
type blindness struct {
	since  time.Time // zero: none
	reason string
	down   bool // containerd did not answer when asked again, or another process of it does
}

func (c *Collector) newWatch(ctx context.Context, a *api, s server) (*watch, error) {
	w := &watch{
		Collector: c, api: a, host: host{c.cfg.HostRoot}, server: s, backlog: collectors.NewBacklog(resumeBelow, c.metrics.queued), look: make(chan struct{}, 1),
		images: newImageNames(a), owned: newOwned(c.deps.Logger),
	}
	w.waits = newWaits(w)
	var err error
	if w.boot, err = w.host.bootID(); err != nil {
		c.deps.Logger.Warn("boot id not read: runs of different boots can't be told apart", "err", err)
	}
	for i := range w.shards {
		w.shards[i] = newShard(w, c.newLedger(i, s.id))
	}
	return w, w.restore(ctx)
}

// shard returns who works for a container.
func (w *watch) shard(key string) *shard {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return w.shards[h.Sum32()%shards]
}

func (w *watch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, s := range w.shards {
		wg.Go(func() { s.run(ctx) })
		wg.Go(func() { s.ledger.run(ctx) })
	}
	err := w.connections(ctx)
	cancel()
	wg.Wait()
	w.waits.group.Wait()
	return err
}

// connections connects again and again, until ctx ends or another containerd answers.
func (w *watch) connections(ctx context.Context) error {
	delay := backoff.New(firstRetry, lastRetry)
	for {
		begun := time.Now()
		err := w.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOtherStore):
			return err
		case time.Since(begun) > stableAfter:
			delay.Reset()
		}
		w.lostSight(err)
		if errors.Is(err, errBehind) {
			w.backlog.Await(ctx)
		}
		if delay.Wait(ctx) != nil {
			return nil
		}
	}
}

func (w *watch) lostSight(err error) {
	if w.blind.since.IsZero() {
		w.blind = blindness{since: time.Now(), reason: err.Error()}
		// What was on its way when the stream broke is lost, and a break may be noticed late.
		if sure := utc(w.sure.Load()); !sure.IsZero() && sure.Before(w.blind.since) {
			w.blind.since = sure
		}
	}
	w.metrics.reconnects.Inc()
	w.deps.Reporter.Report(collectors.Report{Err: err})
}

// delivered notes that all events up to a time have come.
func (w *watch) delivered(upTo time.Time) {
	w.sure.Store(max(w.sure.Load(), upTo.UnixNano()))
}

// connect watches containerd over one stream until it breaks.
func (w *watch) connect(ctx context.Context) error {
	s, err := w.api.inquire(ctx)
	if err != nil {
		w.blind.down = true
		return err
	}
	if s.id != w.server.id {
		return fmt.Errorf("%w: %s has id %s, not %s", errOtherStore, w.cfg.socket(), s.id, w.server.id)
	}
	w.blind.down = w.blind.down || s.pid != w.server.pid
	w.server = s
	group, ctx := errgroup.WithContext(ctx)
	open := make(chan struct{})
	group.Go(func() error { return w.read(ctx, open) })
	group.Go(func() error { return w.ping(ctx) })
	group.Go(func() error { return w.snapshots(ctx, open) })
	return group.Wait()
}

// ping finds a containerd that hangs and a connection that is dead without a word.
func (w *watch) ping(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		asked := time.Now()
		if err := w.api.ping(ctx); err != nil {
			return err
		}
		w.delivered(asked.Add(-onItsWay)) // over the same connection
	}
}
