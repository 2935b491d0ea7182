package ecs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/awsproxy"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// looker is a reconciler on real sockets, and what it tells.
type looker struct {
	*socketed
	stream *collectortest.Stream
	m      *machine
	r      *reconciler
	read   func([]byte) (*fact, error)
}

func newLooker(t *testing.T) *looker {
	t.Helper()
	stream := &collectortest.Stream{}
	l := &looker{socketed: newSocketed(t, stream), stream: stream}
	l.start(t)
	return l
}

// start begins anew with what is saved.
func (l *looker) start(t *testing.T) {
	t.Helper()
	c, err := New(l.cfg, l.deps)
	require.NoError(t, err)
	l.m, l.r = c.parts()
	l.read = reader(l.r.origin, time.Now)
	require.NoError(t, l.m.load(t.Context()))
}

// hear gives bodies to the machine as the intake does.
func (l *looker) hear(t *testing.T, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		f, err := l.read([]byte(body))
		require.NoError(t, err)
		require.NoError(t, l.m.handle(t.Context(), f, func(ctx context.Context, o out) error { return l.stream.Publish(ctx, o.event) }))
	}
}

// tell gives states of tasks to the machine as events.
func (l *looker) tell(t *testing.T, states ...types.Task) {
	t.Helper()
	for i := range states {
		l.hear(t, l.aws.TaskEvent(states[i]))
	}
}

func (l *looker) look(t *testing.T) finding {
	t.Helper()
	f, err := l.r.look(t.Context(), time.Time{})
	require.NoError(t, err)
	return f
}

func (l *looker) family(name string) types.TaskDefinition {
	return l.aws.PutDefinition(types.TaskDefinition{
		Family:               &name,
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("shop/" + name + ":1"), Essential: aws.Bool(true)}},
	})
}

func (l *looker) tasks(name string, n int) []types.Task {
	d := l.family(name)
	var all []types.Task
	for range n {
		t := l.aws.NewTask("prod", d, awsfake.NewTask{})
		states := l.aws.Start(aws.ToString(t.TaskArn), time.Second)
		all = append(all, states[len(states)-1])
	}
	return all
}

var crashed = awsfake.Stop{
	Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", Exit: map[string]int32{"app": 3},
}

func TestLookTellsWhatTheQueueDidNot(t *testing.T) {
	l := newLooker(t)
	tasks := l.tasks("web", 230) // more than two pages
	l.tell(t, tasks...)
	before := len(l.stream.Events())
	f := l.look(t)
	assert.Equal(t, 230, f.tasks)
	assert.Equal(t, 1, f.workloads)
	assert.Zero(t, f.told, "all of it is known")

	var late []types.Task
	for _, one := range tasks[:150] {
		late = append(late, l.aws.Stop(aws.ToString(one.TaskArn), crashed)...)
	}
	f = l.look(t)
	assert.Equal(t, 150, f.told)
	stops := l.stream.Events()[before:]
	require.Len(t, stops, 150)
	for _, e := range stops {
		assert.Equal(t, event.TaskStopped, e.Type)
		assert.Equal(t, event.ObservedReconcile, e.Data.Observed)
		assert.Equal(t, "exit.error", e.Data.Cause.Class)
	}
	calls := l.aws.Count("ecs:DescribeTasks")
	assert.Zero(t, l.look(t).told)
	assert.Equal(t, calls+1, l.aws.Count("ecs:DescribeTasks"), "ends that are told are not asked for again")

	l.tell(t, late...) // they come after all
	again, first := verdicts(l.stream.Events())
	assert.Len(t, again, 150)
	for id, n := range first {
		assert.Equal(t, 1, n, id)
		assert.Empty(t, again[id].Data.Supersedes)
	}
	require.NoError(t, l.stream.Faults())
}

func TestLookGoesOnWhereAnotherEnded(t *testing.T) {
	l := newLooker(t)
	tasks := l.tasks("web", 20)
	l.tell(t, tasks...)
	for _, one := range tasks {
		l.aws.Stop(aws.ToString(one.TaskArn), crashed)
	}
	l.stream.Refuse(true)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := l.r.look(ctx, time.Time{})
	require.Error(t, err)
	l.stream.Refuse(false)
	l.start(t) // the process began anew
	require.NoError(t, l.m.resume(t.Context(), l.r.publish))
	l.look(t)
	last, first := verdicts(l.stream.Events())
	assert.Len(t, last, 20)
	for id, n := range first {
		assert.Equal(t, 1, n, id)
	}
}

