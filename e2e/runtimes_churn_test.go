package e2e_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/e2e/churn"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// long reports whether tests run for as long as their result in docs/measurements.md did.
func long() bool { return os.Getenv("BELLBUOY_E2E_LONG") != "" }

// abreast lets a short test run on all daemons at once; long ones measure, each alone.
func abreast(t *testing.T) {
	t.Helper()
	if !long() {
		t.Parallel()
	}
}

// A churnPlan says for how long and how often watchers are cut off.
type churnPlan struct {
	cuts int           // of 0.5 to 0.7 s, which the daemon's log outlasts
	calm time.Duration // after each
	gaps []time.Duration
	rest time.Duration // after each gap
}

func planOfChurn() churnPlan {
	if long() {
		return churnPlan{cuts: 14, calm: 1500 * time.Millisecond, gaps: []time.Duration{3 * time.Second, 12 * time.Second}, rest: 8 * time.Second}
	}
	return churnPlan{cuts: 5, calm: 200 * time.Millisecond, gaps: []time.Duration{300 * time.Millisecond, 1200 * time.Millisecond}, rest: time.Second}
}

// watched is a collector under its supervisor, behind a breaker of its own.
type watched struct {
	stream *counted
	status func() collectors.Status
	stop   func()
}

// counted is a stream that counts what is published to it.
type counted struct {
	collectortest.Stream

	published atomic.Int64
}

func (c *counted) Publish(ctx context.Context, e event.Event) error {
	c.published.Add(1)
	return c.Stream.Publish(ctx, e)
}

// twice counts the events that were published with an id that had been published before.
func (c *counted) twice() int { return int(c.published.Load()) - len(c.Events()) }

// watch starts a collector under a supervisor of its own; it ends with the test at the latest.
func watch(t *testing.T, stream *counted, runtime event.Runtime, build func(l *collectors.Link) (collectors.Collector, error)) *watched {
	t.Helper()
	w := &watched{stream: stream}
	sup, err := collectors.NewSupervisor(collectors.Deps{Site: "e2e", Node: "n1", Publisher: w.stream})
	require.NoError(t, err)
	require.NoError(t, sup.Add(string(runtime), runtime, build))
	w.status = func() collectors.Status { return sup.Status()[0] }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sup.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(w.stop)
	w.sees(t)
	return w
}

// watchHost watches the Docker daemon at host.
func watchHost(t *testing.T, stream *counted, host string, cursors collectors.Bucket) *watched {
	t.Helper()
	return watch(t, stream, event.Docker, func(l *collectors.Link) (collectors.Collector, error) {
		cfg := docker.DefaultConfig()
		cfg.Host = host
		return docker.New(cfg, docker.Deps{Site: "e2e", Node: "n1", Publisher: l, Reporter: l, Cursors: cursors})
	})
}

func (w *watched) sees(t *testing.T) {
	t.Helper()
	eventually(t, time.Minute, "the collector sees its runtime", func() bool { return w.status().Connected })
}

// gaps returns the gaps that are over, as the stream has them.
func (w *watched) gaps() []event.Event {
	var over []event.Event
	for _, e := range w.stream.Of(event.CollectorGap, "") {
		if !e.Data.Collector.To.IsZero() {
			over = append(over, e)
		}
	}
	return over
}

// arm is a collector and its peers, which lose their connections together.
type arm struct {
	*churn.Breaker
	name         string
	watched      *watched
	naive, since *churn.Peer
	cuts         []cut
}

type cut struct{ from, to time.Time }

func newArm(t *testing.T, name string, d *harness.Docker) *arm {
	t.Helper()
	b := churn.NewBreaker(t, d.Host)
	return &arm{
		Breaker: b, name: name, watched: watchHost(t, &counted{}, b.Host, &collectortest.Bucket{}),
		naive: churn.NewPeer(t, b.Host, churn.Naive), since: churn.NewPeer(t, b.Host, churn.Since),
	}
}

// blind cuts all of an arm off until during has returned, and waits until the collector sees again.
func (a *arm) blind(t *testing.T, during func()) {
	t.Helper()
	begun := time.Now()
	a.Cut()
	eventually(t, time.Minute, "the collector notices", func() bool { return !a.watched.status().Connected })
	during()
	a.cuts = append(a.cuts, cut{begun, time.Now()})
	a.Mend()
	a.watched.sees(t)
}

