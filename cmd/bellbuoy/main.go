// Command bellbuoy watches containers and tells people, indexes and programs what stopped and why.
//
// This package is flags, signals and exit codes: 0 done, 1 failed, 2 wrong use, 78 config fault.
// Results go to stdout, logs and errors to stderr. What the commands do is in internal/app.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bellbuoy/bellbuoy/internal/app"
	"github.com/bellbuoy/bellbuoy/internal/config"
)

// The exit codes of the contract; 78 is EX_CONFIG of sysexits.h.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitCrash  = 3 // only inside a drill's container
	exitConfig = 78
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return exitCode(root.ExecuteContext(ctx), stderr)
}

// usageError is a call that can't be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitCode(err error, stderr io.Writer) int {
	var faults config.Faults
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &faults):
		for _, f := range faults {
			_, _ = fmt.Fprintln(stderr, f)
		}
		return exitConfig
	case errors.Is(err, app.ErrDrillCrash):
		return exitCrash
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(stderr, "bellbuoy: %v\n", err)
		return exitUsage
	}
	_, _ = fmt.Fprintf(stderr, "bellbuoy: %v\n", err)
	return exitFailed
}

func newRoot() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:           "bellbuoy",
		Short:         "Tells which container stopped, why, and whether it matters",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	o.register(root)
	root.AddCommand(
		newUp(o), newCollect(o), newRoute(o),
		newCheck(o), newExplain(o), newTail(o), newDrill(o), newDLQ(o), newIncident(o), newTest(o), newTemplate(o), newSilence(o),
		newSchema(), newConfig(o), newVersion(), newDrillAct(),
	)
	return root
}

// noArgs and the like make wrong arguments a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown command %q; see %s --help", args[0], cmd.CommandPath())}
	}
	return nil
}

func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s needs %s", cmd.CommandPath(), what)}
		}
		return nil
	}
}
