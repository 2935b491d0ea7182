package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/e2e/process"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// watchRole makes this program a process with a Docker collector and nothing else: its events are encoded
// and dropped.
const watchRole = "-watch"

// The sizes of what is watched.
const (
	manyContainers = 1000
	mostContainers = 5000 // for memory, so that the noise of a process counts less
)

// watchedReport is what the child reports as the last line of its output.
type watchedReport struct {
	Containers, Events int
	SnapshotMS         float64 // from the call of Run to the end of the first snapshot
	CPU                float64 // seconds while it was left alone
	RSSMiB             float64 // after a collection, while it still watched
}

// watched measures the collector alone.
func (b *bench) watched(ctx context.Context) error {
	if b.parts[partWatched] {
		fmt.Fprintf(b.out, "\nA Docker collector alone, in a process of its own, on a stand-in of a daemon whose containers idle:\n")
		if err := b.idleContainers(ctx); err != nil {
			return err
		}
	}
	if b.parts[partSnapshot] {
		return b.firstSnapshot(ctx)
	}
	return nil
}

func (b *bench) idleContainers(ctx context.Context) error {
	many, calls, err := b.watchStandIn(ctx, b.many, b.alone)
	if err != nil {
		return err
	}
	minutes := b.alone.Minutes()
	fmt.Fprintf(b.out, "%d containers, left alone for %s: %.0f ms CPU and %.1f calls a minute; first snapshot %.0f ms\n",
		b.many, b.alone, many.CPU*1e3/minutes, float64(calls)/minutes, many.SnapshotMS)
	none, _, err := b.watchStandIn(ctx, 0, time.Second)
	if err != nil {
		return err
	}
	most, _, err := b.watchStandIn(ctx, b.most, time.Second)
	if err != nil {
		return err
	}
	per := (most.RSSMiB - none.RSSMiB) * 1000 / float64(b.most)
	fmt.Fprintf(b.out, "resident: %.1f MiB with none, %.1f MiB with %d: %.2f MiB a thousand\n", none.RSSMiB, most.RSSMiB, b.most, per)
	b.figures.set("idle_cpu_ms_min", many.CPU*1e3/minutes)
	b.figures.set("idle_calls_min", float64(calls)/minutes)
	b.figures.set("mib_per_1000", per)
	return nil
}

// watchStandIn lets a child watch so many containers, and counts what it asks while it is left alone.
func (b *bench) watchStandIn(ctx context.Context, containers int, alone time.Duration) (r watchedReport, calls int, err error) {
	log := filepath.Join(b.dir, fmt.Sprintf("stand-in-%d.log", containers))
	daemon, host, err := startTold(ctx, log, standInRole, "-containers", strconv.Itoa(containers))
	if err != nil {
		return r, 0, err
	}
	defer func() { err = errors.Join(err, daemon.Stop(5*time.Second)) }()
	asked := func(ctx context.Context) error {
		calls, err = takeCalls(ctx, host)
		return err
	}
	if r, err = b.watch(ctx, host, alone, asked); err != nil {
		return r, 0, err
	}
	if r.Containers != containers || r.Events < containers {
		return r, 0, fmt.Errorf("%d containers and %d events of %d running containers were seen", r.Containers, r.Events, containers)
	}
	return r, calls, nil
}

// takeCalls returns how often the stand-in was called since it was asked last.
func takeCalls(ctx context.Context, host string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+strings.TrimPrefix(host, "tcp://")+"/calls", nil)
	if err != nil {
		return 0, fmt.Errorf("ask the stand-in for its calls: %w", err)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask the stand-in for its calls: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, fmt.Errorf("read the stand-in's calls: %w", err)
	}
	return strconv.Atoi(string(text))
}

// firstSnapshot takes the time of a collector's first snapshot of a real daemon's stopped containers.
func (b *bench) firstSnapshot(ctx context.Context) (err error) {
	var stand harness.Stand
	defer func() { err = errors.Join(err, stand.Close()) }()
	var failed error
	lack := stand.Lend(ctx, func(t testing.TB) {
		d := stand.Docker(t)
		failed = b.stopMany(t, d)
		if failed == nil {
			failed = b.snapshotOf(t.Context(), d)
		}
	})
	if lack != nil {
		fmt.Fprintf(b.out, "snapshot_ms can't be measured here: %v\n", lack)
		return nil
	}
	return failed
}

// stopMany leaves so many containers that have ended.
func (b *bench) stopMany(t testing.TB, d *harness.Docker) error {
	g := errgroup.Group{}
	g.SetLimit(4)
	for i := range b.many {
		g.Go(func() error {
			d.Wait(t, d.Run(t, harness.RunSpec{Name: fmt.Sprintf("stopped-%d-%d", os.Getpid(), i), Cmd: []string{"true"}}), time.Minute)
			return nil
		})
	}
	return g.Wait()
}

