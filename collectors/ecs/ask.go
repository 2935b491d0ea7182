package ecs

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const (
	// maxAnswers is how many task definitions are kept, and how many services.
	maxAnswers = 4096
	// definitionAge is how old the tags of a task definition may be; nothing else of it ever changes.
	definitionAge = time.Hour
	// serviceAge is how old what is known of a service may be.
	serviceAge = 15 * time.Second
)

// cloud is an asker that asks the ECS API and remembers.
type cloud struct {
	definitions *answers[definition] // of one group: IAM knows no single definitions
	services    *answers[service]    // grouped by the ARN of their cluster
}

var _ asker = (*cloud)(nil)

func newCloud(api *ecsAPI, logger *slog.Logger) *cloud {
	return &cloud{
		definitions: newAnswers(&answers[definition]{find: api.definition, together: 1, most: maxAnswers, age: definitionAge, lasting: true, logger: logger}),
		services:    newAnswers(&answers[service]{find: api.named, together: servicesAtOnce, most: maxAnswers, age: serviceAge, logger: logger}),
	}
}

func (c *cloud) definition(ctx context.Context, arn string) (*definition, error) {
	return c.definitions.get(ctx, "", arn)
}

func (c *cloud) service(ctx context.Context, cluster, name string) (*service, error) {
	return c.services.get(ctx, cluster, name)
}

// definition asks for one task definition.
func (a *ecsAPI) definition(ctx context.Context, _ string, arns []string) (map[string]*definition, error) {
	out, err := ask(ctx, a, readDefinitions, "ecs:DescribeTaskDefinition", "task definition "+lastPart(arns[0]), a.client.DescribeTaskDefinition,
		&awsecs.DescribeTaskDefinitionInput{TaskDefinition: &arns[0], Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}})
	if err != nil {
		return nil, err
	}
	d := definitionOf(out.TaskDefinition)
	d.Tags = tagsOf(out.Tags)
	return map[string]*definition{arns[0]: d}, nil
}

// named asks for services by their names.
func (a *ecsAPI) named(ctx context.Context, cluster string, names []string) (map[string]*service, error) {
	list, err := a.services(ctx, cluster, names)
	if err != nil {
		return nil, err
	}
	found := make(map[string]*service, len(list))
	for i := range list {
		found[list[i].Name] = &list[i]
	}
	return found, nil
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
