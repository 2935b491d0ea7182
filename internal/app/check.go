package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// onlineTimeout bounds one target's check.
const onlineTimeout = 20 * time.Second

// checkable is a sink that can try its target with its real rights and without an effect.
type checkable interface {
	Check(ctx context.Context) error
}

// Check reports that the config, which has been loaded and so is without faults, is sound; online also
// tries every target.
func (p *Program) Check(ctx context.Context, online bool) error {
	rules, err := Rules(p.withDefaultSinks())
	if err != nil {
		return err
	}
	p.say("config ok: %s, %s\n", count(len(p.withDefaultSinks().Sinks), "sink"), count(len(rules), "route"))
	for i, c := range p.Config.Collectors {
		for _, warning := range warningsOf(c) {
			p.say("[!] collectors[%d] %s\n", i, warning)
		}
	}
	if !online {
		return nil
	}
	failed := 0
	for _, t := range p.targets(ctx) {
		tryCtx, cancel := context.WithTimeout(ctx, onlineTimeout)
		err := t.try(tryCtx)
		cancel()
		if err != nil {
			failed++
			p.say("[-] %s: %s\n", t.name, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		p.say("[+] %s ok\n", t.name)
	}
	if failed > 0 {
		return fmt.Errorf("%s of the config can't be used", count(failed, "target"))
	}
	return nil
}

// warningsOf is what in a collector's config is not wrong but unwise.
func warningsOf(c config.Collector) []string {
	switch {
	case c.Docker != nil:
		return c.Docker.Warnings()
	case c.ECS != nil:
		return c.ECS.Warnings()
	}
	return nil
}

// target is one thing outside that the config names.
type target struct {
	name string
	try  func(context.Context) error
}

func (p *Program) targets(ctx context.Context) []target {
	var out []target
	if p.Config.NATS.URL != "" {
		out = append(out, target{"nats " + p.Config.NATS.URL, p.tryNATS})
	}
	cfg := p.withDefaultSinks()
	ps := parts{
		config: cfg, out: p.Out, logger: slog.New(slog.DiscardHandler), registerer: prometheus.NewRegistry(), aws: &awsclient.Loader{},
	}
	var names []string
	for name := range cfg.Sinks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := cfg.Sinks[name]
		if c.Kind() == "restart" { // it acts on the daemons that the collectors watch
			continue
		}
		out = append(out, target{"sinks." + name, func(ctx context.Context) error {
			s, err := ps.sink(name, c)
			if err != nil {
				return err
			}
			return trySink(ctx, s)
		}})
	}
	entries := cfg.Collectors
	if len(entries) == 0 {
		entries = detect(ctx)
	}
	for i, c := range entries {
		t := p.watchedBy(c, ps.aws)
		t.name = fmt.Sprintf("collectors[%d] %s", i, t.name)
		out = append(out, t)
	}
	return out
}

// watchedBy returns what a collector watches and how to try that.
func (p *Program) watchedBy(c config.Collector, aws *awsclient.Loader) target {
	switch c.Kind() {
	case "containerd":
		return target{c.Containerd.Address, c.Containerd.Check}
	case "ecs":
		return target{c.ECS.QueueURL, func(ctx context.Context) error {
			warnings, err := c.ECS.WithAWS(p.Config.AWS).Check(ctx, aws)
			for _, warning := range warnings {
				p.say("[!] %s: %s\n", c.ECS.QueueURL, warning)
			}
			return err
		}}
	}
	return target{c.Docker.Host, c.Docker.Check}
}

func trySink(ctx context.Context, s sinks.Sink) error {
	var err error
	if c, ok := s.(checkable); ok {
		err = c.Check(ctx)
	}
	if c, ok := s.(interface{ Close() error }); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

func (p *Program) tryNATS(ctx context.Context) error {
	b, err := bus.Connect(ctx, p.busOptions(nil, "bellbuoy check", slog.New(slog.DiscardHandler), nil))
	if err != nil {
		return err
	}
	b.Close()
	return nil
}
