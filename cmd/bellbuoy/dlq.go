package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bellbuoy/bellbuoy/internal/app"
)

func newDLQ(o *options) *cobra.Command {
	dlq := &cobra.Command{Use: "dlq", Short: "Look at dead letters, redrive or drop them", Args: noArgs}
	var output string
	list := &cobra.Command{
		Use: "list", Short: "One line per dead letter", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			if err := oneOf("-o", output, "text", "json"); err != nil {
				return err
			}
			return p.ListDeadLetters(cmd.Context(), output)
		},
	}
	list.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	dlq.AddCommand(list,
		newDLQOne(o, "show NUMBER", "Show one dead letter with its event and reason", (*app.Program).ShowDeadLetter),
		newDLQMany(o, "redrive NUMBER|all", "Send dead letters to their route again", (*app.Program).RedriveDeadLetters),
		newDLQMany(o, "drop NUMBER|all", "Delete dead letters for good", (*app.Program).DropDeadLetters),
	)
	return dlq
}

func newDLQOne(o *options, use, short string, do func(*app.Program, context.Context, uint64) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactArgs(1, "a number from dlq list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := letterNumber(args[0])
			if err != nil {
				return err
			}
			p, err := o.program(cmd)
			if err != nil {
				return err
			}
			return do(p, cmd.Context(), number)
		},
	}
}

// newDLQMany makes a command for one dead letter or, as number 0, all of them.
func newDLQMany(o *options, use, short string, do func(*app.Program, context.Context, uint64) error) *cobra.Command {
	cmd := newDLQOne(o, use, short, do)
	cmd.Args = exactArgs(1, `a number from dlq list, or "all"`)
	one := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if args[0] != "all" {
			return one(cmd, args)
		}
		p, err := o.program(cmd)
		if err != nil {
			return err
		}
		return do(p, cmd.Context(), 0)
	}
	return cmd
}

func letterNumber(arg string) (uint64, error) {
	number, err := strconv.ParseUint(arg, 10, 64)
	if err != nil || number == 0 {
		return 0, usageError{fmt.Errorf("%q is not a number from dlq list", arg)}
	}
	return number, nil
}
