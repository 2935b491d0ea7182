package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/churn"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func isKept(l churn.Life) bool    { return l.Kept }
func isRemoved(l churn.Life) bool { return !l.Kept }

// verdict is what the observers told, held against the witness.
type verdict struct {
	rate        float64
	left        int // lives that do not count
	short, past *armVerdict
}

// armVerdict is the part of one collector and its peers.
type armVerdict struct {
	name     string
	cuts     []cut
	kept, rm scores
	twice    int // ids that the collector published again
	events   []event.Event
	gaps     []event.Event
	truth    *churn.Truth
	ours     churn.Tale
	lives    []churn.Life
	made     []churn.Life // with those that do not count
	counter  bool         // the daemon counts the runs of a container
}

type scores struct{ naive, since, ours churn.Score }

func (c *churned) judge() *verdict {
	truth, lives, made := churn.NewTruth(c.witness.Records()), c.driver.Lives(), c.driver.Made()
	return &verdict{
		rate: c.rate, left: len(made) - len(lives), short: c.short.judge(truth, lives, made), past: c.past.judge(truth, lives, made),
	}
}

func (a *arm) judge(truth *churn.Truth, lives, made []churn.Life) *armVerdict {
	v := &armVerdict{
		name: a.name, cuts: a.cuts, twice: a.watched.stream.twice(), events: a.watched.stream.Events(),
		gaps: a.watched.gaps(), truth: truth, lives: lives, made: made, counter: true,
	}
	v.ours = truth.Events(v.events)
	naive, since := truth.Read(a.naive.Records()), truth.Read(a.since.Records())
	of := func(which func(churn.Life) bool) scores {
		return scores{truth.Hold(naive, which, lives), truth.Hold(since, which, lives), truth.Hold(v.ours, which, lives)}
	}
	v.kept, v.rm = of(isKept), of(isRemoved)
	return v
}

func (v *armVerdict) complete() bool {
	return v.kept.ours.Told == v.kept.ours.Facts && v.rm.ours.Told == v.rm.ours.Facts
}

func (v *armVerdict) keptFinal() bool { return v.kept.ours.Final == v.kept.ours.Lives }

// checkAll demands that all is told, and nothing twice.
func (v *armVerdict) checkAll(t *testing.T) {
	t.Helper()
	every := func(churn.Life) bool { return true }
	assert.Empty(t, v.truth.Untold(v.ours, every, v.lives), "%s: not told", v.name)
	assert.Equal(t, v.kept.ours.Lives, v.kept.ours.Final, "%s: kept containers of which the end is told", v.name)
	assert.Equal(t, v.rm.ours.Lives, v.rm.ours.Final, "%s: removed containers of which the end is told", v.name)
	v.checkOnce(t)
	v.checkGaps(t)
}

// checkKnowable demands the end of every kept container, and that whatever is not told lies within an
// announced gap: runs in the middle of a kept container's life, and containers that are no more.
func (v *armVerdict) checkKnowable(t *testing.T) {
	t.Helper()
	assert.Equal(t, v.kept.ours.Lives, v.kept.ours.Final, "%s: kept containers of which the end is told", v.name)
	for _, c := range v.cuts {
		assert.True(t, slices.ContainsFunc(v.gaps, func(g event.Event) bool {
			return g.Data.Collector.From.Before(c.to) && g.Data.Collector.To.After(c.to)
		}), "%s: no gap announces the time from %s to %s", v.name, c.from, c.to)
	}
	for _, m := range append(v.truth.Untold(v.ours, isKept, v.lives), v.truth.Untold(v.ours, isRemoved, v.lives)...) {
		assert.True(t, v.announced(m), "%s: %+v at %s is not told, and no gap announces that", v.name, m.Fact, m.At)
	}
	for _, m := range v.truth.Untold(v.ours, isKept, v.lives) {
		assert.NotEqual(t, churn.Created, m.Kind, "%s: %s was kept, and its creation is not told", v.name, m.ID)
	}
	for run, kinds := range v.untold(v.lives) {
		if !slices.Equal(kinds, []churn.Kind{churn.Started, churn.Stopped}) { // of an end whose start is lost nobody knows when that was
			assert.Equal(t, []churn.Kind{churn.Started}, kinds, "%s: what is not told of run %d of %s, which was kept", v.name, run.Run, run.ID)
		}
	}
	v.checkOnce(t)
	v.checkGaps(t)
}

func (v *armVerdict) announced(m churn.Missing) bool {
	for _, g := range v.gaps {
		c := g.Data.Collector
		if len(c.Unknown) > 0 && !m.At.Before(c.From) && !m.At.After(c.To) {
			return true
		}
	}
	return false
}

