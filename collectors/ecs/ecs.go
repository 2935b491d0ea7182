package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/cause"
)

// Deps is what a collector needs from outside.
type Deps struct {
	Name       string // the collector's in the config; empty is ecs
	Site, Node string
	Publisher  collectors.Publisher
	Reporter   collectors.Reporter // nil: nobody is told what the collector sees
	// Bucket keeps the versions of tasks; nil keeps them in memory, and a restart begins anew.
	Bucket Store
	// Quarantine keeps what can't become an event; nil leaves that to the queue's redrive policy.
	Quarantine Quarantine
	// AWS is shared by all that talk to AWS; nil makes one of its own.
	AWS        *awsclient.Loader
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil keeps metrics to itself
	// Rules go in front of the table of causes.
	Rules cause.Table
}

// Collector watches the ECS of one account and region through one queue.
type Collector struct {
	cfg        Config
	deps       Deps
	table      cause.Table
	aws        aws.Config
	metrics    *intakeMetrics
	apiMetrics *apiMetrics
}

var _ collectors.Collector = (*Collector)(nil)

// New returns a collector that has asked nobody yet: credentials are found when it runs. Errors are faults of
// cfg or of the AWS environment.
func New(cfg Config, deps Deps) (*Collector, error) {
	cfg = cfg.WithAWS(awsclient.Config{})
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Publisher == nil || deps.Site == "" || deps.Node == "" {
		return nil, errors.New("ecs collector needs a publisher, a site and a node")
	}
	deps.Name = cmp.Or(deps.Name, "ecs")
	deps.Logger = cmp.Or(deps.Logger, slog.New(slog.DiscardHandler))
	deps.AWS = cmp.Or(deps.AWS, &awsclient.Loader{})
	if deps.Reporter == nil {
		deps.Reporter = collectors.Silent{}
	}
	loaded, err := deps.AWS.Load(cfg.aws())
	if err != nil {
		return nil, err
	}
	m, err := newIntakeMetrics(deps.Name, deps.Registerer)
	a, apiErr := newAPIMetrics(deps.Name, deps.Registerer)
	if err = errors.Join(err, apiErr); err != nil {
		return nil, fmt.Errorf("register ecs metrics: %w", err)
	}
	return &Collector{
		cfg: cfg, deps: deps, table: append(slices.Clone(deps.Rules), cause.ECS()...), aws: loaded, metrics: m, apiMetrics: a,
	}, nil
}

// renew forgets the credentials in use: what lent them may lend others.
func (c *Collector) renew() {
	if cache, ok := c.aws.Credentials.(*aws.CredentialsCache); ok {
		cache.Invalidate()
	}
}

// answers returns nil if the bucket answers, whatever it holds.
func (c *Collector) answers(ctx context.Context) error {
	if c.deps.Bucket == nil {
		return nil
	}
	bound, cancel := context.WithTimeout(ctx, publishBound)
	defer cancel()
	_, _, err := c.deps.Bucket.Get(bound, "ecs")
	return err
}

// Run watches until ctx ends. It returns an error if what was saved can't be read.
func (c *Collector) Run(ctx context.Context) error {
	m, r := c.parts()
	return c.run(ctx, work{machine: m, read: reader(r.origin, time.Now), reconcile: r.run})
}

func (c *Collector) parts() (*machine, *reconciler) {
	api := c.api()
	m := newMachine(machineOptions{Store: c.deps.Bucket, Ask: newCloud(api, c.deps.Logger), Table: c.table, Logger: c.deps.Logger})
	return m, &reconciler{
		api: api, machine: m, publish: c.publish, reporter: c.deps.Reporter, origin: origin{Site: c.deps.Site},
		region: c.cfg.region(), account: c.cfg.Account(), clusters: c.cfg.Clusters, every: c.cfg.ReconcileEvery, logger: c.deps.Logger,
	}
}

// publish hands an event of a comparison to the stream.
func (c *Collector) publish(ctx context.Context, o out) error {
	bound, cancel := context.WithTimeout(ctx, publishBound)
	defer cancel()
	return c.deps.Publisher.Publish(bound, o.event)
}

// sqsClient asks the queue where its URL says it is.
func (c Config) sqsClient(loaded aws.Config) *sqs.Client {
	return sqs.NewFromConfig(loaded, func(o *sqs.Options) {
		if endpoint := c.address().endpoint; endpoint != "" && c.Endpoint == "" {
			o.BaseEndpoint = &endpoint
			// The URL says which of these it is.
			o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateDisabled
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateDisabled
		}
	})
}
