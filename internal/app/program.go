package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
	"github.com/bellbuoy/bellbuoy/internal/telemetry"
)

// Program is a checked config and where results and logs go.
type Program struct {
	Config   config.Config
	Out, Err io.Writer
	LogLevel slog.Level
	// Color allows colours where the output is a terminal.
	Color bool
}

// Roles says which parts run in this process.
type Roles int

// The roles; both together are what up runs.
const (
	Collect Roles = 1 << iota
	Route
)

// stopWithin bounds the whole way down.
const stopWithin = 15 * time.Second

// Run runs the roles until ctx ends, drains and returns nil; or it returns why it can't go on.
func (p *Program) Run(ctx context.Context, roles Roles) error {
	if roles != Collect|Route && p.Config.NATS.URL == "" {
		return errors.New("one role alone needs nats.url, the server that it shares with the others; up runs all in one process")
	}
	logger := telemetry.Logger(p.Err, p.LogLevel)
	registry := telemetry.Registry()
	st, err := p.openStream(ctx, logger, registry)
	if err != nil {
		return err
	}
	defer st.close()
	w, err := p.wire(ctx, st, roles, logger, registry)
	if err != nil {
		return err
	}
	return w.run(ctx)
}

// stream is the server, if it is ours, and the connection to it.
type stream struct {
	server *natsserver.Server
	bus    *bus.Bus
}

func (p *Program) openStream(ctx context.Context, logger *slog.Logger, registry prometheus.Registerer) (*stream, error) {
	st := &stream{}
	n := p.Config.NATS
	if n.URL == "" {
		var err error
		st.server, err = natsserver.Start(ctx, natsserver.Options{
			Dir: filepath.Join(p.Config.DataDir, "nats"), Listen: n.Embedded.Listen,
			Strict: n.Embedded.Durability == string(bus.Strict), Logger: logger.With("component", "nats"),
		})
		if err != nil {
			return nil, err
		}
		p.announceURL(st.server.ClientURL(), logger)
	}
	var err error
	st.bus, err = bus.Connect(ctx, p.busOptions(st.server, "bellbuoy "+p.Config.Node, logger, registry))
	if err == nil {
		err = st.bus.Setup(ctx)
	}
	if err != nil {
		st.close()
		return nil, err
	}
	return st, nil
}

func (p *Program) busOptions(server *natsserver.Server, name string, logger *slog.Logger, registry prometheus.Registerer) bus.Options {
	n := p.Config.NATS
	o := bus.Options{
		URL: n.URL, Server: server, Creds: n.Creds, NKey: n.NKey, TLS: bus.TLS(n.TLS), Name: name,
		Durability: bus.Durability(n.Embedded.Durability), Manage: bus.Manage(n.Manage),
		Logger: logger, Registerer: registry,
	}
	if n.URL != "" {
		o.Replicas = n.Replicas
	}
	return o
}

func (st *stream) close() {
	if st.bus != nil {
		st.bus.Close()
	}
	if st.server != nil {
		st.server.Shutdown()
	}
}

// urlFile is where a running embedded server leaves its address for the commands that look at it.
func (p *Program) urlFile() string { return filepath.Join(p.Config.DataDir, "client.url") }

func (p *Program) announceURL(url string, logger *slog.Logger) {
	if url == "" {
		return
	}
	if err := os.WriteFile(p.urlFile(), []byte(url+"\n"), 0o600); err != nil {
		logger.Warn("address of the embedded server not left for other commands", "err", err)
	}
}

// connect opens the stream of a running Bellbuoy for a command that looks at it.
func (p *Program) connect(ctx context.Context) (*bus.Bus, error) {
	look := *p
	if look.Config.NATS.URL == "" {
		look.Config.NATS.URL = p.runningURL()
	}
	if look.Config.NATS.URL == "" {
		return nil, errors.New(`nats.embedded.listen is "off", so nothing outside the running process can look at its stream`)
	}
	look.Config.NATS.Manage = string(bus.Off)
	b, err := bus.Connect(ctx, look.busOptions(nil, "bellbuoy command", slog.New(slog.DiscardHandler), nil))
	if err != nil {
		return nil, fmt.Errorf("%w (is bellbuoy up running with this config?)", err)
	}
	return b, nil
}

func (p *Program) runningURL() string {
	listen := p.Config.NATS.Embedded.Listen
	if listen == "off" {
		return ""
	}
	if _, port, err := net.SplitHostPort(listen); err == nil && port != "0" {
		return "nats://" + listen
	}
	text, err := os.ReadFile(p.urlFile())
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// withBus does something with the stream of a running Bellbuoy.
func (p *Program) withBus(ctx context.Context, do func(*bus.Bus) error) error {
	b, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	return do(b)
}
