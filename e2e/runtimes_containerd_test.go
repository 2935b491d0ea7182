package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/churn"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// ctrChurn is a churn on one containerd: a witness, and a collector and a peer that lose their connections
// together.
type ctrChurn struct {
	*churn.Breaker
	daemon  *harness.Containerd
	driver  *churn.Containerd
	witness *churn.Listener
	naive   *churn.Listener
	watched *watched
	rate    float64
	cuts    []cut

	unpublished int // ends that containerd told nobody who did not wait for them
}

func newTasks(t *testing.T, c *harness.Containerd) *ctrChurn {
	t.Helper()
	prefix := fmt.Sprintf("churn-%d", time.Now().UnixNano())
	template := c.Run(t, harness.CtrSpec{Namespace: prefix, ID: prefix + "-template", Cmd: []string{"true"}})
	c.Wait(t, prefix, template, time.Minute)
	x := &ctrChurn{
		Breaker: churn.NewBreaker(t, c.Address), daemon: c, witness: churn.NewListener(t, c.Address, prefix),
		driver: &churn.Containerd{Conn: c.Dial(t), Namespace: prefix, Template: template, Prefix: prefix, Rate: 5},
	}
	t.Cleanup(func() { assert.NoError(t, x.driver.Remove(context.Background())) })
	socket := strings.TrimPrefix(x.Host, "unix://")
	x.naive, x.watched = churn.NewListener(t, socket, prefix), watchSocket(t, &counted{}, socket)
	for _, l := range []*churn.Listener{x.witness, x.naive} {
		eventually(t, time.Minute, "the listener hears", func() bool {
			return x.driver.Mark(t.Context()) == nil && l.Total() > 0
		})
	}
	return x
}

// run drives while the collector is cut off as planned.
func (x *ctrChurn) run(t *testing.T) {
	t.Helper()
	gaps, rest := []time.Duration{time.Second, 2 * time.Second}, time.Second
	if long() {
		gaps, rest = []time.Duration{600 * time.Millisecond, 3 * time.Second, 600 * time.Millisecond, 12 * time.Second}, 8*time.Second
	}
	enough, done := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		x.rate, err = x.driver.Drive(context.WithoutCancel(t.Context()), enough)
		done <- err
	}()
	func() {
		defer close(enough)
		for i, gap := range gaps {
			pause(rest)
			begun := time.Now()
			x.Cut()
			eventually(t, time.Minute, "the collector notices", func() bool { return !x.watched.status().Connected })
			pause(gap)
			x.cuts = append(x.cuts, cut{begun, time.Now()})
			x.Mend()
			eventually(t, time.Minute, "the gap is announced", func() bool { return len(x.watched.gaps()) > i })
		}
		pause(rest)
	}()
	require.NoError(t, <-done)
}

// TestChurnContainerd lets containers live and die on each containerd, with execs, while a collector loses
// its connection. containerd replays nothing: what ended and stayed is found, what was deleted is announced
// as unknowable.
func TestChurnContainerd(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, c *harness.Containerd) {
		abreast(t)
		x := newTasks(t, c)
		x.run(t)
		assert.Eventually(t, func() bool {
			v := x.judge()
			was, says := v.cost(), costOf(v.gaps)
			return v.keptFinal() && v.outside() == 0 && was.reconciled == says.reconciled
		}, time.Minute, 100*time.Millisecond, "not all is told")
		x.watched.stop()
		v := x.judge()
		t.Logf("%s\n%s", c.Version, x.table(v))
		for _, e := range v.events {
			if e.Data.Task != nil {
				assert.NotEqual(t, "exec", e.Data.Task.ID, "%s", e.Data.Message)
			}
		}
		require.Positive(t, x.witness.Execs())
		v.checkKnowable(t)
	})
}

func (x *ctrChurn) judge() *armVerdict {
	records, unpublished := churn.Complete(x.witness.Records(), x.driver.Ends())
	x.unpublished = unpublished
	truth, lives := churn.NewTruth(records), x.driver.Lives()
	v := &armVerdict{
		name: "containerd " + x.daemon.Version, cuts: x.cuts, twice: x.watched.stream.twice(), events: x.watched.stream.Events(),
		gaps: x.watched.gaps(), truth: truth, lives: lives,
	}
	v.ours = truth.Events(v.events)
	naive := truth.Read(x.naive.Records())
	of := func(which func(churn.Life) bool) scores {
		return scores{naive: truth.Hold(naive, which, lives), ours: truth.Hold(v.ours, which, lives)}
	}
	v.kept, v.rm = of(isKept), of(isRemoved)
	return v
}

// outside counts the ends that are not told, but for those within an announced gap.
func (v *armVerdict) outside() int {
	n := 0
	for _, m := range v.truth.Untold(v.ours, func(churn.Life) bool { return true }, v.lives) {
		if m.Kind == churn.Stopped && !v.announced(m) {
			n++
		}
	}
	return n
}

func (x *ctrChurn) table(v *armVerdict) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	says, was := costOf(v.gaps), v.cost()
	fmt.Fprintf(w, "kind\tlives\truns\tnaive\tours\tfinal: naive\tours\ttwice\tcuts\tgaps\treconciled\tends untold outside gaps\t\n")
	for _, row := range []struct {
		kind string
		scores
	}{{"kept", v.kept}, {"deleted", v.rm}} {
		o := row.ours
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d of %d\t%d\t\n", row.kind, o.Lives, o.Runs, row.naive.Percent(), o.Percent(),
			row.naive.Final, o.Final, v.twice+o.Surplus, len(v.cuts), len(v.gaps), says.reconciled, was.reconciled, v.outside())
	}
	_ = w.Flush() // into a builder
	fmt.Fprintf(&b, "%.1f lives a second; %d execs, none told; %d ends that containerd never published\n", x.rate, x.witness.Execs(), x.unpublished)
	for _, g := range v.gaps {
		fmt.Fprintf(&b, "%s to %s: %s\n", g.Data.Collector.From.Format(time.TimeOnly), g.Data.Collector.To.Format(time.TimeOnly), g.Data.Message)
	}
	return b.String()
}
