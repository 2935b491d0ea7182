package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/schemas"
)

func newSchema() *cobra.Command {
	cmd := &cobra.Command{Use: "schema", Short: "The JSON Schemas of events and of the config", Args: noArgs}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "The names of all schemas", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				for _, name := range append(schemas.List(), "config") {
					_, _ = fmt.Fprintln(cmd.OutOrStdout(), name)
				}
				return nil
			},
		},
		&cobra.Command{
			Use: "show NAME", Short: "One schema", Args: exactArgs(1, "a name from schema list"),
			RunE: func(cmd *cobra.Command, args []string) error {
				text, err := showSchema(args[0])
				if err != nil {
					return usageError{err}
				}
				_, err = cmd.OutOrStdout().Write(text)
				return err
			},
		},
	)
	return cmd
}

func showSchema(name string) ([]byte, error) {
	if name == "config" {
		return config.Schema()
	}
	return schemas.Show(name)
}

func newConfig(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "The config in force", Args: noArgs}
	cmd.AddCommand(&cobra.Command{
		Use: "print", Short: "Print the config in force, without secrets", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := o.load()
			if err != nil {
				return err
			}
			text, err := l.Print()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	})
	return cmd
}

func newVersion() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "version", Short: "What this program is", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versionOf()
			if output == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "bellbuoy %s (%s, %s)\n", v["version"], v["go"], v["platform"])
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// version is set by the linker.
var version string

func versionOf() map[string]string {
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	return map[string]string{"version": v, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
}
