package docker

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
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
)

var (
	errBehind      = errors.New("publishing is blocked: the stream does not take events")
	errOtherDaemon = errors.New("another Docker daemon answers at the same address")
	errOtherAPI    = errors.New("the Docker daemon speaks another version than was agreed on")
	errStalled     = errors.New("the event stream is silent, but the daemon's log goes on")
	errLost        = errors.New("the event stream lost events that the daemon's log holds")
	errEnded       = errors.New("the event stream ended")
	errGarbled     = errors.New("the event stream is garbled")
)

// watch is one run of a collector: the connections to one daemon, and what outlives a connection.
type watch struct {
	*Collector
	*connection
	daemon  daemon
	ledger  *ledger
	shards  [shards]*shard
	backlog *collectors.Backlog

	followed atomic.Int64 // logs that are being followed

	reader  *reader
	listing *listing
	version string // of the daemon at the last connect
	blind   blindness
	whole   bool // the stream of this connection goes on where the one before broke
	found   losses
}

func (c *Collector) newWatch(ctx context.Context, conn *connection, d daemon) (*watch, error) {
	w := &watch{Collector: c, connection: conn, daemon: d, backlog: collectors.NewBacklog(resumeBelow, c.metrics.queued)}
	w.ledger = newLedger(c.deps.Cursors, ledgerKey(c.deps.Site, c.deps.Node, c.cfg.Host), d.engine(), c.deps.Logger)
	saved, err := w.ledger.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the cursor of the Docker daemon at %s: %w", c.cfg.Host, err)
	}
	from, before := d.now(), d.now()
	if saved != nil {
		from, before = saved.Cursor, d.theirs(utc(saved.Alive))
		w.blind = away(saved)
	}
	w.ledger.begin(from, w.blind.anchor)
	if saved == nil && c.deps.Cursors != nil {
		w.ledger.save(ctx, false) // from now on, so that a crash before the next save leaves no hole
	}
	w.reader, w.listing = newReader(from), newListing(c.cfg.SnapshotEvery, before)
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

func (w *watch) shard(id string) *shard { return w.shards[shardOf(id)] }

func shardOf(id string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return int(h.Sum32() % shards)
}

func (w *watch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, s := range w.shards {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Go(func() { w.ledger.run(ctx) })
	wg.Go(func() { w.claim().run(ctx) })
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
		case errors.Is(err, errOtherDaemon), errors.Is(err, errOtherAPI):
			return err
		case time.Since(begun) > stableAfter:
			delay.Reset()
		}
		w.lostSight(err)
		w.metrics.reconnects.Inc()
		// A proxy that cuts idle streams is routine, and sight is back before anybody looks.
		if !errors.Is(err, errEnded) || time.Since(begun) < stableAfter {
			w.deps.Reporter.Report(collectors.Report{Err: err})
		}
		if errors.Is(err, errBehind) {
			w.backlog.Await(ctx)
		}
		if delay.Wait(ctx) != nil {
			return nil
		}
	}
}

// connect watches the daemon over one stream until it breaks. The stream is opened before anything is asked:
// what the daemon remembers turns over meanwhile.
func (w *watch) connect(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	answer, err := w.open(ctx)
	if err == nil {
		err = w.meet(ctx, &answer)
	}
	if err != nil {
		if answer != nil {
			answer.close()
		}
		_ = group.Wait() // nothing runs; it ends ctx
		return err
	}
	group.Go(func() error { return w.read(ctx, answer) })
	group.Go(func() error { return w.ping(ctx) })
	group.Go(func() error { return w.snapshots(ctx) })
	return group.Wait()
}

// open asks for the stream.
func (w *watch) open(ctx context.Context) (*records, error) {
	answer, err := w.events(ctx, span{since: w.resume(), filters: filters(w.daemon.podman)})
	switch {
	case err == nil:
		return answer, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case otherAPI(err):
		return nil, fmt.Errorf("%w: %w", errOtherAPI, err)
	}
	w.down()
	return nil, w.describe(err)
}

// meet finds out whether it is the same daemon, and opens the stream anew if its clock was set back.
func (w *watch) meet(ctx context.Context, answer **records) error {
	d, err := w.inquire(ctx, w.connection)
	switch {
	case err != nil && otherAPI(err):
		return fmt.Errorf("%w: %w", errOtherAPI, err)
	case err != nil:
		w.down()
		return err
	case d.id != w.daemon.id:
		return fmt.Errorf("%w: %s has id %s, not %s", errOtherDaemon, w.cfg.Host, d.id, w.daemon.id)
	}
	if w.blind.down {
		w.reader.kills.peers.returned(w.daemon.theirs(w.blind.since), w.daemon.now())
	}
	w.version = d.version
	if w.reader.newest.Load() <= w.daemon.now()+overlap {
		return nil
	}
	(*answer).close()
	*answer, err = w.open(ctx)
	return err
}

// otherAPI reports whether a daemon no longer speaks the version that was agreed on.
func otherAPI(err error) bool {
	text := err.Error()
	return strings.Contains(text, "client version") && (strings.Contains(text, "is too old") || strings.Contains(text, "is too new"))
}

// down tells the shards that the daemon went down, if it had asked several containers to stop first.
func (w *watch) down() {
	if w.blind.down || w.blind.since.IsZero() {
		return
	}
	w.blind.down = true
	ended := w.daemon.theirs(w.blind.noticed)
	if ids := w.reader.kills.together(ended); len(ids) > 1 {
		for _, s := range w.shards {
			s.push(item{shutdown: ids})
		}
	}
}

// ping finds a daemon that hangs, a connection that is dead without a word, and a clock that was set.
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
		_, err := w.Ping(once, client.PingOptions{})
		cancel()
		if err != nil {
			return w.describe(err)
		}
		if w.daemon.stepped() {
			w.deps.Logger.Warn("the daemon's clock was set")
			if _, err := w.inquire(ctx, w.connection); err != nil {
				return err
			}
		}
	}
}

// inspect asks for one container. Missing ones have no facts and no error.
func (w *watch) inspect(ctx context.Context, id string) (*facts, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r, err := w.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
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
	f, ok := factsOf(&in, max(w.daemon.now(), w.reader.newest.Load()))
	if !ok {
		return nil, errors.New("the daemon's answer has no state")
	}
	return f, nil
}