func TestTaskThatNobodyKnowsVanished(t *testing.T) {
	l := newLooker(t)
	tasks := l.tasks("web", 3)
	l.tell(t, tasks...)
	l.aws.RemoveTask(aws.ToString(tasks[0].TaskArn))
	assert.Zero(t, l.look(t).told, "ECS may not know of it yet")

	k := &look{reconciler: l.r, cluster: aws.ToString(tasks[0].ClusterArn), workloads: map[string]bool{}}
	listed := map[string]bool{aws.ToString(tasks[1].TaskArn): true, aws.ToString(tasks[2].TaskArn): true}
	require.NoError(t, k.lost(t.Context(), l.m.live(k.cluster), listed, time.Now().Add(2*listedAfter)))
	assert.Equal(t, 1, k.vanished)
	stops := l.stream.Of(event.TaskStopped, lastPart(aws.ToString(tasks[0].TaskArn)))
	require.Len(t, stops, 1)
	c := stops[0].Data.Cause
	assert.Equal(t, "unknown.lost", c.Class)
	assert.Contains(t, c.Say, "vanished")
	require.NoError(t, k.lost(t.Context(), l.m.live(k.cluster), listed, time.Now().Add(2*listedAfter)))
	assert.Len(t, l.stream.Of(event.TaskStopped, lastPart(aws.ToString(tasks[0].TaskArn))), 1, "once")

	listed = nil // in no list, and ECS knows them by name
	require.NoError(t, k.lost(t.Context(), l.m.live(k.cluster), listed, time.Now().Add(2*listedAfter)))
	assert.Equal(t, 1, k.vanished)
}

func TestHealthIsTold(t *testing.T) {
	l := newLooker(t)
	one := l.tasks("web", 1)[0]
	l.tell(t, one)
	id := lastPart(aws.ToString(one.TaskArn))
	for i, health := range []types.HealthStatus{types.HealthStatusUnhealthy, types.HealthStatusUnhealthy, types.HealthStatusHealthy} {
		one.HealthStatus, one.Containers[0].HealthStatus = health, health
		one = l.aws.PutTask(one)
		l.look(t)
		assert.Len(t, l.stream.Of(event.TaskUnhealthy, id), 1, i)
	}
	assert.Len(t, l.stream.Of(event.TaskHealthy, id), 1)
	assert.Contains(t, l.stream.Of(event.TaskUnhealthy, id)[0].Data.Message, "container app fails its health check")
}

func TestServiceBelowItsNumberIsToldOnce(t *testing.T) {
	l := newLooker(t)
	d := l.family("pay")
	s := types.Service{ServiceName: aws.String("pay"), TaskDefinition: d.TaskDefinitionArn, DesiredCount: 3, RunningCount: 3, Tags: []types.Tag{{Key: aws.String("bellbuoy:owner"), Value: aws.String("till")}}}
	told := func() (list []event.Event) {
		for _, e := range l.stream.Events() {
			if e.Type == event.ServiceUpdated {
				list = append(list, e)
			}
		}
		return list
	}
	set := func(running int32) {
		s.RunningCount = running
		s = l.aws.PutService("prod", s)
		l.look(t)
	}
	set(3)
	assert.Empty(t, told())
	set(1)
	set(0)
	require.Len(t, told(), 1)
	e := told()[0]
	assert.Equal(t, "pay runs 1 of 3 tasks, and no deployment is under way", e.Data.Message)
	assert.Equal(t, event.Counts{Desired: 3, Running: 1}, *e.Data.Service.Counts)
	assert.Equal(t, "till", e.Data.Owner)
	assert.Equal(t, event.Warn, e.Severity)
	l.start(t)
	l.look(t)
	assert.Len(t, told(), 1, "a restart tells nothing again")
	set(3)
	require.Len(t, told(), 2)
	assert.Equal(t, "at_desired", told()[1].Data.Service.Event)
	assert.NotEqual(t, told()[0].ID, told()[1].ID)

	s.Deployments[0].RolloutState = types.DeploymentRolloutStateInProgress
	set(2)
	assert.Len(t, told(), 2, "it is being deployed")
}

