package main

import (
	"os"

	"github.com/spf13/cobra"
)

func newTemplate(o *options) *cobra.Command {
	templates := &cobra.Command{Use: "template", Short: "Try templates of sinks", Args: noArgs}
	var file, sink string
	render := &cobra.Command{
		Use: "render", Short: "Show what a sink would send of events, and send nothing", Args: noArgs,
		Example: `  bellbuoy tail --since 1h --where 'kind == "incident"' --limit 3 -o ndjson > events.jsonl
  bellbuoy template render --event events.jsonl --sink pager`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			text := cmd.InOrStdin()
			if file != "-" {
				f, err := os.Open(file)
				if err != nil {
					return err
				}
				defer func() { _ = f.Close() }() // it was only read
				text = f
			}
			return p.RenderTemplate(cmd.Context(), sink, text)
		},
	}
	render.Flags().StringVar(&file, "event", "-", "file of events, one a line, as tail -o ndjson prints them; - is standard input")
	render.Flags().StringVar(&sink, "sink", "", "name of the sink")
	templates.AddCommand(render)
	return templates
}
