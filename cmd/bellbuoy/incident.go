package main

import (
	"github.com/spf13/cobra"
)

func newIncident(o *options) *cobra.Command {
	incident := &cobra.Command{Use: "incident", Short: "Look at incidents", Args: noArgs}
	var all bool
	var output string
	list := &cobra.Command{
		Use: "list", Short: "One line per open incident", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			if err := oneOf("-o", output, "text", "json"); err != nil {
				return err
			}
			return p.ListIncidents(cmd.Context(), all, output)
		},
	}
	list.Flags().BoolVar(&all, "all", false, "those that were resolved lately, too")
	show := &cobra.Command{
		Use: "show ID", Short: "One incident with its timeline: events, transitions, actions, notices and why",
		Args: exactArgs(1, "an id from incident list, or its beginning"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			if err := oneOf("-o", output, "text", "json"); err != nil {
				return err
			}
			return p.ShowIncident(cmd.Context(), args[0], output)
		},
	}
	for _, cmd := range []*cobra.Command{list, show} {
		cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	}
	incident.AddCommand(list, show)
	return incident
}
