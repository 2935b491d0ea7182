package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bellbuoy/bellbuoy/e2e/process"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/bus"
)

// carryRole makes this program a process of its own that carries an offered rate over the whole path, so
// that its memory is that of the path and not of the runs before.
const carryRole = "-carry"

// offered is the rate of the steady runs, in events/s; they come burst by burst.
const offered, burst = 10_000, 10

// carried is what the child reports as the last line of its output.
type carried struct {
	Events     int
	Seconds    float64 // from the first publish to the last ack
	CPU        float64 // seconds
	P50, P99   float64 // ms from the call of Publish to the answer of the bulk request
	Max        float64
	PeakMiB    float64 // largest resident set
	HaveMemory bool
}

// steady runs the child once for each durability. The figures are those of relaxed, as for the rates;
// strict is printed beside them.
func (b *bench) steady(ctx context.Context) error {
	if !b.parts[partSteady] {
		return nil
	}
	fmt.Fprintf(b.out, "\n%d events/s offered for %s, in a process of its own; latency from Publish to the bulk answer\n\n"+
		"durability  events/s    p50 ms    p99 ms    max ms      s/M  peak MiB\n", offered, b.during)
	for _, d := range []bus.Durability{bus.Strict, bus.Relaxed} {
		c, err := b.carry(ctx, d)
		if err != nil {
			return fmt.Errorf("carry %d events/s, %s: %w", offered, d, err)
		}
		fmt.Fprintf(b.out, "%-10s  %8.0f  %8.1f  %8.1f  %8.1f %8.1f  %8.0f\n", d,
			float64(c.Events)/c.Seconds, c.P50, c.P99, c.Max, c.CPU/float64(c.Events)*1e6, c.PeakMiB)
		if d == bus.Relaxed {
			b.figures.set("p99_ms_at_10k", c.P99)
			if c.HaveMemory {
				b.figures.set("rss_10k_mib", c.PeakMiB)
			}
		}
	}
	return nil
}

func (b *bench) carry(ctx context.Context, d bus.Durability) (c carried, err error) {
	if _, err := b.stub.take(ctx); err != nil {
		return c, err
	}
	self, err := os.Executable()
	if err != nil {
		return c, fmt.Errorf("find own program: %w", err)
	}
	log := filepath.Join(b.dir, "carry-"+string(d)+".log")
	child, err := process.Start(process.Spec{Path: self, Log: log, Args: []string{
		carryRole, "-durability", string(d), "-url", b.stub.url, "-for", b.during.String(),
	}})
	if err != nil {
		return c, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.during+runBound)
	defer cancel()
	select {
	case <-child.Exited():
	case <-ctx.Done():
		child.Kill()
		return c, fmt.Errorf("wait for the child: %w; the end of its log:\n%s", ctx.Err(), process.Tail(log))
	}
	text := strings.TrimSpace(process.Tail(log))
	if err := json.Unmarshal([]byte(text[strings.LastIndexByte(text, '\n')+1:]), &c); err != nil {
		return c, fmt.Errorf("read the child's report: %w; the end of its log:\n%s", err, text)
	}
	return c, b.stub.expect(ctx, c.Events)
}

// carry is the child.
func carry(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("carry", flag.ContinueOnError)
	durability := f.String("durability", "", "strict or relaxed")
	url := f.String("url", "", "bulk endpoint")
	during := f.Duration("for", 0, "how long")
	if err := f.Parse(args); err != nil {
		return err
	}
	n := int(during.Seconds() * offered)
	l := newLoad(n)
	p, err := openPipe(ctx, bus.Durability(*durability), *url, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var failed atomic.Int64
	w := startWatch()
	err = p.run(ctx, func(ctx context.Context) error {
		for i := range n {
			if i%burst == 0 {
				due := w.at.Add(time.Duration(i) * time.Second / offered)
				if err := backoff.Sleep(ctx, time.Until(due)); err != nil {
					return err
				}
			}
			if err := p.publisher.PublishAsync(ctx, l.event(i), counter(&failed)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && failed.Load() > 0 {
		err = fmt.Errorf("%d events were refused", failed.Load())
	}
	if err != nil {
		return err
	}
	return p.report(w.stop(n), out)
}

func (p *pipe) report(s sample, out io.Writer) error {
	took := p.meter.latencies
	c := carried{
		Events: s.events, Seconds: s.wall.Seconds(), CPU: s.cpu.Seconds(),
		P99: ms(quantile(took, 0.99)), P50: ms(quantile(took, 0.5)), Max: ms(slices.Max(took)),
	}
	c.PeakMiB, c.HaveMemory = memory("self", "VmHWM")
	return json.NewEncoder(out).Encode(c)
}

// memory reads a line of /proc/<process>/status in MiB; false where there is no such file.
func memory(process, line string) (mib float64, ok bool) {
	b, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(b), "\n"+line+":")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, false
	}
	kib, err := strconv.ParseFloat(fields[0], 64)
	return kib / 1024, err == nil
}
