package ecs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"golang.org/x/sync/singleflight"
)

const (
	// maxDefinitions is how many task definitions are kept. They never change, but for their tags.
	maxDefinitions = 4096
	definitionAge  = time.Hour
	// serviceAge is how old what is known of a service may be.
	serviceAge = 15 * time.Second
	// deniedFor is how long a call that is not allowed is not tried again, silentFor one that had no answer.
	deniedFor, silentFor = 5 * time.Minute, 10 * time.Second
)

// cloud is an asker that asks the ECS API and remembers. Of many questions at once for one thing AWS hears one.
type cloud struct {
	api    *ecsAPI
	logger *slog.Logger
	flight singleflight.Group

	mu          sync.Mutex // guards what follows
	definitions map[string]answered[definition]
	services    map[string]answered[service]
	refused     map[string]bool // the actions whose refusal was told
}

// answered is an answer and until when it holds.
type answered[T any] struct {
	value *T
	err   error
	until time.Time
}

var _ asker = (*cloud)(nil)

func newCloud(api *ecsAPI, logger *slog.Logger) *cloud {
	return &cloud{
		api: api, logger: logger,
		definitions: map[string]answered[definition]{}, services: map[string]answered[service]{}, refused: map[string]bool{},
	}
}

func (c *cloud) definition(ctx context.Context, arn string) (*definition, error) {
	return remember(ctx, c, c.definitions, maxDefinitions, arn, func(ctx context.Context) (*definition, time.Duration, error) {
		out, err := ask(ctx, c.api, readDefinitions, "ecs:DescribeTaskDefinition", "task definition "+lastPart(arn),
			c.api.client.DescribeTaskDefinition, &awsecs.DescribeTaskDefinitionInput{
				TaskDefinition: &arn, Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags},
			})
		if err != nil {
			return nil, 0, err
		}
		d := definitionOf(out.TaskDefinition)
		d.Tags = tagsOf(out.Tags)
		return d, definitionAge, nil
	})
}

func (c *cloud) service(ctx context.Context, cluster, name string) (*service, error) {
	return remember(ctx, c, c.services, maxDefinitions, cluster+" "+name, func(ctx context.Context) (*service, time.Duration, error) {
		list, err := c.api.services(ctx, cluster, []string{name})
		if err != nil {
			return nil, 0, err
		}
		if len(list) == 0 {
			return nil, serviceAge, nil
		}
		return &list[0], serviceAge, nil
	})
}

// services asks for at most ten services of a cluster. What ECS does not know is left out.
func (a *ecsAPI) services(ctx context.Context, cluster string, names []string) ([]service, error) {
	out, err := ask(ctx, a, readServices, "ecs:DescribeServices", "cluster "+lastPart(cluster), a.client.DescribeServices,
		&awsecs.DescribeServicesInput{Cluster: &cluster, Services: names, Include: []types.ServiceField{types.ServiceFieldTags}})
	if err != nil {
		return nil, err
	}
	list := make([]service, 0, len(out.Services))
	for i := range out.Services {
		list = append(list, describedService(&out.Services[i]))
	}
	return list, nil
}

// remember returns what is known under a key, or asks for it: once for all who ask at the same time, and for no
// longer than the caller's ctx. A call that is not allowed is told once and not made again for a while.
func remember[T any](ctx context.Context, c *cloud, known map[string]answered[T], most int, key string, find func(context.Context) (*T, time.Duration, error)) (*T, error) {
	c.mu.Lock()
	a, ok := known[key]
	c.mu.Unlock()
	if ok && time.Now().Before(a.until) {
		return a.value, a.err
	}
	found := c.flight.DoChan(fmt.Sprintf("%T %s", known, key), func() (any, error) {
		value, age, err := find(ctx)
		if err != nil {
			age = c.failed(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if age > 0 {
			if len(known) >= most {
				clear(known) // rare, and all of it can be asked again
			}
			known[key] = answered[T]{value, err, time.Now().Add(age)}
		}
		return value, err
	})
	select {
	case result := <-found:
		value, _ := result.Val.(*T)
		return value, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// failed returns for how long an error holds.
func (c *cloud) failed(err error) time.Duration {
	if !denied(err) {
		if _, is := asRefusal(err); is {
			return silentFor
		}
		return 0
	}
	c.mu.Lock()
	told := c.refused[err.Error()]
	c.refused[err.Error()] = true
	c.mu.Unlock()
	if !told {
		c.logger.Warn("ends of tasks are told with less evidence", "err", err)
	}
	return deniedFor
}

func definitionOf(d *types.TaskDefinition) *definition {
	out := &definition{}
	if d == nil {
		return out
	}
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		one := definedContainer{
			Name: aws.ToString(c.Name), Image: aws.ToString(c.Image), Essential: c.Essential == nil || *c.Essential,
		}
		for _, on := range c.DependsOn {
			one.DependsOn = append(one.DependsOn, aws.ToString(on.ContainerName))
		}
		if l := c.LogConfiguration; l != nil && l.LogDriver == types.LogDriverAwslogs {
			one.LogGroup, one.LogPrefix = l.Options["awslogs-group"], l.Options["awslogs-stream-prefix"]
		}
		out.Containers = append(out.Containers, one)
	}
	return out
}

func describedService(s *types.Service) service {
	out := service{
		Name: aws.ToString(s.ServiceName), ARN: aws.ToString(s.ServiceArn), Status: aws.ToString(s.Status), Definition: aws.ToString(s.TaskDefinition),
		Desired: int64(s.DesiredCount), Running: int64(s.RunningCount), Pending: int64(s.PendingCount),
	}
	for i := range s.Deployments {
		d := &s.Deployments[i]
		id := aws.ToString(d.Id)
		if aws.ToString(d.Status) == "PRIMARY" {
			out.Deployments = append([]string{id}, out.Deployments...)
		} else {
			out.Deployments = append(out.Deployments, id)
		}
		if d.RolloutState == types.DeploymentRolloutStateInProgress {
			out.InProgress = id
		}
	}
	out.Tags = tagsOf(s.Tags)
	return out
}

func tagsOf(list []types.Tag) map[string]string {
	if len(list) == 0 {
		return nil
	}
	tags := make(map[string]string, len(list))
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}
