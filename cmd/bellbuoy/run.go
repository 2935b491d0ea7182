package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bellbuoy/bellbuoy/internal/app"
)

func newUp(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Run every role in this process", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRoles(cmd, o, app.Collect|app.Route) },
	}
}

func newCollect(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "collect", Short: "Only watch runtimes and publish, to nats.url", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRoles(cmd, o, app.Collect) },
	}
}

func newRoute(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "route", Short: "Only deliver events to sinks, from nats.url", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRoles(cmd, o, app.Route) },
	}
}

// runRoles runs until a signal ends it. SIGHUP reads the config again and starts anew with it; a fault
// is told and the old config goes on.
func runRoles(cmd *cobra.Command, o *options, roles app.Roles) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	p, err := o.program(cmd)
	if err != nil {
		return err
	}
	for {
		next, err := runOnce(cmd.Context(), cmd, o, p, roles, hangup)
		if err != nil || next == nil {
			return err
		}
		p = next
	}
}

// runOnce runs one config. It returns the next program after a reload, and nil when ctx ended.
func runOnce(ctx context.Context, cmd *cobra.Command, o *options, p *app.Program, roles app.Roles, hangup <-chan os.Signal) (*app.Program, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, roles) }()
	for {
		select {
		case err := <-done:
			return nil, err
		case <-hangup:
			next, err := o.program(cmd)
			if err != nil {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "bellbuoy: the new config is not used:")
				_ = exitCode(err, cmd.ErrOrStderr())
				continue
			}
			cancel()
			return next, <-done
		}
	}
}
