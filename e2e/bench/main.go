// Command bench measures the product's own way of events on this machine, against what JetStream does bare.
//
//	make bench                                  all, in about eight minutes
//	make bench ARGS='-only path -rounds 3'      some
//
// The whole path is: encode and publish, stream, route, bulk request to a stub in another process, ack. It
// runs in this process, as bellbuoy up does, beside an embedded server on a disk of the machine. Whatever
// is compared runs in turn, round by round, in one process, so that the load of the machine hits both; the
// figures are medians. Ratios travel between machines, CPU seconds (of this process, the stub's left out)
// nearly so, rates do not.
//
// Guarantee: every event of every run was counted where it had to arrive, once; a run that lost or doubled
// one fails instead of giving a figure. The last line of the output is one JSON object, with null for what
// was left out or could not run here.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The parts of a run.
const (
	partPath    = "path"
	partDurable = "durable"
	partSteady  = "steady"
	partIdle    = "idle"
	partDocker  = "docker"
	// A collector alone: its decoding, an idle crowd of containers, a first look at stopped ones.
	partTranslate = "translate"
	partWatched   = "watched"
	partSnapshot  = "snapshot"
	// The collector of ECS.
	partECS = "ecs"
	// What folds events into incidents.
	partIncidents = "incidents"
)

func allParts() []string {
	return []string{partPath, partDurable, partTranslate, partSteady, partWatched, partECS, partIncidents, partIdle, partDocker, partSnapshot}
}

// options are the flags and what follows from them.
type options struct {
	short      bool
	rounds     int
	parts      map[string]bool
	cpuProfile string

	// events per round of the whole path and of its opponent; synced and grouped of the durable contest.
	events, synced, grouped int
	// during is how long each run with an offered rate lasts, settle how long an idle program is left alone.
	during, settle time.Duration
	kills          int
	// many containers are watched, most for the memory, and alone is how long nothing happens to them.
	many, most int
	alone      time.Duration
	// received state changes come through a queue of ECS, and so many clusters are compared.
	received, compared int
	// workloads live in the machine of incidents, folded of them stop and start, stormy ones stop at once.
	workloads, folded, stormy int
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the process. A first argument that names a role makes this a child of a bench.
func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := measure
	if len(args) > 0 && roles()[args[0]] != nil {
		do = roles()[args[0]]
		args = args[1:]
	}
	err := do(ctx, args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(errOut, "bench:", err)
		return 1
	}
	return 0
}

// roles are what a copy of this program does as a child.
func roles() map[string]func(context.Context, []string, io.Writer) error {
	return map[string]func(context.Context, []string, io.Writer) error{
		stubRole: serveStub, carryRole: carry, standInRole: serveStandIn, watchRole: serveWatch, awsRole: serveAWS,
	}
}

// measure runs the parts and prints the figures.
func measure(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	b, err := open(ctx, o, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if o.cpuProfile != "" {
		f, err := os.Create(o.cpuProfile)
		if err != nil {
			return fmt.Errorf("write the CPU profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("write the CPU profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	for _, part := range []func(context.Context) error{b.contests, b.steady, b.watched, b.ecs, b.incidents, b.program} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintln(out)
	b.figures.print(out)
	return nil
}

func parse(args []string, out io.Writer) (options, error) {
	o := options{
		events: 100_000, synced: 6000, grouped: 60_000, during: 20 * time.Second, settle: 10 * time.Second, kills: 50,
		many: manyContainers, most: mostContainers, alone: time.Minute, received: 60_000, compared: lookClusters,
		workloads: 100_000, folded: 200_000, stormy: 50_000,
	}
	only := ""
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	f.BoolVar(&o.short, "short", false, "few events and one round; leaves out what needs the program or Docker unless -only names it")
	f.IntVar(&o.rounds, "rounds", 5, "rounds of each contest")
	f.StringVar(&only, "only", "", "parts to run, with commas: "+strings.Join(allParts(), ", "))
	f.StringVar(&o.cpuProfile, "cpuprofile", "", "file for a CPU profile of this process")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	parts := allParts()
	if o.short {
		o.rounds, o.events, o.synced, o.grouped = 1, 3000, 100, 1000
		o.during, o.settle, o.kills = 300*time.Millisecond, time.Second, 3
		o.many, o.most, o.alone = 20, 40, time.Second
		o.received, o.compared = 1200, 1
		o.workloads, o.folded, o.stormy = 500, 1000, 200
		parts = parts[:7]
	}
	if only != "" {
		parts = strings.Split(only, ",")
	}
	if f.NArg() > 0 || o.rounds < 1 {
		return o, fmt.Errorf("there is nothing to do with %q and %d rounds; see -help", f.Args(), o.rounds)
	}
	o.parts = map[string]bool{}
	for _, part := range parts {
		if !slices.Contains(allParts(), part) {
			return o, fmt.Errorf("-only: %q is none of %s", part, strings.Join(allParts(), ", "))
		}
		o.parts[part] = true
	}
	return o, nil
}