func (b *bench) snapshotOf(ctx context.Context, d *harness.Docker) error {
	r, err := b.watch(ctx, d.Host, time.Second, nil)
	if err != nil {
		return err
	}
	if r.Containers < b.many {
		return fmt.Errorf("%d of %d stopped containers were seen", r.Containers, b.many)
	}
	fmt.Fprintf(b.out, "first snapshot of %d stopped containers of a real daemon: %.0f ms\n", b.many, r.SnapshotMS)
	b.figures.set("snapshot_ms", r.SnapshotMS)
	return nil
}

// startTold starts a copy of this program and returns the one line that it writes when it is ready.
func startTold(ctx context.Context, log string, args ...string) (*process.Process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find own program: %w", err)
	}
	p, err := process.Start(process.Spec{Path: self, Args: args, Log: log})
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	line := ""
	err = p.Await(ctx, func(context.Context) error {
		text, err := os.ReadFile(log)
		if err == nil && !strings.HasSuffix(string(text), "\n") {
			err = errors.New("it has not said that it is ready")
		}
		line = strings.TrimSpace(string(text))
		return err
	})
	if err != nil {
		p.Kill()
		return nil, "", err
	}
	return p, line, nil
}

// watch runs the child until it has left the collector alone for a while. asked, if set, is called when
// that begins and when it has ended.
func (b *bench) watch(ctx context.Context, host string, alone time.Duration, asked func(context.Context) error) (r watchedReport, err error) {
	log := filepath.Join(b.dir, "watch.log")
	if err := os.RemoveAll(log); err != nil {
		return r, fmt.Errorf("remove the log of the run before: %w", err)
	}
	child, _, err := startTold(ctx, log, watchRole, "-host", host, "-for", alone.String())
	if err != nil {
		return r, err
	}
	if asked != nil {
		err = asked(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, alone+runBound)
	defer cancel()
	select {
	case <-child.Exited():
	case <-ctx.Done():
		child.Kill()
		return r, fmt.Errorf("wait for the collector: %w; the end of its log:\n%s", ctx.Err(), process.Tail(log))
	}
	if asked != nil {
		err = errors.Join(err, asked(ctx))
	}
	text := strings.TrimSpace(process.Tail(log))
	if e := json.Unmarshal([]byte(text[strings.LastIndexByte(text, '\n')+1:]), &r); e != nil {
		err = errors.Join(err, fmt.Errorf("read the collector's report: %w; the end of its log:\n%s", e, text))
	}
	return r, err
}

// serveWatch is the child.
func serveWatch(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("watch", flag.ContinueOnError)
	host := f.String("host", "", "address of the daemon")
	alone := f.Duration("for", 0, "how long it is left alone")
	if err := f.Parse(args); err != nil {
		return err
	}
	config, sight := docker.DefaultConfig(), &sighted{ready: make(chan struct{})}
	config.Host = *host
	c, err := docker.New(config, docker.Deps{Site: "bench", Node: "bench", Publisher: sight, Reporter: sight})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	began, ended := time.Now(), make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	r, err := sight.look(ctx, began, *alone, out)
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

// sighted takes what a collector says.
type sighted struct {
	collectors.Silent

	ready      chan struct{} // closed at the end of the first snapshot
	containers atomic.Int64
	events     atomic.Int64
}

// Publish encodes the event, as the stream would have it done.
func (s *sighted) Publish(_ context.Context, e event.Event) error {
	e.Source, e.Recorded, e.Severity = "bellbuoy://bench/docker/bench", e.Time, event.Info
	e.Sequence = "00000000000000-0000000000"
	s.events.Add(1)
	_, err := event.Append(nil, &e)
	return err
}

// Report notes the first snapshot.
func (s *sighted) Report(r collectors.Report) {
	if r.Connected && s.containers.Swap(int64(r.Containers)) == 0 {
		select {
		case <-s.ready:
		default:
			close(s.ready)
		}
	}
}

// quiet is how long the events of a first snapshot may take to be published.
const quiet = 3 * time.Second

func (s *sighted) look(ctx context.Context, began time.Time, alone time.Duration, out io.Writer) (r watchedReport, err error) {
	select {
	case <-s.ready:
		r.SnapshotMS = ms(time.Since(began))
	case <-time.After(runBound):
		return r, errors.New("the collector sees nothing")
	}
	if err := backoff.Sleep(ctx, quiet); err != nil {
		return r, err
	}
	fmt.Fprintln(out, "ready")
	w := startWatch()
	if err := backoff.Sleep(ctx, alone); err != nil {
		return r, err
	}
	r.CPU = w.stop(1).cpu.Seconds()
	debug.FreeOSMemory()
	r.RSSMiB, _ = memory("self", "VmRSS")
	r.Containers, r.Events = int(s.containers.Load()), int(s.events.Load())
	return r, nil
}
