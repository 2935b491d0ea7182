package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/containerd"
	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/collectors/ecs"
	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/console"
	"github.com/bellbuoy/bellbuoy/sinks/opensearch"
	"github.com/bellbuoy/bellbuoy/sinks/restart"
	"github.com/bellbuoy/bellbuoy/sinks/sns"
	"github.com/bellbuoy/bellbuoy/sinks/webhook"
)

// parts is what components are built from.
type parts struct {
	config     *config.Config
	out        io.Writer
	logger     *slog.Logger
	registerer prometheus.Registerer
	publisher  collectors.Publisher
	cursors    *bus.Bucket
	actions    *bus.Bucket
	versions   *bus.Bucket
	incidents  *bus.Bucket
	silences   *bus.Bucket
	letters    *bus.DeadLetters
	aws        *awsclient.Loader
	dockerHost string
	// acting says whether a restart handler ends this run of a container, so that the collector does not take
	// our own restart for an operator's stop.
	acting func(container, run string) bool
}

// sinkTable is every kind of sink: to add one is to add a line here and a field to config.Sink.
func sinkTable() map[string]func(parts, string, config.Sink) (sinks.Sink, error) {
	return map[string]func(parts, string, config.Sink) (sinks.Sink, error){
		"sns":        buildSNS,
		"opensearch": buildOpenSearch,
		"restart":    buildRestart,
		"webhook":    buildWebhook,
		"console":    buildConsole,
	}
}

// collectorKind is a kind of collector: the runtime it watches and how it is built.
type collectorKind struct {
	runtime event.Runtime
	build   func(parts, *collectors.Link, config.Collector) (collectors.Collector, error)
}

// collectorTable is every kind of collector: to add one is to add a line here and a field to
// config.Collector.
func collectorTable() map[string]collectorKind {
	return map[string]collectorKind{
		"docker":     {event.Docker, buildDocker},
		"containerd": {event.Containerd, buildContainerd},
		"ecs":        {event.ECS, buildECS},
	}
}

func (p parts) sink(name string, c config.Sink) (sinks.Sink, error) {
	s, err := sinkTable()[c.Kind()](p, name, c)
	if err != nil {
		return nil, fmt.Errorf("build sink %q: %w", name, err)
	}
	return s, nil
}

func buildSNS(p parts, name string, c config.Sink) (sinks.Sink, error) {
	return sns.New(c.SNS.WithAWS(p.config.AWS), sns.Deps{
		Name: name, AWS: p.aws, Marks: p.actions, Logger: p.loggerOf("sink", name), Registerer: p.registerer,
	})
}

func buildOpenSearch(p parts, name string, c config.Sink) (sinks.Sink, error) {
	return opensearch.New(c.OpenSearch.WithAWS(p.config.AWS), opensearch.Deps{
		Name: name, AWS: p.aws, Logger: p.loggerOf("sink", name), Registerer: p.registerer,
	})
}

func buildRestart(p parts, name string, c config.Sink) (sinks.Sink, error) {
	cfg := *c.Restart
	deps := restart.Deps{
		Name: name, Node: p.config.Node, Publisher: p.publisher, Ledger: p.actions, ECS: accountsOf(p.config), AWS: p.aws,
		Logger: p.loggerOf("sink", name), Registerer: p.registerer,
	}
	if cfg.Docker == restart.DefaultConfig().Docker {
		cfg.Docker.Host, deps.Docker = p.dockerHost, dockersOf(p.config)
	}
	if cfg.Containerd == restart.DefaultConfig().Containerd {
		deps.Containerd = containerdsOf(p.config)
	}
	return restart.New(cfg, deps)
}

// dockersOf are the daemons that are watched: a restart handler acts on those.
func dockersOf(c *config.Config) []restart.Docker {
	var found []restart.Docker
	for _, entry := range c.Collectors {
		if entry.Docker != nil {
			found = append(found, restart.Docker{Host: entry.Docker.Host, TLS: restart.TLS(entry.Docker.TLS)})
		}
	}
	return found
}

func containerdsOf(c *config.Config) []restart.Containerd {
	var found []restart.Containerd
	for _, entry := range c.Collectors {
		if entry.Containerd != nil {
			found = append(found, restart.Containerd{Address: entry.Containerd.Address})
		}
	}
	return found
}

// accountsOf are the accounts and regions that are watched: a restart handler acts there as their collectors ask.
func accountsOf(c *config.Config) []restart.ECSAccount {
	var found []restart.ECSAccount
	for _, entry := range c.Collectors {
		if entry.ECS != nil {
			e := entry.ECS.WithAWS(c.AWS)
			found = append(found, restart.ECSAccount{Account: e.Account(), Region: e.Region, AWS: awsclient.Config{
				Region: e.Region, RoleARN: e.RoleARN, ExternalID: e.ExternalID, Endpoint: e.Endpoint,
			}})
		}
	}
	return found
}

func buildWebhook(p parts, name string, c config.Sink) (sinks.Sink, error) {
	return webhook.New(*c.Webhook, p.loggerOf("sink", name))
}

func buildConsole(p parts, _ string, c config.Sink) (sinks.Sink, error) {
	return console.New(*c.Console, console.Deps{Out: p.out})
}

func buildDocker(p parts, link *collectors.Link, c config.Collector) (collectors.Collector, error) {
	rules, err := causes(p.config, event.Docker)
	if err != nil {
		return nil, err
	}
	return docker.New(*c.Docker, docker.Deps{
		Name: link.Name(),
		Site: p.config.Site, Node: p.config.Node, Publisher: link, Reporter: link, Cursors: p.cursors, Acting: p.acting, Rules: rules,
		Logger: p.loggerOf("collector", "docker"), Registerer: p.registerer,
	})
}

func buildContainerd(p parts, link *collectors.Link, c config.Collector) (collectors.Collector, error) {
	rules, err := causes(p.config, event.Containerd)
	if err != nil {
		return nil, err
	}
	return containerd.New(*c.Containerd, containerd.Deps{ // no handler ends a run there
		Site: p.config.Site, Node: p.config.Node, Publisher: link, Reporter: link, Cursors: p.cursors, Rules: rules,
		Logger: p.loggerOf("collector", "containerd"), Registerer: p.registerer,
	})
}

func buildECS(p parts, link *collectors.Link, c config.Collector) (collectors.Collector, error) {
	rules, err := causes(p.config, event.ECS)
	if err != nil {
		return nil, err
	}
	return ecs.New(c.ECS.WithAWS(p.config.AWS), ecs.Deps{
		Name: link.Name(),
		Site: p.config.Site, Node: p.config.Node, Publisher: link, Reporter: link, Bucket: p.versions, Quarantine: quarantine{p.letters},
		AWS: p.aws, Rules: rules, Logger: p.loggerOf("collector", link.Name()), Registerer: p.registerer,
	})
}

// quarantine keeps the letters of collectors among the dead letters.
type quarantine struct{ letters *bus.DeadLetters }

// Quarantine keeps one; see bus.DeadLetters.
func (q quarantine) Quarantine(ctx context.Context, l ecs.Letter) error {
	return q.letters.Quarantine(ctx, bus.Letter(l))
}

// causes are the user's rows in front of a runtime's table of causes.
func causes(c *config.Config, runtime event.Runtime) (cause.Table, error) {
	rules, err := cause.Rules(c.Cause, runtime)
	if err != nil {
		return nil, fmt.Errorf("compile the rows of cause: %w", err)
	}
	return rules, nil
}

func (p parts) loggerOf(key, name string) *slog.Logger { return p.logger.With(key, name) }