// What is known of a service is written again before the bucket lets it go, and a count that begins anew repeats
// no identity.
func TestShortfallOutlivesTheBucket(t *testing.T) {
	l := newLooker(t)
	d := l.family("pay")
	l.aws.PutService("prod", types.Service{ServiceName: aws.String("pay"), TaskDefinition: d.TaskDefinitionArn, DesiredCount: 3, RunningCount: 1})
	require.Equal(t, 1, l.look(t).told)
	cluster := l.aws.ClusterARN("prod")
	key := "s." + clusterKey(cluster) + ".pay"
	old := time.Now().Add(-refreshAfter - time.Hour).Unix()
	require.NoError(t, update(t.Context(), l.m.shelf, key, func(v *shortfall) bool { v.Saved = old; return true }))
	assert.Zero(t, l.look(t).told)
	kept, _, err := read[shortfall](t.Context(), l.m.shelf, key, 0)
	require.NoError(t, err)
	assert.Greater(t, kept.Saved, old)
	assert.EqualValues(t, 1, kept.Count)

	k := &look{reconciler: l.r, cluster: cluster}
	id := func(saved int64) string {
		return k.serviceEvent(&service{ARN: "arn:pay", Name: "pay"}, shortfall{true, 1, saved}).ID
	}
	assert.Equal(t, id(1_795_600_000), id(1_795_600_001))
	assert.NotEqual(t, id(1_795_600_000), id(1_795_600_000+8*24*3600))
}

func TestLookOutlastsTrouble(t *testing.T) {
	l := newLooker(t)
	tasks := l.tasks("web", 120)
	for _, op := range []string{"ecs:ListClusters", "ecs:ListTasks", "ecs:DescribeTasks", "ecs:ListServices"} {
		l.proxy.Add(awsproxy.Rule{Op: op, Times: 1, Fault: awsproxy.Reset})
		l.proxy.Add(awsproxy.Rule{Op: op, Times: 1, Skip: 1, Fault: awsproxy.LoseResponse})
	}
	l.proxy.Add(awsproxy.Rule{Op: "ecs:DescribeTasks", Times: 1, Fault: awsproxy.Throttled})
	f := l.look(t)
	assert.Equal(t, len(tasks), f.told)
	assert.Len(t, l.stream.Events(), len(tasks))
}

// One cluster that can't be asked does not keep the others from it, and what is missing is named.
func TestDeniedClusterIsNamed(t *testing.T) {
	l := newLooker(t)
	l.tasks("web", 2)
	l.aws.PutCluster("dark")
	l.cfg.Clusters = []string{"dark", "prod"}
	l.start(t)
	l.proxy.Add(awsproxy.Rule{Op: "ecs:ListTasks", Times: 1, Fault: awsproxy.Denied})
	f, err := l.r.look(t.Context(), time.Time{})
	require.ErrorContains(t, err, "cluster dark: ecs:ListTasks of cluster dark: AccessDeniedException")
	require.ErrorContains(t, err, "allow ecs:ListTasks on cluster dark")
	assert.Equal(t, 2, f.told)
}

func TestKnownClustersAreComparedThoughNoneMayBeListed(t *testing.T) {
	l := newLooker(t)
	tasks := l.tasks("web", 2)
	l.tell(t, tasks...)
	l.aws.Stop(aws.ToString(tasks[0].TaskArn), crashed)
	l.proxy.Add(awsproxy.Rule{Op: "ecs:ListClusters", Fault: awsproxy.Denied})
	f, err := l.r.look(t.Context(), time.Time{})
	require.ErrorContains(t, err, "allow ecs:ListClusters on the account")
	assert.Equal(t, 1, f.told)
}

