package ecs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
)

// tryLooks makes the calls of the comparison with ECS for things that need not be there: whoever may not ask is
// told that before it is told that they are not.
func (c Config) tryLooks(ctx context.Context, client *awsecs.Client) []error {
	cluster, none := aws.String("default"), aws.String("bellbuoy-check")
	if len(c.Clusters) > 0 {
		cluster = aws.String(c.Clusters[0])
	}
	var problems []error
	try := func(action, target string, call func() error) {
		if err := call(); err != nil {
			if r := refused(action, target, err); r.reason != reasonOther {
				problems = append(problems, r)
			}
		}
	}
	on := "cluster " + lastPart(*cluster)
	if len(c.Clusters) == 0 {
		try("ecs:ListClusters", "the account", func() error {
			_, err := client.ListClusters(ctx, &awsecs.ListClustersInput{MaxResults: aws.Int32(1)})
			return err
		})
	}
	try("ecs:ListTasks", on, func() error {
		_, err := client.ListTasks(ctx, &awsecs.ListTasksInput{Cluster: cluster, MaxResults: aws.Int32(1)})
		return err
	})
	try("ecs:DescribeTasks", on, func() error {
		_, err := client.DescribeTasks(ctx, &awsecs.DescribeTasksInput{Cluster: cluster, Tasks: []string{"00000000000000000000000000000000"}})
		return err
	})
	try("ecs:ListServices", on, func() error {
		_, err := client.ListServices(ctx, &awsecs.ListServicesInput{Cluster: cluster, MaxResults: aws.Int32(1)})
		return err
	})
	try("ecs:DescribeServices", on, func() error {
		_, err := client.DescribeServices(ctx, &awsecs.DescribeServicesInput{Cluster: cluster, Services: []string{*none}})
		return err
	})
	try("ecs:DescribeTaskDefinition", "task definitions", func() error {
		_, err := client.DescribeTaskDefinition(ctx, &awsecs.DescribeTaskDefinitionInput{TaskDefinition: none})
		return err
	})
	return problems
}
