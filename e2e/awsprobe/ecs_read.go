package awsprobe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func ecsReadChecks() []Check {
	return []Check{
		{"ecs: clusters are listed and described", clustersListed},
		{"ecs: a cluster is found by its whole name", clusterWhole},
		{"ecs: an unknown cluster has a type of its own", unknownCluster},
		{"ecs: an unknown task is a failure, MISSING", unknownTask},
		{"ecs: more than 100 tasks, and none, are refused", taskLimits},
		{"ecs: an unknown service is a failure, MISSING", unknownService},
		{"ecs: more than 10 services are refused", serviceLimit},
		{"ecs: services come in pages of ten", servicePages},
		{"ecs: a page of more than 100, and a made-up token, are refused", pageLimits},
		{"ecs: listing the tasks of an unknown service is refused", tasksOfUnknownService},
		{"ecs: a service tells its tags on request only", tagsOnRequest},
		{"ecs: tags are listed by ARN", tagsListed},
		{"ecs: a family is its newest revision", newestRevision},
		{"ecs: an unknown task definition is refused", unknownDefinition},
		{"ecs: a task of another cluster is refused", foreignTask},
	}
}

// cluster makes an empty cluster.
func (s *Session) cluster(ctx context.Context, name string) (*string, error) {
	out, err := s.ECS.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: &name})
	if err != nil {
		return nil, fmt.Errorf("create cluster: %w", err)
	}
	s.later(func(ctx context.Context) { _, _ = s.ECS.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: &name}) })
	return out.Cluster.ClusterName, nil
}

// definition registers a revision of a family.
func (s *Session) definition(ctx context.Context, family string) (*string, error) {
	out, err := s.ECS.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: &family,
		ContainerDefinitions: []types.ContainerDefinition{
			{Name: aws.String("app"), Image: aws.String("public.ecr.aws/docker/library/busybox:stable"), Memory: aws.Int32(16), Essential: aws.Bool(true)},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("register task definition: %w", err)
	}
	arn := out.TaskDefinition.TaskDefinitionArn
	s.later(func(ctx context.Context) {
		_, _ = s.ECS.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: arn})
	})
	return arn, nil
}

// services makes n services that run nothing, in a cluster of their own.
func (s *Session) services(ctx context.Context, n int) (cluster *string, arns []string, err error) {
	name := s.name()
	if cluster, err = s.cluster(ctx, name); err != nil {
		return nil, nil, err
	}
	definition, err := s.definition(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	for i := range n {
		out, err := s.ECS.CreateService(ctx, &ecs.CreateServiceInput{
			Cluster: cluster, ServiceName: aws.String("service-" + strconv.Itoa(i)), TaskDefinition: definition, DesiredCount: aws.Int32(0),
			LaunchType: types.LaunchTypeEc2, Tags: []types.Tag{{Key: aws.String("bellbuoy:restart"), Value: aws.String("enabled")}},
		})
		if err != nil {
			return nil, nil, fmt.Errorf("create service: %w", err)
		}
		arns = append(arns, *out.Service.ServiceArn)
		s.later(func(ctx context.Context) {
			_, _ = s.ECS.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: cluster, Service: out.Service.ServiceName, Force: aws.Bool(true)})
		})
	}
	return cluster, arns, nil
}

func clustersListed(ctx context.Context, s *Session) error {
	cluster, err := s.cluster(ctx, s.name())
	if err != nil {
		return err
	}
	out, err := s.ECS.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{*cluster, "bellbuoy-none"}})
	if err != nil {
		return err
	}
	if err := errors.Join(same("described", len(out.Clusters), 1), same("failures", len(out.Failures), 1)); err != nil {
		return err
	}
	pages := ecs.NewListClustersPaginator(s.ECS, &ecs.ListClustersInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		if slices.Contains(page.ClusterArns, *out.Clusters[0].ClusterArn) {
			return nil
		}
	}
	return errors.New("it is in no page")
}

func clusterWhole(ctx context.Context, s *Session) error {
	name := s.name()
	if _, err := s.cluster(ctx, name+"-2"); err != nil {
		return err
	}
	_, err := s.ECS.ListTasks(ctx, &ecs.ListTasksInput{Cluster: &name})
	return refused(err, "ClusterNotFoundException")
}

func unknownCluster(ctx context.Context, s *Session) error {
	_, err := s.ECS.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String("bellbuoy-none"), Tasks: []string{strings.Repeat("0", 32)}})
	var none *types.ClusterNotFoundException
	if !errors.As(err, &none) {
		return fmt.Errorf("want ClusterNotFoundException, got %w", err)
	}
	return nil
}

// describe asks for tasks of a new, empty cluster.
func (s *Session) describe(ctx context.Context, ids ...string) (*ecs.DescribeTasksOutput, error) {
	cluster, err := s.cluster(ctx, s.name())
	if err != nil {
		return nil, err
	}
	return s.ECS.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: cluster, Tasks: ids})
}

