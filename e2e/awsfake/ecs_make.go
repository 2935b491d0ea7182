package awsfake

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

// What is made over the API is what PutCluster, PutDefinition and PutService make; nothing is run for it.
func ecsMakers() map[string]operation {
	return map[string]operation{
		"ecs:CreateCluster":            jsonOp((*AWS).ecsCreateCluster),
		"ecs:DeleteCluster":            jsonOp((*AWS).ecsDeleteCluster),
		"ecs:CreateService":            jsonOp((*AWS).ecsCreateService),
		"ecs:DeleteService":            jsonOp((*AWS).ecsDeleteService),
		"ecs:RegisterTaskDefinition":   jsonOp((*AWS).ecsRegister),
		"ecs:DeregisterTaskDefinition": jsonOp((*AWS).ecsDeregister),
	}
}

func (a *AWS) ecsCreateCluster(_ context.Context, in *ecs.CreateClusterInput) (smithy.Serializable, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.cluster(text(in.ClusterName))
	c.Tags = slices.Concat(c.Tags, in.Tags)
	return &ecs.CreateClusterOutput{Cluster: &c.Cluster}, nil
}

func (a *AWS) ecsDeleteCluster(_ context.Context, in *ecs.DeleteClusterInput) (smithy.Serializable, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.known(in.Cluster)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(c.services, func(k *kept[types.Service]) bool { return *k.now().Status == "ACTIVE" }) {
		return nil, refuse("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
	}
	if slices.ContainsFunc(c.tasks, func(k *kept[types.Task]) bool { return *k.now().LastStatus != "STOPPED" }) {
		return nil, refuse("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
	}
	delete(a.clusters, *c.ClusterName)
	a.names = slices.DeleteFunc(a.names, func(name string) bool { return name == *c.ClusterName })
	gone := c.Cluster
	gone.Status = aws.String("INACTIVE")
	return &ecs.DeleteClusterOutput{Cluster: &gone}, nil
}

func (a *AWS) ecsCreateService(_ context.Context, in *ecs.CreateServiceInput) (smithy.Serializable, error) {
	if in.ServiceName == nil {
		return nil, invalid("Service name can not be blank.")
	}
	a.mu.Lock()
	c, err := a.known(in.Cluster)
	d, ok := a.definition(text(in.TaskDefinition))
	a.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, refuse("ClientException", "TaskDefinition not found.")
	}
	s := a.PutService(*c.ClusterName, types.Service{
		ServiceName: in.ServiceName, TaskDefinition: d.TaskDefinitionArn, DesiredCount: aws.ToInt32(in.DesiredCount),
		LaunchType: cmp.Or(in.LaunchType, types.LaunchTypeEc2), Tags: in.Tags, SchedulingStrategy: in.SchedulingStrategy, DeploymentController: in.DeploymentController,
	})
	return &ecs.CreateServiceOutput{Service: &s}, nil
}

func (a *AWS) ecsDeleteService(_ context.Context, in *ecs.DeleteServiceInput) (smithy.Serializable, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.known(in.Cluster)
	if err != nil {
		return nil, err
	}
	k := c.service(text(in.Service))
	if k == nil {
		return nil, refuse("ServiceNotFoundException", "Service not found.")
	}
	s := *k.now()
	if s.DesiredCount > 0 && !aws.ToBool(in.Force) {
		return nil, invalid("The service cannot be stopped while it is scaled above 0.")
	}
	s.Status, s.DesiredCount = aws.String("INACTIVE"), 0
	k.put(a.Now(), s)
	return &ecs.DeleteServiceOutput{Service: &s}, nil
}

func (a *AWS) ecsRegister(_ context.Context, in *ecs.RegisterTaskDefinitionInput) (smithy.Serializable, error) {
	switch {
	case in.Family == nil:
		return nil, refuse("ClientException", "Family should not be null or empty.")
	case len(in.ContainerDefinitions) == 0:
		return nil, refuse("ClientException", "Container list cannot be empty.")
	}
	d := a.PutDefinition(types.TaskDefinition{
		Family: in.Family, ContainerDefinitions: in.ContainerDefinitions, Cpu: in.Cpu, Memory: in.Memory, NetworkMode: in.NetworkMode,
		RequiresCompatibilities: in.RequiresCompatibilities, TaskRoleArn: in.TaskRoleArn, ExecutionRoleArn: in.ExecutionRoleArn,
	}, in.Tags...)
	return &ecs.RegisterTaskDefinitionOutput{TaskDefinition: &d, Tags: in.Tags}, nil
}

func (a *AWS) ecsDeregister(_ context.Context, in *ecs.DeregisterTaskDefinitionInput) (smithy.Serializable, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d, ok := a.definition(text(in.TaskDefinition))
	if !ok {
		return nil, refuse("ClientException", "The specified task definition does not exist.")
	}
	d.Status = types.TaskDefinitionStatusInactive
	all := a.families[text(d.Family)]
	for i := range all {
		if all[i].Revision == d.Revision {
			all[i] = d
		}
	}
	return &ecs.DeregisterTaskDefinitionOutput{TaskDefinition: &d.TaskDefinition}, nil
}
