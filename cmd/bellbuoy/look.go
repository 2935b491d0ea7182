package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellbuoy/bellbuoy/internal/app"
)

func newCheck(o *options) *cobra.Command {
	var online bool
	cmd := &cobra.Command{
		Use: "check [FILE...]", Short: "Tell every fault of the config, all at once",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files = append(o.files, args...)
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			return p.Check(cmd.Context(), online)
		},
	}
	cmd.Flags().BoolVar(&online, "online", false, "try every target with its real rights")
	return cmd
}

func newExplain(o *options) *cobra.Command {
	var opts app.ExplainOptions
	var incident string
	cmd := &cobra.Command{
		Use: "explain [FILE|-]...", Short: "Show offline what records become, why, and which routes take them",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			if err := oneOf("-o", opts.Output, "text", "ndjson", "table"); err != nil {
				return err
			}
			if incident != "" {
				return p.ExplainIncident(cmd.Context(), incident)
			}
			if len(args) == 0 {
				args = []string{"-"}
			}
			var recordings []app.Recording
			for _, name := range args {
				r := app.Recording{Name: name, Text: cmd.InOrStdin()}
				if name != "-" {
					f, err := os.Open(name)
					if err != nil {
						return err
					}
					defer func() { _ = f.Close() }() // it was only read
					r.Text = f
				}
				recordings = append(recordings, r)
			}
			return p.Explain(cmd.Context(), recordings, opts)
		},
	}
	cmd.Flags().StringVar(&incident, "incident", "", "instead of records: what each route makes of an incident of the running Bellbuoy")
	cmd.Flags().StringVar(&opts.Runtime, "runtime", "", "docker, containerd or ecs; default: told from the records")
	cmd.Flags().StringVarP(&opts.Output, "output", "o", "text", "text, ndjson or table")
	return cmd
}

func newTail(o *options) *cobra.Command {
	var opts app.TailOptions
	var since time.Duration
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the stream, live", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			if err := oneOf("-o", opts.Output, "text", "ndjson"); err != nil {
				return err
			}
			if since > 0 {
				opts.Since = time.Now().Add(-since)
			}
			return p.Tail(cmd.Context(), opts)
		},
	}
	cmd.Flags().DurationVar(&since, "since", 0, "start this long ago, such as 10m")
	cmd.Flags().StringVar(&opts.Where, "where", "", "only events that this condition matches")
	cmd.Flags().IntVarP(&opts.Limit, "number", "n", 0, "end after this many events; without it tail goes on")
	cmd.Flags().StringVarP(&opts.Output, "output", "o", "text", "text or ndjson")
	return cmd
}

func newDrill(o *options) *cobra.Command {
	var opts app.DrillOptions
	cmd := &cobra.Command{
		Use: "drill crash|oom|stop|unhealthy|deploy", Short: "Let something happen to a real throw-away container and tell when each sink had it",
		Args:      exactArgs(1, "what to do: crash, oom, stop, unhealthy or deploy"),
		ValidArgs: []string{"crash", "oom", "stop", "unhealthy", "deploy"},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			if err := oneOf("drill", args[0], "crash", "oom", "stop", "unhealthy", "deploy"); err != nil {
				return err
			}
			opts.Kind = args[0]
			return p.Drill(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.To, "to", "", "the only sink that is told of its incident")
	cmd.Flags().DurationVar(&opts.Timeout, "timeout", 30*time.Second, "how long each sink may take")
	return cmd
}

// newDrillAct is what runs inside a drill's container.
func newDrillAct() *cobra.Command {
	return &cobra.Command{
		Use: app.DrillCommand + " KIND", Hidden: true, Args: exactArgs(1, "what to do"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.DrillAct(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
}

func oneOf(what, got string, allowed ...string) error {
	for _, a := range allowed {
		if got == a {
			return nil
		}
	}
	return usageError{fmt.Errorf("%s: %q is not one of %v", what, got, allowed)}
}