func TestSilentQueueIsToldOnce(t *testing.T) {
	l := newLooker(t)
	now := time.Now()
	f := finding{told: 3, missing: 2, since: now.Add(-5 * time.Minute)}
	before := now.Add(-10 * time.Minute)
	judge := func(heard time.Time, f finding) { l.r.judgeFeed(t.Context(), heard, before, f) }

	judge(now.Add(-time.Minute), f)
	assert.Empty(t, l.reporter.Gaps(), "events come: one was lost, or is late")
	judge(time.Time{}, finding{told: 3})
	assert.Empty(t, l.reporter.Gaps(), "nothing is late yet")
	judge(now.Add(-time.Hour), f)
	judge(now.Add(-time.Hour), f)
	require.Len(t, l.reporter.Gaps(), 1)
	g := l.reporter.Gaps()[0]
	for _, advice := range []string{"rule is enabled", "events.amazonaws.com", "key"} {
		assert.Contains(t, g.Reason, advice)
	}
	assert.Equal(t, 3, g.Reconciled)
	judge(now, finding{})
	judge(now.Add(-time.Hour), f)
	assert.Len(t, l.reporter.Gaps(), 2, "it came back and went again")
}

// What a look finds counts as missing if its event should have come by now.
func TestLateIsWhatShouldHaveCome(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := &look{reconciler: &reconciler{publish: func(context.Context, out) error { return nil }}, before: now.Add(-time.Hour)}
	for _, ago := range []time.Duration{time.Second, 3 * time.Minute, 9 * time.Minute, 2 * time.Hour} {
		require.NoError(t, l.tell(t.Context(), out{event: event.Event{Time: now.Add(-ago)}}))
	}
	assert.EqualValues(t, 4, l.told.Load())
	assert.EqualValues(t, 2, l.missing.Load())
	assert.Equal(t, now.Add(-9*time.Minute), *l.since.Load())
}

// BenchmarkLook compares 10,000 tasks in 20 clusters within half of what AWS allows, against a stand-in that
// throttles as documented: all of them new, and all of them known.
func BenchmarkLook(b *testing.B) {
	environment(b)
	fake := awsfake.Start(b, awsfake.Options{Buckets: true})
	q := fake.CreateQueue("events", nil)
	d := fake.PutDefinition(types.TaskDefinition{
		Family: aws.String("web"), ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("web:1")}},
	})
	const clusters, tasks = 20, 500
	for c := range clusters {
		name := fmt.Sprintf("prod-%d", c)
		fake.PutService(name, types.Service{ServiceName: aws.String("web"), TaskDefinition: d.TaskDefinitionArn, DesiredCount: tasks, RunningCount: tasks})
		for range tasks {
			fake.Start(aws.ToString(fake.NewTask(name, d, awsfake.NewTask{Service: "web"}).TaskArn), time.Second)
		}
	}
	for _, quiet := range []bool{false, true} {
		b.Run(map[bool]string{false: "first", true: "quiet"}[quiet], func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				cfg := DefaultConfig()
				cfg.QueueURL, cfg.Endpoint = q.URL, fake.URL
				c, err := New(cfg, Deps{Site: "test", Node: "node", Publisher: &collectortest.Stream{}, Bucket: newMemoryStore(), AWS: loader(b)})
				require.NoError(b, err)
				_, r := c.parts()
				if quiet {
					_, err := r.look(b.Context(), time.Time{})
					require.NoError(b, err)
				}
				calls := fake.Count("ecs:ListClusters") + fake.Count("ecs:ListTasks") + fake.Count("ecs:DescribeTasks") + fake.Count("ecs:ListServices") + fake.Count("ecs:DescribeServices")
				b.StartTimer()
				f, err := r.look(b.Context(), time.Time{})
				b.StopTimer()
				require.NoError(b, err)
				require.Equal(b, clusters*tasks, f.tasks)
				require.Zero(b, fake.Throttled())
				calls = fake.Count("ecs:ListClusters") + fake.Count("ecs:ListTasks") + fake.Count("ecs:DescribeTasks") + fake.Count("ecs:ListServices") + fake.Count("ecs:DescribeServices") - calls
				b.ReportMetric(float64(calls), "calls")
				b.ReportMetric(float64(fake.Throttled()), "throttled")
				b.StartTimer()
			}
		})
	}
}
