package awsfake

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

func (a *AWS) ecsListServices(_ context.Context, in *ecs.ListServicesInput) (smithy.Serializable, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.known(in.Cluster)
	if err != nil {
		return nil, err
	}
	now := a.Now()
	var all []paged
	for _, k := range c.services {
		s := k.seen(now, a.o.Consistency)
		switch {
		case s == nil, *s.Status == "INACTIVE":
		case in.LaunchType != "" && s.LaunchType != in.LaunchType:
		case in.SchedulingStrategy != "" && s.SchedulingStrategy != in.SchedulingStrategy:
		default:
			all = append(all, paged{*s.ServiceArn, k.number})
		}
	}
	arns, next, err := page("services "+*c.ClusterName, all, in.MaxResults, 10, in.NextToken)
	return &ecs.ListServicesOutput{ServiceArns: arns, NextToken: next}, err
}

func (a *AWS) ecsDescribeServices(_ context.Context, in *ecs.DescribeServicesInput) (smithy.Serializable, error) {
	switch {
	case len(in.Services) == 0:
		return nil, invalid("Services cannot be empty.")
	case len(in.Services) > 10:
		return nil, invalid("Services cannot have more than 10 elements")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.known(in.Cluster)
	if err != nil {
		return nil, err
	}
	now := a.Now()
	out := &ecs.DescribeServicesOutput{Services: []types.Service{}, Failures: []types.Failure{}}
	for _, name := range in.Services {
		if err := c.owns("service", name); err != nil {
			return nil, err
		}
		var s *types.Service
		if k := c.service(name); k != nil {
			s = k.seen(now, a.o.Consistency)
		}
		if s == nil {
			out.Failures = append(out.Failures, missing(a.arn("service/"+*c.ClusterName+"/"+short(name))))
			continue
		}
		described := *s
		if !slices.Contains(in.Include, types.ServiceFieldTags) {
			described.Tags = nil
		}
		out.Services = append(out.Services, described)
	}
	return out, nil
}

func (a *AWS) ecsListContainerInstances(_ context.Context, in *ecs.ListContainerInstancesInput) (smithy.Serializable, error) {
	if in.Filter != nil {
		return nil, invalid("filters are not modelled")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.known(in.Cluster)
	if err != nil {
		return nil, err
	}
	var all []paged
	for n, i := range c.instances {
		if in.Status == "" && *i.Status != "INACTIVE" || strings.EqualFold(string(in.Status), *i.Status) {
			all = append(all, paged{*i.ContainerInstanceArn, n})
		}
	}
	arns, next, err := page("instances "+*c.ClusterName, all, in.MaxResults, 100, in.NextToken)
	return &ecs.ListContainerInstancesOutput{ContainerInstanceArns: arns, NextToken: next}, err
}

func (a *AWS) ecsDescribeContainerInstances(_ context.Context, in *ecs.DescribeContainerInstancesInput) (smithy.Serializable, error) {
	switch {
	case len(in.ContainerInstances) == 0:
		return nil, invalid("Container instances cannot be empty.")
	case len(in.ContainerInstances) > 100:
		return nil, invalid("Container instances cannot have more than 100 elements")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.known(in.Cluster)
	if err != nil {
		return nil, err
	}
	out := &ecs.DescribeContainerInstancesOutput{ContainerInstances: []types.ContainerInstance{}, Failures: []types.Failure{}}
	for _, name := range in.ContainerInstances {
		at := slices.IndexFunc(c.instances, func(i types.ContainerInstance) bool { return short(*i.ContainerInstanceArn) == short(name) })
		if at < 0 {
			out.Failures = append(out.Failures, missing(a.arn("container-instance/"+*c.ClusterName+"/"+short(name))))
			continue
		}
		described := c.instances[at]
		if !slices.Contains(in.Include, types.ContainerInstanceFieldTags) {
			described.Tags = nil
		}
		out.ContainerInstances = append(out.ContainerInstances, described)
	}
	return out, nil
}
