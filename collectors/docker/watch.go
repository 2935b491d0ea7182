package docker

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

const (
	answerTimeout = 10 * time.Second
	pingEvery     = 15 * time.Second
	overlap       = int64(2 * time.Second) // the daemon's scan stops at the first older event, and stamps may be out of order
	shards        = 16
	// maxQueued events wait for the publisher before reading stops; it goes on below resumeBelow.
	maxQueued   = 4096
	resumeBelow = maxQueued / 4
	stableAfter = 3 * time.Second
	// tellBlind is how long a loss of sight is told even if nothing was lost.
	tellBlind = 5 * time.Second
)

var (
	errBehind      = errors.New("publishing is blocked: the stream does not take events")
	errOtherDaemon = errors.New("another Docker daemon answers at the same address")
)

// watch is one run of a collector: the connections to one daemon, and what outlives a connection.
type watch struct {
	*Collector
	cli    *client.Client
	daemon daemon
	ledger *ledger
	shards [shards]*shard
	queued atomic.Int64 // items in all queues
	drain  chan struct{}

	followed atomic.Int64 // logs that are being followed

	reader  *reader
	version string // of the daemon at the last connect
	blind   blindness
	watched int64 // ns, when the last snapshot was taken
	whole   bool  // the stream of this connection goes on where the one before broke
	found   losses
}

// blindness is a loss of sight that has not been told.
type blindness struct {
	since   time.Time // the last moment that is known to be covered; zero: none
	noticed time.Time
	reach   time.Time // how far back the daemon's log must go for nothing to be lost
	hole    bool      // once it did not
	reason  string
	always  bool // told even if short
	down    bool // the daemon did not answer when asked again
}

func (c *Collector) newWatch(ctx context.Context, cli *client.Client, d daemon) (*watch, error) {
	w := &watch{Collector: c, cli: cli, daemon: d, drain: make(chan struct{}, 1)}
	w.ledger = newLedger(c.deps.Cursors, ledgerKey(c.deps.Site, c.deps.Node, c.cfg.Host), d.id, c.deps.Logger)
	saved, err := w.ledger.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the cursor of the Docker daemon at %s: %w", c.cfg.Host, err)
	}
	from := d.now()
	if saved != nil {
		from = saved.Cursor
		alive := utc(saved.Alive)
		w.blind = blindness{since: alive, noticed: alive, reach: alive, reason: "Bellbuoy was not running", always: true}
		if !saved.Clean {
			w.blind.reason = "Bellbuoy ended without a stop and was not running"
		}
	}
	w.ledger.begin(from)
	if saved == nil && c.deps.Cursors != nil {
		w.ledger.save(ctx, false) // from now on, so that a crash before the next save leaves no hole
	}
	w.reader = newReader(from)
	for i := range w.shards {
		w.shards[i] = newShard(w, from)
		w.shards[i].machine.first = saved == nil
	}
	if saved != nil {
		for id, m := range saved.Tasks {
			w.shard(id).machine.tasks[id] = &task{id: id, memory: m}
		}
		for id, at := range saved.Gone {
			w.shard(id).machine.gone[id] = at
		}
	}
	return w, nil
}

func (w *watch) shard(id string) *shard {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return w.shards[h.Sum32()%shards]
}

func (w *watch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, s := range w.shards {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Go(func() { w.ledger.run(ctx) })
	err := w.connections(ctx)
	cancel()
	wg.Wait()
	return err
}

// connections connects again and again, until ctx ends or another daemon answers.
func (w *watch) connections(ctx context.Context) error {
	delay := backoff.New(firstRetry, lastRetry)
	for {
		begun := time.Now()
		err := w.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOtherDaemon):
			return err
		case time.Since(begun) > stableAfter:
			delay.Reset()
		}
		w.lostSight(err)
		if errors.Is(err, errBehind) {
			w.awaitPublisher(ctx)
		}
		if delay.Wait(ctx) != nil {
			return nil
		}
	}
}

func (w *watch) lostSight(err error) {
	now := time.Now()
	// A break is noticed later than it happens. Up to the newest event all has been seen.
	since := utc(max(w.reader.newest.Load(), w.daemon.now()-overlap)).Add(-w.daemon.skew)
	if since.After(now) {
		since = now
	}
	switch {
	case w.blind.since.IsZero():
		w.blind = blindness{since: since, noticed: now, reach: since, reason: err.Error()}
	case w.whole:
		w.blind.reach = since // up to here nothing was lost
	}
	w.whole = false
	w.metrics.reconnects.Inc()
	w.deps.Reporter.Report(collectors.Report{Err: err})
}

func (w *watch) awaitPublisher(ctx context.Context) {
	for w.queued.Load() > resumeBelow {
		select {
		case <-ctx.Done():
			return
		case <-w.drain:
		}
	}
}

// connect watches the daemon over one stream until it breaks.
func (w *watch) connect(ctx context.Context) error {
	d, err := w.inquire(ctx, w.cli)
	if err != nil {
		w.down()
		return err
	}
	if d.id != w.daemon.id {
		return fmt.Errorf("%w: %s has id %s, not %s", errOtherDaemon, w.cfg.Host, d.id, w.daemon.id)
	}
	if w.blind.down {
		w.reader.kills.peers.returned(w.blind.since.Add(w.daemon.skew).UnixNano(), w.daemon.now())
	}
	w.version = d.version
	group, ctx := errgroup.WithContext(ctx)
	open := make(chan struct{})
	group.Go(func() error { return w.read(ctx, open) })
	group.Go(func() error { return w.ping(ctx) })
	group.Go(func() error { return w.snapshots(ctx, open) })
	return group.Wait()
}

// down tells the shards that the daemon went down, if it had asked several containers to stop first.
func (w *watch) down() {
	if w.blind.down || w.blind.since.IsZero() {
		return
	}
	w.blind.down = true
	ended := w.blind.noticed.Add(w.daemon.skew).UnixNano()
	if ids := w.reader.kills.together(ended); len(ids) > 1 {
		for _, s := range w.shards {
			s.push(item{shutdown: ids})
		}
	}
}

// ping finds a daemon that hangs and a connection that is dead without a word.
func (w *watch) ping(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		once, cancel := context.WithTimeout(ctx, answerTimeout)
		_, err := w.cli.Ping(once, client.PingOptions{})
		cancel()
		if err != nil {
			return w.describe(err)
		}
	}
}

// inspect asks for one container. Missing ones have no facts and no error.
func (w *watch) inspect(ctx context.Context, id string) (*facts, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r, err := w.cli.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	f, err := w.inspected(r.Container, err)
	return f, err
}

func (w *watch) inspected(in container.InspectResponse, err error) (*facts, error) {
	switch {
	case isMissing(err):
		w.metrics.inspects.WithLabelValues("missing").Inc()
		return nil, nil //nolint:nilnil // missing is an answer
	case err != nil:
		w.metrics.inspects.WithLabelValues("failed").Inc()
		return nil, w.describe(err)
	}
	w.metrics.inspects.WithLabelValues("ok").Inc()
	f, ok := factsOf(&in, w.daemon.now())
	if !ok {
		return nil, errors.New("the daemon's answer has no state")
	}
	return f, nil
}