func (v *armVerdict) checkOnce(t *testing.T) {
	t.Helper()
	assert.Zero(t, v.twice, "%s: ids that were published twice", v.name)
	if !assert.Zero(t, v.kept.ours.Surplus+v.rm.ours.Surplus, "%s: transitions that were told twice or never were", v.name) {
		for f := range v.truth.Surplus(v.ours) {
			t.Logf("%+v\n%s", f, strings.Join(runsOf(v.events, f.ID), "\n"))
		}
	}
}

// cost is what gaps cost, as they say themselves or as it was.
type cost struct{ reconciled, codes, runs int64 }

func costOf(gaps []event.Event) cost {
	var c cost
	for _, g := range gaps {
		c.reconciled += g.Data.Collector.Reconciled
		c.codes += g.Data.Collector.UnknownCodes
		c.runs += g.Data.Collector.UnseenRuns
	}
	return c
}

// cost returns what the gaps did cost: transitions that only a snapshot told, exit codes that were not, and
// runs of kept containers that nothing told. What the very first look told, of containers that others had
// left running, is no gap's.
func (v *armVerdict) cost() cost {
	var c cost
	for _, e := range v.events {
		if e.Data.Task == nil || e.Data.Observed != event.ObservedReconcile || e.Data.Supersedes != "" {
			continue
		}
		if len(v.cuts) > 0 && e.Recorded.Before(v.cuts[0].from) {
			continue
		}
		c.reconciled++
		if e.Type == event.TaskStopped && e.Data.Task.Containers[0].ExitCode == nil {
			c.codes++
		}
	}
	for _, kinds := range v.untold(v.made) {
		if len(kinds) == 2 {
			c.runs++
		}
	}
	return c
}

// untold returns what is not told of the runs of kept containers.
func (v *armVerdict) untold(lives []churn.Life) map[churn.Fact][]churn.Kind {
	runs := map[churn.Fact][]churn.Kind{}
	for _, m := range v.truth.Untold(v.ours, isKept, lives) {
		if run := (churn.Fact{ID: m.ID, Run: m.Run}); m.Kind == churn.Started || m.Kind == churn.Stopped {
			runs[run] = append(runs[run], m.Kind)
		}
	}
	return runs
}

// checkGaps demands that gaps count what they cost.
func (v *armVerdict) checkGaps(t *testing.T) {
	t.Helper()
	for _, g := range v.gaps {
		assert.NotContains(t, g.Data.Collector.Reason, "restarted", "%s: the daemon never was", v.name)
	}
	was, says := v.costs()
	assert.Equal(t, was, says, "%s: what the gaps cost, and what they say", v.name)
}

// costs are what the gaps cost and what they say.
func (v *armVerdict) costs() (was, says cost) {
	was, says = v.cost(), costOf(v.gaps)
	if !v.counter {
		was.runs = 0
	}
	return was, says
}

func (v *verdict) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "cuts\tkind\tlives\truns\tnaive\tsince\tours\tfinal: naive\tsince\tours\ttwice\tgaps\treconciled\tcodes unknown\truns unseen\t\n")
	for _, a := range []*armVerdict{v.short, v.past} {
		says, was := costOf(a.gaps), a.cost()
		for _, row := range []struct {
			kind string
			scores
		}{{"kept", a.kept}, {"--rm", a.rm}} {
			o := row.ours
			fmt.Fprintf(w, "%d %s\t%s\t%d\t%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d of %d\t%d of %d\t%d of %d\t\n", len(a.cuts), a.name, row.kind,
				o.Lives, o.Runs, row.naive.Percent(), row.since.Percent(), o.Percent(), row.naive.Final, row.since.Final, o.Final,
				a.twice+o.Surplus, len(a.gaps), says.reconciled, was.reconciled, says.codes, was.codes, says.runs, was.runs)
		}
	}
	_ = w.Flush() // into a builder
	fmt.Fprintf(&b, "%.1f lives a second; %d that the daemon failed to start again are left out\n", v.rate, v.left)
	for _, g := range v.past.gaps {
		fmt.Fprintf(&b, "%s to %s: %s\n", g.Data.Collector.From.Format(time.TimeOnly), g.Data.Collector.To.Format(time.TimeOnly), g.Data.Message)
	}
	return b.String()
}

// cursorsFrom returns what a collector has saved that has seen the daemon, but none of what comes.
func cursorsFrom(t *testing.T, host string) *collectortest.Bucket {
	t.Helper()
	cursors := &collectortest.Bucket{}
	w := watchHost(t, &counted{}, host, cursors)
	saved := cursors.Copy()
	w.stop()
	return saved
}
