package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/e2e/process"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// bellbuoy is the router as a process, on a NATS server of this one, so that a kill takes the router alone.
type bellbuoy struct {
	binary, config, log string
	server              *natsserver.Server
	bus                 *bus.Bus
	publisher           *bus.Publisher
	process             *process.Process
	stop                context.CancelFunc
}

// config is Bellbuoy's own defaults, twenty times as fast. What is not a matter of time is as it comes.
const config = `node: versus
http: {listen: "off"}
incidents: {wait: 1s, stable: 6s, crash_loop: {stops: 3, within: 30s}, unhealthy: 3s, missing: 15s, silent: 1h, gap: 1h, flap: 90s, remind: 12m, remind_limit: 72m}
`

func startBellbuoy(ctx context.Context, dir, url string) (b *bellbuoy, err error) {
	b = &bellbuoy{binary: filepath.Join(dir, "bellbuoy"), config: filepath.Join(dir, "bellbuoy.yaml"), log: filepath.Join(dir, "bellbuoy.log")}
	build := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "github.com/bellbuoy/bellbuoy/cmd/bellbuoy")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build bellbuoy: %w\n%s", err, text)
	}
	if b.server, err = natsserver.Start(ctx, natsserver.Options{Dir: filepath.Join(dir, "stream"), Listen: "127.0.0.1:0", Strict: true}); err != nil {
		return nil, err
	}
	if b.bus, err = bus.Connect(ctx, bus.Options{Server: b.server}); err != nil {
		return nil, err
	}
	if err := b.bus.Setup(ctx); err != nil {
		return nil, err
	}
	b.publisher = b.bus.NewPublisher()
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	go func() { _ = b.publisher.Run(working) }() // it ends with working
	text := config + "nats: {url: \"" + b.server.ClientURL() + "\"}\nsinks: {hook: {webhook: {url: \"" + url + "\"}}}\n"
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the config: %w", err)
	}
	return b, b.start(ctx)
}

func (b *bellbuoy) start(ctx context.Context) error {
	p, err := process.Start(process.Spec{Path: b.binary, Args: []string{"route", "-c", b.config}, Log: b.log})
	if err != nil {
		return err
	}
	b.process = p
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return p.Await(ctx, func(context.Context) error {
		if text := process.Tail(b.log); !strings.Contains(text, "next: ") {
			return fmt.Errorf("it says: %s", text)
		}
		return nil
	})
}

func (b *bellbuoy) restart(ctx context.Context) error {
	b.process.Kill()
	return b.start(ctx)
}

func (b *bellbuoy) publish(ctx context.Context, e event.Event) error {
	return b.publisher.Publish(ctx, e)
}

func (b *bellbuoy) close() {
	b.process.Kill()
	b.stop()
	b.bus.Close()
	b.server.Shutdown()
}
