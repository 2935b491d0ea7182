package awsfake

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// PutService makes or replaces a service of a cluster and returns what it has become. A service without
// deployments gets a completed one.
func (a *AWS) PutService(name string, s types.Service) types.Service {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Now()
	c := a.cluster(name)
	s.ClusterArn = c.ClusterArn
	if s.ServiceName == nil {
		s.ServiceName = aws.String(cmp.Or(short(text(s.ServiceArn)), "service-"+strconv.FormatInt(a.made.Add(1), 10)))
	}
	s.ServiceArn = cmp.Or(s.ServiceArn, aws.String(a.arn("service/"+text(c.ClusterName)+"/"+*s.ServiceName)))
	s.Status = cmp.Or(s.Status, aws.String("ACTIVE"))
	s.CreatedAt = cmp.Or(s.CreatedAt, &now)
	s.SchedulingStrategy = cmp.Or(s.SchedulingStrategy, types.SchedulingStrategyReplica)
	if s.Deployments == nil {
		d := a.deployment(&s)
		d.RolloutState, d.RunningCount = types.DeploymentRolloutStateCompleted, s.RunningCount
		s.Deployments = []types.Deployment{d}
	}
	k := c.service(*s.ServiceName)
	if k == nil {
		k = &kept[types.Service]{id: *s.ServiceName, number: int(a.made.Add(1))}
		c.services = append(c.services, k)
	}
	k.put(now, s)
	return s
}

// deployment is a new primary deployment of a service, under way.
func (a *AWS) deployment(s *types.Service) types.Deployment {
	now := a.Now()
	return types.Deployment{
		Id:     aws.String("ecs-svc/" + strconv.FormatInt(1_000_000_000_000_000_000+a.made.Add(1), 10)),
		Status: aws.String("PRIMARY"), RolloutState: types.DeploymentRolloutStateInProgress,
		TaskDefinition: s.TaskDefinition, DesiredCount: s.DesiredCount, LaunchType: s.LaunchType,
		CreatedAt: &now, UpdatedAt: &now,
	}
}

func (c *cluster) service(name string) *kept[types.Service] {
	i := slices.IndexFunc(c.services, func(k *kept[types.Service]) bool { return k.id == short(name) })
	if i < 0 {
		return nil
	}
	return c.services[i]
}

// Services returns the newest state of every service of a cluster, the oldest first.
func (a *AWS) Services(name string) []types.Service {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []types.Service
	for _, k := range a.cluster(name).services {
		all = append(all, *k.now())
	}
	return all
}

// CompleteDeployment ends the deployment under way of a service: the others are gone.
func (a *AWS) CompleteDeployment(name, service string) types.Service {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := a.cluster(name).service(service)
	if k == nil {
		return types.Service{}
	}
	now, s := a.Now(), *k.now()
	s.Deployments = slices.Clone(s.Deployments[:1])
	s.Deployments[0].RolloutState = types.DeploymentRolloutStateCompleted
	s.Deployments[0].UpdatedAt = &now
	k.put(now, s)
	return s
}

// PutInstance adds or replaces a container instance of a cluster and returns what it has become.
func (a *AWS) PutInstance(name string, i types.ContainerInstance) types.ContainerInstance {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.cluster(name)
	i.ContainerInstanceArn = cmp.Or(i.ContainerInstanceArn, aws.String(a.arn("container-instance/"+text(c.ClusterName)+"/"+a.hex())))
	i.Status = cmp.Or(i.Status, aws.String("ACTIVE"))
	i.Version = max(i.Version, 1)
	c.instances = slices.DeleteFunc(c.instances, func(old types.ContainerInstance) bool {
		return *old.ContainerInstanceArn == *i.ContainerInstanceArn
	})
	c.instances = append(c.instances, i)
	return i
}

// definition is a registered task definition with the tags that are told on request.
type definition struct {
	types.TaskDefinition
	tags []types.Tag
}

// PutDefinition registers a task definition and returns it; its revision is the given one or the next.
func (a *AWS) PutDefinition(d types.TaskDefinition, tags ...types.Tag) types.TaskDefinition {
	a.mu.Lock()
	defer a.mu.Unlock()
	if family, revision, ok := strings.Cut(short(text(d.TaskDefinitionArn)), ":"); ok && d.Family == nil {
		n, _ := strconv.Atoi(revision)
		d.Family, d.Revision = &family, int32(n)
	}
	family := cmp.Or(text(d.Family), "family")
	if d.Revision == 0 {
		d.Revision = int32(len(a.families[family]) + 1)
	}
	d.Family = &family
	d.Status = cmp.Or(d.Status, types.TaskDefinitionStatusActive)
	d.TaskDefinitionArn = cmp.Or(d.TaskDefinitionArn, aws.String(a.arn("task-definition/"+family+":"+strconv.Itoa(int(d.Revision)))))
	a.families[family] = append(a.families[family], definition{d, tags})
	return d
}

// definition finds a task definition by ARN, family:revision or family, whose newest revision it is then. The
// caller holds mu.
func (a *AWS) definition(name string) (definition, bool) {
	family, revision, exact := strings.Cut(short(name), ":")
	var found definition
	ok := false
	for _, d := range a.families[family] {
		matches := exact && strconv.Itoa(int(d.Revision)) == revision || !exact && d.Status == types.TaskDefinitionStatusActive
		if matches && (!ok || d.Revision > found.Revision) {
			found, ok = d, true
		}
	}
	return found, ok
}
