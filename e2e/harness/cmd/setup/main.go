// Command setup makes this machine ready for the end-to-end tests. Run it as often as you like: it does
// nothing that is done already.
package main

import (
	"context"
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
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

func setup(ctx context.Context) error {
	kit, err := servers.Open()
	if err != nil {
		return err
	}
	return kit.Prepare(ctx, os.Stdout)
}