func unknownTask(ctx context.Context, s *Session) error {
	out, err := s.describe(ctx, strings.Repeat("0", 32))
	if err != nil {
		return err
	}
	if len(out.Failures) != 1 {
		return fmt.Errorf("%d failures", len(out.Failures))
	}
	return same("reason", aws.ToString(out.Failures[0].Reason), "MISSING")
}

func taskLimits(ctx context.Context, s *Session) error {
	_, many := s.describe(ctx, slices.Repeat([]string{strings.Repeat("0", 32)}, 101)...)
	_, none := s.describe(ctx, []string{}...)
	return errors.Join(refused(many, "InvalidParameterException"), refused(none, "InvalidParameterException"))
}

func unknownService(ctx context.Context, s *Session) error {
	cluster, err := s.cluster(ctx, s.name())
	if err != nil {
		return err
	}
	out, err := s.ECS.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: cluster, Services: []string{"none"}})
	if err != nil {
		return err
	}
	if len(out.Failures) != 1 {
		return fmt.Errorf("%d failures", len(out.Failures))
	}
	return same("reason", aws.ToString(out.Failures[0].Reason), "MISSING")
}

func serviceLimit(ctx context.Context, s *Session) error {
	cluster, err := s.cluster(ctx, s.name())
	if err != nil {
		return err
	}
	var names []string
	for i := range 11 {
		names = append(names, "none-"+strconv.Itoa(i))
	}
	_, err = s.ECS.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: cluster, Services: names})
	return refused(err, "InvalidParameterException")
}

func servicePages(ctx context.Context, s *Session) error {
	cluster, _, err := s.services(ctx, 12)
	if err != nil {
		return err
	}
	first, err := s.ECS.ListServices(ctx, &ecs.ListServicesInput{Cluster: cluster})
	if err != nil {
		return err
	}
	if err := same("first page", len(first.ServiceArns), 10); err != nil {
		return err
	}
	second, err := s.ECS.ListServices(ctx, &ecs.ListServicesInput{Cluster: cluster, NextToken: first.NextToken})
	if err != nil {
		return err
	}
	return same("second page", len(second.ServiceArns), 2)
}

func pageLimits(ctx context.Context, s *Session) error {
	cluster, err := s.cluster(ctx, s.name())
	if err != nil {
		return err
	}
	_, large := s.ECS.ListTasks(ctx, &ecs.ListTasksInput{Cluster: cluster, MaxResults: aws.Int32(101)})
	_, token := s.ECS.ListTasks(ctx, &ecs.ListTasksInput{Cluster: cluster, NextToken: aws.String("made up")})
	return errors.Join(refused(large, "InvalidParameterException"), refused(token, "InvalidParameterException"))
}

func tasksOfUnknownService(ctx context.Context, s *Session) error {
	cluster, err := s.cluster(ctx, s.name())
	if err != nil {
		return err
	}
	_, err = s.ECS.ListTasks(ctx, &ecs.ListTasksInput{Cluster: cluster, ServiceName: aws.String("none")})
	return refused(err, "ServiceNotFoundException")
}

func tagsOnRequest(ctx context.Context, s *Session) error {
	cluster, arns, err := s.services(ctx, 1)
	if err != nil {
		return err
	}
	in := &ecs.DescribeServicesInput{Cluster: cluster, Services: arns}
	without, err := s.ECS.DescribeServices(ctx, in)
	if err != nil {
		return err
	}
	in.Include = []types.ServiceField{types.ServiceFieldTags}
	with, err := s.ECS.DescribeServices(ctx, in)
	if err != nil {
		return err
	}
	return errors.Join(same("tags unasked", len(without.Services[0].Tags), 0), same("tags", len(with.Services[0].Tags), 1))
}

func tagsListed(ctx context.Context, s *Session) error {
	_, arns, err := s.services(ctx, 1)
	if err != nil {
		return err
	}
	out, err := s.ECS.ListTagsForResource(ctx, &ecs.ListTagsForResourceInput{ResourceArn: &arns[0]})
	if err != nil {
		return err
	}
	return same("tags", len(out.Tags), 1)
}

func newestRevision(ctx context.Context, s *Session) error {
	family := s.name()
	var newest *string
	for range 2 {
		var err error
		if newest, err = s.definition(ctx, family); err != nil {
			return err
		}
	}
	out, err := s.ECS.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &family})
	if err != nil {
		return err
	}
	return same("revision", *out.TaskDefinition.TaskDefinitionArn, *newest)
}

func unknownDefinition(ctx context.Context, s *Session) error {
	_, err := s.ECS.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("bellbuoy-none:7")})
	return refused(err, "ClientException")
}

func foreignTask(ctx context.Context, s *Session) error {
	out, err := s.describe(ctx, strings.Repeat("0", 32))
	if err != nil {
		return err
	}
	if len(out.Failures) != 1 {
		return fmt.Errorf("%d failures", len(out.Failures))
	}
	_, err = s.describe(ctx, *out.Failures[0].Arn)
	return refused(err, "InvalidParameterException")
}
