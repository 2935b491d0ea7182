package awsfake

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

func ecsOperations() map[string]operation {
	return map[string]operation{
		"ecs:ListClusters":               jsonOp((*AWS).ecsListClusters),
		"ecs:DescribeClusters":           jsonOp((*AWS).ecsDescribeClusters),
		"ecs:ListTasks":                  jsonOp((*AWS).ecsListTasks),
		"ecs:DescribeTasks":              jsonOp((*AWS).ecsDescribeTasks),
		"ecs:ListServices":               jsonOp((*AWS).ecsListServices),
		"ecs:DescribeServices":           jsonOp((*AWS).ecsDescribeServices),
		"ecs:DescribeTaskDefinition":     jsonOp((*AWS).ecsDescribeTaskDefinition),
		"ecs:ListContainerInstances":     jsonOp((*AWS).ecsListContainerInstances),
		"ecs:DescribeContainerInstances": jsonOp((*AWS).ecsDescribeContainerInstances),
		"ecs:ListTagsForResource":        jsonOp((*AWS).ecsListTags),
		"ecs:StopTask":                   jsonOp((*AWS).ecsStopTask),
		"ecs:RunTask":                    jsonOp((*AWS).ecsRunTask),
		"ecs:UpdateService":              jsonOp((*AWS).ecsUpdateService),
	}
}

func invalid(format string, args ...any) error {
	return refuse("InvalidParameterException", format, args...)
}

// known finds a cluster that is asked for by name or ARN. The caller holds mu.
func (a *AWS) known(name *string) (*cluster, error) {
	c, ok := a.clusters[cmp.Or(short(text(name)), "default")]
	if !ok || strings.HasPrefix(text(name), "arn:") && *name != *c.ClusterArn {
		return nil, refuse("ClusterNotFoundException", "Cluster not found.")
	}
	return c, nil
}

// paged is something that a list shows, with its place in the order of making.
type paged struct {
	arn    string
	number int
}

// page cuts a list. A token holds the number of the last one shown, and which list it is for.
func page(list string, all []paged, asked *int32, usual int, token *string) (arns []string, next *string, err error) {
	size := usual
	if asked != nil {
		size = int(*asked)
	}
	if size < 1 || size > 100 {
		return nil, nil, invalid("maxResults must be between 1 and 100")
	}
	after := -1
	if token != nil {
		raw, _ := base64.StdEncoding.DecodeString(*token) // what is no base64 has no list in it
		number, ok := strings.CutPrefix(string(raw), list+" ")
		if after, err = strconv.Atoi(number); err != nil || !ok {
			return nil, nil, invalid("Invalid token")
		}
	}
	arns = []string{}
	for _, one := range all {
		if one.number <= after {
			continue
		}
		if len(arns) == size {
			next = aws.String(base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s %d", list, after)))
			break
		}
		arns = append(arns, one.arn)
		after = one.number
	}
	return arns, next, nil
}

func (a *AWS) ecsListClusters(_ context.Context, in *ecs.ListClustersInput) (smithy.Serializable, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []paged
	for i, name := range a.names {
		all = append(all, paged{*a.clusters[name].ClusterArn, i})
	}
	arns, next, err := page("clusters", all, in.MaxResults, 100, in.NextToken)
	return &ecs.ListClustersOutput{ClusterArns: arns, NextToken: next}, err
}

func (a *AWS) ecsDescribeClusters(_ context.Context, in *ecs.DescribeClustersInput) (smithy.Serializable, error) {
	if len(in.Clusters) > 100 {
		return nil, invalid("Clusters cannot have more than 100 elements")
	}
	if len(in.Clusters) == 0 {
		in.Clusters = []string{"default"}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out := &ecs.DescribeClustersOutput{Clusters: []types.Cluster{}, Failures: []types.Failure{}}
	for _, name := range in.Clusters {
		c, err := a.known(&name)
		if err != nil {
			out.Failures = append(out.Failures, missing(a.arn("cluster/"+short(name))))
			continue
		}
		described := c.Cluster
		described.ActiveServicesCount = int32(len(c.services))
		for _, k := range c.tasks {
			switch *k.now().LastStatus {
			case "RUNNING":
				described.RunningTasksCount++
			case "PENDING", "PROVISIONING":
				described.PendingTasksCount++
			}
		}
		described.RegisteredContainerInstancesCount = int32(len(c.instances))
		if !slices.Contains(in.Include, types.ClusterFieldTags) {
			described.Tags = nil
		}
		out.Clusters = append(out.Clusters, described)
	}
	return out, nil
}

func missing(arn string) types.Failure {
	return types.Failure{Arn: &arn, Reason: aws.String("MISSING")}
}

func (a *AWS) ecsDescribeTaskDefinition(_ context.Context, in *ecs.DescribeTaskDefinitionInput) (smithy.Serializable, error) {
	if in.TaskDefinition == nil {
		return nil, invalid("TaskDefinition can not be blank.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	d, ok := a.definition(*in.TaskDefinition)
	if !ok {
		return nil, refuse("ClientException", "Unable to describe task definition.")
	}
	out := &ecs.DescribeTaskDefinitionOutput{TaskDefinition: &d.TaskDefinition}
	if slices.Contains(in.Include, types.TaskDefinitionFieldTags) {
		out.Tags = d.tags
	}
	return out, nil
}

func (a *AWS) ecsListTags(_ context.Context, in *ecs.ListTagsForResourceInput) (smithy.Serializable, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	arn := text(in.ResourceArn)
	if d, ok := a.definition(arn); ok && strings.Contains(arn, ":task-definition/") {
		return &ecs.ListTagsForResourceOutput{Tags: d.tags}, nil
	}
	for _, c := range a.clusters {
		if *c.ClusterArn == arn {
			return &ecs.ListTagsForResourceOutput{Tags: c.Tags}, nil
		}
		if k := c.service(arn); k != nil && *k.now().ServiceArn == arn {
			return &ecs.ListTagsForResourceOutput{Tags: k.now().Tags}, nil
		}
		if k := c.task(arn); k != nil && *k.now().TaskArn == arn {
			return &ecs.ListTagsForResourceOutput{Tags: k.now().Tags}, nil
		}
	}
	return nil, invalid("The specified resource %q is not known.", arn)
}
