package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/internal/bus"
)

// runBound ends a run that hangs.
const runBound = 90 * time.Second

// publishers is how many goroutines wait for their acknowledgements in the durable contest.
const publishers = 1024

// bench is one run of this program.
type bench struct {
	options
	out     io.Writer
	dir     string
	stub    *stub
	figures figures
}

func open(ctx context.Context, o options, out io.Writer) (*bench, error) {
	dir, err := os.MkdirTemp("", "bellbuoy-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	s, err := startStub(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &bench{options: o, out: out, dir: dir, stub: s, figures: newFigures()}, nil
}

func (b *bench) close() error { return errors.Join(b.stub.close(), os.RemoveAll(b.dir)) }

// racer is one side of a contest: it handles so many events and measures that.
type racer struct {
	name   string
	events int
	run    func(ctx context.Context, events int) (sample, error)
}

func (r racer) measure(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runBound, errors.New("the run takes too long"))
	defer cancel()
	runtime.GC() // each begins with the same heap
	s, err := r.run(ctx, r.events)
	if err != nil {
		return s, fmt.Errorf("%s: %w", r.name, err)
	}
	return s, nil
}

// contest runs two racers in turn.
type contest struct {
	bare, ours racer
	done       func(rate, cpu float64)
}

// contests runs those that were asked for, round by round, and sets their figures.
func (b *bench) contests(ctx context.Context) error {
	var cs []contest
	if b.parts[partPath] {
		cs = append(cs, contest{
			racer{"bare stream", b.events, runBare},
			racer{"whole path", b.events, b.runPath},
			func(rate, cpu float64) { b.figures.set("rate_ratio", rate); b.figures.set("cpu_ratio", cpu) },
		})
	}
	if b.parts[partDurable] {
		cs = append(cs, contest{
			racer{"synced one by one", b.synced, runSynced},
			racer{"group commit", b.grouped, runGrouped},
			func(rate, _ float64) { b.figures.set("durable_ratio", rate) },
		})
	}
	if b.parts[partTranslate] {
		c, err := b.translation()
		if err != nil {
			return err
		}
		cs = append(cs, c)
	}
	if len(cs) == 0 {
		return nil
	}
	_, size, err := newLoad(poolSize).bodies()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "Events of %d bytes on average; %d CPUs. bare stream: JetStream alone, fast-ingest batches (flow 200) in,\n"+
		"pull consumer with an ack each out, the same bytes encoded before. %d publishers wait for the group commit.\n\n"+
		"round  case                 events/s      s/M\n", size, runtime.GOMAXPROCS(0), publishers)
	for _, c := range cs {
		if err := b.warm(ctx, c); err != nil {
			return err
		}
	}
	bare, ours := make([][]sample, len(cs)), make([][]sample, len(cs))
	for round := range b.rounds {
		for i, c := range cs {
			first, second, firsts, seconds := c.bare, c.ours, &bare[i], &ours[i]
			if round%2 == 1 { // who goes second finds the disk busier
				first, second, firsts, seconds = second, first, seconds, firsts
			}
			if err := b.race(ctx, round, first, firsts); err != nil {
				return err
			}
			if err := b.race(ctx, round, second, seconds); err != nil {
				return err
			}
		}
	}
	for i, c := range cs {
		b.judge(c, bare[i], ours[i])
	}
	return nil
}

// warm runs both sides once with few events: the first run pays for what is made once.
func (b *bench) warm(ctx context.Context, c contest) error {
	for _, r := range []racer{c.bare, c.ours} {
		r.events = max(r.events/10, 1)
		if _, err := r.measure(ctx); err != nil {
			return fmt.Errorf("warm up: %w", err)
		}
	}
	return nil
}

func (b *bench) race(ctx context.Context, round int, r racer, into *[]sample) error {
	s, err := r.measure(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "%5d  %-18s %10.0f %8.1f\n", round+1, r.name, s.rate(), s.perMillion())
	*into = append(*into, s)
	return nil
}

// judge prints the medians. A ratio is taken within each round, so that slow rounds do not count for more.
func (b *bench) judge(c contest, bare, ours []sample) {
	var rates, cpus []float64
	for i := range bare {
		rates = append(rates, ours[i].rate()/bare[i].rate())
		cpus = append(cpus, ours[i].perMillion()/bare[i].perMillion())
	}
	middle := func(samples []sample, value func(sample) float64) float64 {
		var values []float64
		for _, s := range samples {
			values = append(values, value(s))
		}
		return median(values)
	}
	fmt.Fprintln(b.out)
	for _, side := range []struct {
		racer
		samples []sample
	}{{c.bare, bare}, {c.ours, ours}} {
		fmt.Fprintf(b.out, "median %-18s %10.0f %8.1f\n", side.name, middle(side.samples, sample.rate), middle(side.samples, sample.perMillion))
	}
	fmt.Fprintf(b.out, "       ratio              %10.2f %8.2f\n", median(rates), median(cpus))
	c.done(median(rates), median(cpus))
}

// runPath carries the events over the whole path as fast as it goes.
func (b *bench) runPath(ctx context.Context, n int) (s sample, err error) {
	l := newLoad(n)
	p, err := openPipe(ctx, bus.Relaxed, b.stub.url, n)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if _, err := b.stub.take(ctx); err != nil {
		return s, err
	}
	var failed atomic.Int64
	w := startWatch()
	err = p.run(ctx, func(ctx context.Context) error {
		for i := range n {
			if err := p.publisher.PublishAsync(ctx, l.event(i), counter(&failed)); err != nil {
				return err
			}
		}
		return nil
	})
	s = w.stop(n)
	if failed.Load() > 0 {
		err = errors.Join(err, fmt.Errorf("%d events were refused", failed.Load()))
	}
	return s, errors.Join(err, b.stub.expect(ctx, n))
}

// counter is a callback of a publish that counts what failed.
func counter(failed *atomic.Int64) func(error) {
	return func(err error) {
		if err != nil {
			failed.Add(1)
		}
	}
}

// runGrouped publishes with strict durability from many goroutines, each of which waits for its event.
func runGrouped(ctx context.Context, n int) (s sample, err error) {
	l := newLoad(n)
	r, err := newRig(ctx, bus.Strict)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	p := r.bus.NewPublisher()
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(working) }()

	var next atomic.Int64
	w := startWatch()
	g, ctx := errgroup.WithContext(ctx)
	for range publishers {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := p.Publish(ctx, l.event(int(i))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = g.Wait()
	s = w.stop(n)
	stop()
	return s, errors.Join(err, <-ended, r.expect(n))
}
