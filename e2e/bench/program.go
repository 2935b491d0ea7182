package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/e2e/process"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const (
	// stops is the subject of all stops of Docker containers.
	stops = event.SubjectPrefix + "*.docker.*.task.stopped.>"
	// killEvery paces the kills: a daemon that still removes the last container answers late.
	killEvery = 100 * time.Millisecond
	// stopBound ends the wait for a stop that does not come.
	stopBound = 10 * time.Second
)

// program measures the real program: its memory while nothing happens, then how long after a docker kill a
// subscriber has the stop.
func (b *bench) program(ctx context.Context) (err error) {
	if !b.parts[partIdle] && !b.parts[partDocker] {
		return nil
	}
	fmt.Fprint(b.out, "\nbellbuoy up, built and started with an embedded stream and the console:\n")
	binary := filepath.Join(b.dir, "bellbuoy")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "github.com/bellbuoy/bellbuoy/cmd/bellbuoy")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build bellbuoy: %w\n%s", err, text)
	}
	var stand harness.Stand
	defer func() { err = errors.Join(err, stand.Close()) }()
	var docker *harness.Docker
	lack := stand.Lend(ctx, func(t testing.TB) { docker = stand.Docker(t) })
	host := "unix://" + filepath.Join(b.dir, "no-docker.sock")
	if lack == nil {
		host = docker.Host
	}
	up, err := b.startUp(ctx, binary, host)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, up.process.Stop(20*time.Second)) }()
	if b.parts[partIdle] {
		if err := b.idle(ctx, up); err != nil {
			return err
		}
	}
	switch {
	case !b.parts[partDocker]:
		return nil
	case lack != nil:
		fmt.Fprintf(b.out, "docker_p99_ms can't be measured here: %v\n", lack)
		return nil
	}
	var failed error
	err = stand.Lend(ctx, func(t testing.TB) { failed = b.docker(t, docker, up) })
	return errors.Join(err, failed)
}

// upProcess is a running bellbuoy up.
type upProcess struct {
	process *process.Process
	url     string // of its stream
}

// startUp starts the program and waits until its stream can be reached.
func (b *bench) startUp(ctx context.Context, binary, dockerHost string) (*upProcess, error) {
	data, config := filepath.Join(b.dir, "data"), filepath.Join(b.dir, "bellbuoy.yaml")
	text := "version: 1\nsite: bench\nnode: bench\nhttp: {listen: 127.0.0.1:0}\nnats: {embedded: {listen: 127.0.0.1:0}}\n" +
		"data_dir: " + strconv.Quote(data) + "\ncollectors:\n  - docker: {host: " + strconv.Quote(dockerHost) + "}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the config: %w", err)
	}
	p, err := process.Start(process.Spec{Path: binary, Args: []string{"up", "-c", config}, Log: filepath.Join(b.dir, "up.log")})
	if err != nil {
		return nil, err
	}
	up := &upProcess{process: p}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = p.Await(ctx, func(ctx context.Context) error {
		url, err := os.ReadFile(filepath.Join(data, "client.url"))
		if err != nil {
			return err
		}
		up.url = strings.TrimSpace(string(url))
		seen, err := up.connect(ctx)
		if err == nil {
			seen.Close()
		}
		return err
	})
	if err != nil {
		p.Kill()
		return nil, err
	}
	return up, nil
}

func (u *upProcess) connect(ctx context.Context) (*bus.Bus, error) {
	return bus.Connect(ctx, bus.Options{URL: u.url, Name: "bench", Manage: bus.Off})
}

// idle leaves the program alone and looks at its resident set.
func (b *bench) idle(ctx context.Context, up *upProcess) error {
	if err := backoff.Sleep(ctx, b.settle); err != nil {
		return err
	}
	mib, ok := memory(strconv.Itoa(up.process.PID()), "VmRSS")
	if !ok {
		fmt.Fprintln(b.out, "rss_idle_mib can't be measured here: there is no /proc")
		return nil
	}
	peak, _ := memory(strconv.Itoa(up.process.PID()), "VmHWM")
	fmt.Fprintf(b.out, "idle for %s: %.0f MiB resident, %.0f at most so far\n", b.settle, mib, peak)
	b.figures.set("rss_idle_mib", mib)
	return nil
}

// docker kills containers one by one and takes the time from the call to the stop's arrival at a subscriber
// of its own: a consumer of the stream over TCP, which is given what is stored and synced.
func (b *bench) docker(t testing.TB, d *harness.Docker, up *upProcess) error {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	subscriber, err := up.connect(ctx)
	if err != nil {
		return err
	}
	defer subscriber.Close()
	arrived := make(chan arrival, b.kills)
	ended := make(chan error, 1)
	go func() {
		ended <- subscriber.Tail(ctx, bus.TailOptions{Filter: stops, Follow: true}, func(s bus.Delivery) error {
			if s.Err == nil && s.Event.Data.Task != nil {
				arrived <- arrival{s.Event.Data.Task.ID, time.Now()}
			}
			return s.Err
		})
	}()
	ids := make([]string, b.kills)
	for i := range ids {
		ids[i] = d.Run(t, harness.RunSpec{Name: fmt.Sprintf("bench-%d-%d", os.Getpid(), i), Cmd: []string{"sleep", "3600"}})
	}
	took, err := killAll(t, d, ids, arrived)
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	p50, p99, most := quantile(took, 0.5), quantile(took, 0.99), quantile(took, 1)
	fmt.Fprintf(b.out, "%d docker kills to a subscriber: p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", len(took), ms(p50), ms(p99), ms(most))
	b.figures.set("docker_p99_ms", ms(p99))
	return nil
}

// arrival is a stop that the subscriber got.
type arrival struct {
	container string
	at        time.Time
}

func killAll(t testing.TB, d *harness.Docker, ids []string, arrived <-chan arrival) ([]time.Duration, error) {
	took := make([]time.Duration, 0, len(ids))
	for _, id := range ids {
		if err := backoff.Sleep(t.Context(), killEvery); err != nil {
			return nil, err
		}
		began := time.Now()
		d.Kill(t, id, "SIGKILL")
		bound := time.NewTimer(stopBound)
		select {
		case a := <-arrived:
			bound.Stop()
			if a.container != id {
				return nil, fmt.Errorf("the stop of container %.12s came, of %.12s was expected", a.container, id)
			}
			took = append(took, a.at.Sub(began))
		case <-bound.C:
			return nil, fmt.Errorf("no stop of container %.12s came within %s", id, stopBound)
		case <-t.Context().Done():
			return nil, t.Context().Err()
		}
	}
	return took, nil
}
