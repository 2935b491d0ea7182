// Command setup makes this machine ready for the end-to-end tests. Run it as often as you like: it does
// nothing that is done already.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/bellbuoy/bellbuoy/e2e/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := setup(ctx)
	stop()
	if err != nil {
		report(err)
		os.Exit(1)
	}
}

func report(err error) {
	var missing *servers.MissingError
	if !errors.As(err, &missing) {
		fmt.Fprintln(os.Stderr, "setup:", err)
		return
	}
	fmt.Fprintln(os.Stderr, "setup: this machine lacks what only root may install; type:")
	for _, n := range missing.Needs {
		fmt.Fprintf(os.Stderr, "  %s   # %s\n", n.Command(), n.What)
	}
}

func setup(ctx context.Context) error {
	kit, err := servers.Open()
	if err != nil {
		return err
	}
	return kit.Prepare(ctx, os.Stdout)
}
