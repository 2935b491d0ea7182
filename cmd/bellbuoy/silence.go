package main

import (
	"github.com/spf13/cobra"

	"github.com/bellbuoy/bellbuoy/internal/app"
)

func newSilence(o *options) *cobra.Command {
	silence := &cobra.Command{Use: "silence", Short: "Hold notices of incidents back for a time", Args: noArgs}
	silence.AddCommand(newSilenceAdd(o), newSilenceList(o), &cobra.Command{
		Use: "expire ID", Short: "End a silence now", Args: exactArgs(1, "an id from silence list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			return p.ExpireSilence(cmd.Context(), args[0])
		},
	})
	return silence
}

func newSilenceAdd(o *options) *cobra.Command {
	var s app.SilenceOptions
	cmd := &cobra.Command{
		Use: "add", Short: "Add a silence, with an owner, a comment and an end", Args: noArgs,
		Example: `  bellbuoy silence add --match 'workload == "web"' --until 2h --owner sre --comment "migration"
  bellbuoy silence add --match 'scope == "batch"' --weekly "sat,sun 22:00-06:00 Europe/Berlin" --owner data --comment "weekly load"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			return p.AddSilence(cmd.Context(), s)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Match, "match", "", `condition over incidents, as in a route, such as workload == "web"`)
	flags.StringVar(&s.Until, "until", "", "its end: 2h, 3d or 2026-12-01T08:00:00Z")
	flags.StringArrayVar(&s.Weekly, "weekly", nil, `hold only then, such as "sat,sun 22:00-06:00 Europe/Berlin"; may be repeated`)
	flags.StringVar(&s.Owner, "owner", "", "who answers for it")
	flags.StringVar(&s.Comment, "comment", "", "why it is there")
	return cmd
}

func newSilenceList(o *options) *cobra.Command {
	var now bool
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "One line per silence", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			if err := oneOf("-o", output, "text", "json"); err != nil {
				return err
			}
			return p.ListSilences(cmd.Context(), now, output)
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "only those that hold now")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}
