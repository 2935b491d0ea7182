package awsfake

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// remembered is how long ECS shows a stopped task; the documentation promises at least an hour.
const remembered = time.Hour

// cluster is what a test has put and the calls have changed. AWS.mu guards it.
type cluster struct {
	types.Cluster
	tasks     []*kept[types.Task]
	byID      map[string]*kept[types.Task]
	services  []*kept[types.Service]
	instances []types.ContainerInstance
}

// kept is a resource with its past, which reads still show until a change is old enough.
type kept[T any] struct {
	id     string // last part of the ARN
	number int    // in the order of making, for pages
	states []state[T]
}

type state[T any] struct {
	at    time.Time
	value T
}

// now returns the newest state.
func (k *kept[T]) now() *T { return &k.states[len(k.states)-1].value }

// put adds a state.
func (k *kept[T]) put(at time.Time, value T) { k.states = append(k.states, state[T]{at, value}) }

// seen returns the state that a read shows, or nil when even the first is too new. It forgets older ones.
func (k *kept[T]) seen(now time.Time, late time.Duration) *T {
	last := -1
	for i := range k.states {
		if !k.states[i].at.Add(late).After(now) {
			last = i
		}
	}
	if last < 0 {
		return nil
	}
	k.states = k.states[last:]
	return &k.states[0].value
}

// PutCluster makes a cluster, or returns the ARN of the one there is.
func (a *AWS) PutCluster(name string) (arn string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return text(a.cluster(name).ClusterArn)
}

// cluster finds or makes a cluster by its name or ARN. The caller holds mu.
func (a *AWS) cluster(name string) *cluster {
	name = cmp.Or(short(name), "default")
	c, ok := a.clusters[name]
	if !ok {
		c = &cluster{byID: map[string]*kept[types.Task]{}, Cluster: types.Cluster{
			ClusterName: aws.String(name), ClusterArn: aws.String(a.arn("cluster/" + name)), Status: aws.String("ACTIVE"),
		}}
		a.clusters[name] = c
		a.names = append(a.names, name)
	}
	return c
}

// PutTask makes or replaces a task and returns what it has become: missing ARNs, status, version and times
// are filled in. A version that is not above the known one is raised to one above.
func (a *AWS) PutTask(t types.Task) types.Task {
	a.mu.Lock()
	now := a.Now()
	if t.ClusterArn == nil {
		if parts := strings.Split(text(t.TaskArn), "/"); len(parts) == 3 {
			t.ClusterArn = &parts[1]
		}
	}
	c := a.cluster(text(t.ClusterArn))
	t.ClusterArn = c.ClusterArn
	if t.TaskArn == nil {
		t.TaskArn = aws.String(a.arn("task/" + text(c.ClusterName) + "/" + a.hex()))
	}
	k := c.task(*t.TaskArn)
	if k == nil {
		k = &kept[types.Task]{id: short(*t.TaskArn), number: int(a.made.Add(1))}
		c.tasks = append(c.tasks, k)
		c.byID[k.id] = k
	} else if old := k.now().Version; t.Version <= old {
		t.Version = old + 1
	}
	t = filled(t, now)
	k.put(now, t)
	a.mu.Unlock()
	if a.o.OnTask != nil {
		a.o.OnTask(t)
	}
	return t
}

// filled completes what every task has.
func filled(t types.Task, now time.Time) types.Task {
	t.Containers = slices.Clone(t.Containers)
	t.LastStatus = cmp.Or(t.LastStatus, aws.String("RUNNING"))
	t.DesiredStatus = cmp.Or(t.DesiredStatus, aws.String("RUNNING"))
	t.CreatedAt = cmp.Or(t.CreatedAt, &now)
	t.Version = max(t.Version, 1)
	if *t.LastStatus == "STOPPED" {
		t.DesiredStatus = t.LastStatus
		t.StoppedAt = cmp.Or(t.StoppedAt, &now)
	}
	for i := range t.Containers {
		t.Containers[i].TaskArn = t.TaskArn
		t.Containers[i].LastStatus = cmp.Or(t.Containers[i].LastStatus, t.LastStatus)
	}
	return t
}

func (c *cluster) task(name string) *kept[types.Task] {
	return c.byID[short(name)]
}

// RemoveTask makes ECS forget a task at once.
func (a *AWS) RemoveTask(arn string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.clusters {
		c.remove(func(t *types.Task) bool { return text(t.TaskArn) == arn })
	}
}

func (c *cluster) remove(which func(*types.Task) bool) {
	c.tasks = slices.DeleteFunc(c.tasks, func(k *kept[types.Task]) bool {
		if !which(k.now()) {
			return false
		}
		delete(c.byID, k.id)
		return true
	})
}

// forget drops the tasks that stopped too long ago. The caller holds mu.
func (c *cluster) forget(now time.Time) {
	c.remove(func(t *types.Task) bool { return t.StoppedAt != nil && now.Sub(*t.StoppedAt) > remembered })
}

// Tasks returns the newest state of every task of a cluster that ECS remembers, oldest task first.
func (a *AWS) Tasks(name string) []types.Task {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.cluster(name)
	c.forget(a.Now())
	var all []types.Task
	for _, k := range c.tasks {
		all = append(all, *k.now())
	}
	return all
}

// Task returns the newest state of a task, and whether ECS knows it.
func (a *AWS) Task(arn string) (types.Task, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.clusters {
		if k := c.task(arn); k != nil {
			return *k.now(), true
		}
	}
	return types.Task{}, false
}
