// Command versus plays the same stories to Bellbuoy and to Prometheus Alertmanager and counts what each sends.
//
//	apt-get install prometheus-alertmanager      or -alertmanager PATH
//	go run ./e2e/versus                          in about two and a half minutes
//
// Both are real processes that post to an endpoint of this one. Time runs twenty times as fast: every duration in both
// configs and in the stories is divided by twenty, and the table tells it as if it had not been. Alertmanager is fed
// by a small bridge, which is given Bellbuoy's own verdicts: it fires an alert for each stop that was not wanted and
// each unhealthy task, keeps it firing as Prometheus does, and ends it with the next start. In the middle both are
// killed and started again.
//
// What it shows is how many messages people get, not which program is better at what it is for: Alertmanager is told
// what is wrong, and Bellbuoy finds it out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

// speed is how much faster time runs than it is told.
const speed = 20

// fast is a duration as it is in the run; slow is one of the run as it is told.
func fast(d time.Duration) time.Duration { return d / speed }
func slow(d time.Duration) time.Duration { return d * speed }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "versus:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("versus", flag.ContinueOnError)
	path := f.String("alertmanager", "prometheus-alertmanager", "the program")
	if err := f.Parse(args); err != nil {
		return err
	}
	program, err := exec.LookPath(*path)
	if err != nil {
		return fmt.Errorf("no Alertmanager here; apt-get install prometheus-alertmanager, or name it by -alertmanager: %w", err)
	}
	dir, err := os.MkdirTemp("", "bellbuoy-versus-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	inbox, err := listen()
	if err != nil {
		return err
	}
	defer inbox.close()
	bells, err := startBellbuoy(ctx, dir, inbox.url+"/bellbuoy")
	if err != nil {
		return err
	}
	defer bells.close()
	alerts, err := startAlertmanager(ctx, filepath.Join(dir, "alertmanager"), program, inbox.url+"/alertmanager")
	if err != nil {
		return err
	}
	defer alerts.close()
	stories := stories()
	begin := time.Now()
	g, playing := errgroup.WithContext(ctx)
	for i := range stories {
		g.Go(func() error { return stories[i].play(playing, begin, bells, alerts) })
	}
	g.Go(func() error { // both are killed in the middle
		if err := backoff.Sleep(playing, time.Until(begin.Add(fast(killed)))); err != nil {
			return err
		}
		return errors.Join(bells.restart(playing), alerts.restart(playing))
	})
	g.Go(func() error { return alerts.keepFiring(playing, begin.Add(fast(length))) })
	if err := g.Wait(); err != nil {
		return err
	}
	if err := backoff.Sleep(ctx, time.Until(begin.Add(fast(length+settle)))); err != nil {
		return err
	}
	return report(out, stories, inbox, begin)
}