// churned is one churn on one daemon, and all that watched it.
type churned struct {
	daemon      *harness.Docker
	driver      *churn.Docker
	witness     *churn.Peer
	short, past *arm
	rate        float64
	running     map[string]bool       // containers that outlive the churn
	before      *collectortest.Bucket // what a collector had saved before the first life
	cutAt       atomic.Int64          // events that the witness had when the short arm was cut; 0 while it sees
}

// reach is how many events may come while the short arm is cut off: less than the daemon remembers, even
// if all lives that are under way end within the cut.
const reach = churn.Ring / 2

func newChurn(t *testing.T, d *harness.Docker) *churned {
	t.Helper()
	c := &churned{daemon: d}
	c.driver = &churn.Docker{
		Client: d.Client(), Image: d.Image, Prefix: fmt.Sprintf("churn-%d", time.Now().UnixNano()), Rate: 5, Noise: 40, Gate: c.gate,
	}
	t.Cleanup(func() { assert.NoError(t, c.driver.Remove(context.Background())) })
	c.before = cursorsFrom(t, d.Host)
	c.witness = churn.NewPeer(t, d.Host, churn.Since)
	c.short, c.past = newArm(t, "inside the log", d), newArm(t, "past the log", d)
	for _, p := range []*churn.Peer{c.witness, c.short.naive, c.short.since, c.past.naive, c.past.since} {
		eventually(t, time.Minute, "the peer listens", func() bool {
			return c.driver.Volume(t.Context()) == nil && p.Total() > 0
		})
	}
	c.running = map[string]bool{}
	for range 3 {
		c.running[d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sleep", "600"}})] = true
	}
	return c
}

// gate holds the driver back while the short arm is cut off and the daemon is about to forget.
func (c *churned) gate(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		cut := c.cutAt.Load()
		if cut == 0 || int64(c.witness.Total())-cut < reach {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// run drives while the arms are cut off as planned, and waits for the end of all lives.
func (c *churned) run(t *testing.T, plan churnPlan) {
	t.Helper()
	enough, done := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		c.rate, err = c.driver.Drive(context.WithoutCancel(t.Context()), enough)
		done <- err
	}()
	finish := func() error { close(enough); return <-done }
	defer func() {
		if finish != nil {
			_ = finish() // the test has failed
		}
	}()
	for i := range plan.cuts {
		pause(plan.calm)
		c.cutAt.Store(int64(c.witness.Total()))
		c.short.blind(t, func() { pause(500*time.Millisecond + time.Duration(i%3)*100*time.Millisecond) })
		c.cutAt.Store(0)
	}
	for i, gap := range plan.gaps {
		pause(plan.rest)
		c.past.blind(t, func() {
			pause(gap)
			assert.NoError(t, c.driver.Flush(t.Context()))
		})
		eventually(t, time.Minute, "the gap is announced", func() bool { return len(c.past.watched.gaps()) > i })
	}
	pause(plan.rest)
	err := finish()
	finish = nil
	require.NoError(t, err)
}

// pause lets the churn go on for a while.
func pause(d time.Duration) { <-time.After(d) }

// settle waits until every life has ended and has been told.
func (c *churned) settle(t *testing.T) *verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	require.NoError(t, c.driver.Remains(ctx))
	var v *verdict
	told := func() bool {
		v = c.judge()
		return v.short.complete() && v.past.keptFinal() && len(c.past.watched.gaps()) > 0
	}
	assert.Eventually(t, told, 30*time.Second, 100*time.Millisecond, "not all is told")
	// A run that only the daemon's counter knows of is told by the first look after it shows, within a minute.
	counted := func() bool {
		v = c.judge()
		was, says := v.past.costs()
		return was == says
	}
	for late := time.Now().Add(90 * time.Second); !counted() && time.Now().Before(late); {
		pause(time.Second)
	}
	c.short.watched.stop()
	c.past.watched.stop()
	return c.judge()
}

// TestChurnDocker lets containers live and die while collectors lose their connection: within what the
// daemon remembers nothing may be lost, and beyond it nothing but what cannot be known, which is announced.
func TestChurnDocker(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, d *harness.Docker) {
		abreast(t)
		c := newChurn(t, d)
		c.run(t, planOfChurn())
		v := c.settle(t)
		t.Logf("churn on Docker\n%s", v)
		require.NoError(t, c.witness.Broken(), "the witness lost its stream")
		v.short.checkAll(t)
		v.past.checkKnowable(t)
		sameIDsAfterwards(t, c)
	})
}
