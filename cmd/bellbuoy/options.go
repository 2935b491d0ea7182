package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/bellbuoy/bellbuoy/internal/app"
	"github.com/bellbuoy/bellbuoy/internal/config"
)

// options are the flags that every command has.
type options struct {
	files    []string
	site     string
	node     string
	dataDir  string
	natsURL  string
	logLevel string
}

func (o *options) register(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringArrayVarP(&o.files, "config", "c", nil, "config file or folder; may repeat, later ones win")
	f.StringVar(&o.site, "site", "", "environment name, over the config's")
	f.StringVar(&o.node, "node", "", "name of this host, over the config's")
	f.StringVar(&o.dataDir, "data-dir", "", "where the embedded stream lives, over the config's")
	f.StringVar(&o.natsURL, "nats-url", "", "NATS server to use, over the config's")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
}

// load reads the config: flag over environment over file over default.
func (o *options) load(more ...string) (*config.Loaded, error) {
	l, err := config.Load(append(o.files, more...))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	for target, flag := range map[*string]string{
		&l.Config.Site: o.site, &l.Config.Node: o.node, &l.Config.DataDir: o.dataDir, &l.Config.NATS.URL: o.natsURL,
	} {
		if flag != "" {
			*target = flag
		}
	}
	return l, nil
}

// program returns what the long-running commands work with.
func (o *options) program(cmd *cobra.Command) (*app.Program, error) {
	l, err := o.load()
	if err != nil {
		return nil, err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level: %w", err)}
	}
	return &app.Program{
		Config: l.Config, Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr(), LogLevel: level,
		Color: os.Getenv("NO_COLOR") == "",
	}, nil
}
