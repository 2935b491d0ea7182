package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/bellbuoy/bellbuoy/internal/app"
)

func newTest(o *options) *cobra.Command {
	var opts app.RuleTestOptions
	cmd := &cobra.Command{
		Use: "test FILE...", Short: "Play events at times through this config, and compare the incidents and notices",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("test needs a file of cases, such as rules.yaml")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			var failed error
			for _, file := range args {
				failed = errors.Join(failed, p.TestRules(cmd.Context(), file, opts))
			}
			return failed
		},
	}
	cmd.Flags().BoolVarP(&opts.Verbose, "verbose", "v", false, "show what was told in each case")
	cmd.Flags().StringVar(&opts.JUnit, "junit", "", "write the results to this file, for a CI system")
	return cmd
}
