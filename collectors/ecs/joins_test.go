package ecs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// fakeAsker answers what is set; an empty one fails.
type fakeAsker struct {
	def  *definition
	svc  *service
	wait bool // never answers
}

func (a *fakeAsker) definition(ctx context.Context, _ string) (*definition, error) {
	if a.wait {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if a.def == nil {
		return nil, errors.New("throttled")
	}
	return a.def, nil
}

func (a *fakeAsker) service(ctx context.Context, _, _ string) (*service, error) {
	if a.wait {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if a.svc == nil {
		return nil, errors.New("throttled")
	}
	return a.svc, nil
}

// sidecars is a task of three containers, of which migrate failed first.
func sidecars() *life {
	l := newLife("service:web", "ecs-svc/1").then("RUNNING", func(t *task) {
		t.Started = sec(30)
		t.Containers = []container{
			{Name: "app", Image: "shop/web:42", Status: "RUNNING"},
			{Name: "log", Image: "fluent:1", Status: "RUNNING"},
			{Name: "migrate", Image: "shop/migrate:42", Status: "RUNNING"},
			{Name: "guard", Status: "RUNNING"},
		}
	})
	l.then("DEPROVISIONING", func(t *task) {
		t.DesiredStatus, t.StopCode, t.StoppedReason = "STOPPED", "EssentialContainerExited", "Essential container in task exited"
		t.ExecutionStopped = sec(60)
		t.Containers = []container{
			{Name: "app", Image: "shop/web:42", Status: "STOPPED", ExitCode: code(1)},
			{Name: "log", Image: "fluent:1", Status: "STOPPED", ExitCode: code(2)},
			{Name: "migrate", Image: "shop/migrate:42", Status: "STOPPED", ExitCode: code(3)},
			{Name: "guard", Status: "STOPPED"},
		}
	})
	return l.then("STOPPED", nil)
}

func sidecarDefinition() *definition {
	return &definition{Containers: []definedContainer{
		{Name: "app", Essential: true, DependsOn: []string{"migrate"}},
		{Name: "log"},
		{Name: "migrate", Essential: true, LogGroup: "/ecs/web", LogPrefix: "web"},
	}}
}

func TestTheContainerThatFailedFirst(t *testing.T) {
	t.Parallel()
	ask := &fakeAsker{def: sidecarDefinition(), svc: &service{Tags: map[string]string{"bellbuoy:owner": "payments", "team": "shop", "api-token": "0123456789abcdef0123"}}}
	m, p := testMachine(nil), &published{}
	m.ask = ask
	l := sidecars()
	handleAll(t, m, p, l.facts[:2]...)
	d := p.stops()[0].Data
	assert.Equal(t, "migrate", d.Task.Containers[0].Name)
	assert.Equal(t, "migrate", d.Cause.Container)
	assert.Equal(t, "exit.error", d.Cause.Class)
	assert.Equal(t, "in CloudWatch Logs: group /ecs/web, stream web/migrate/"+lastPart(testTask), d.Task.Log.None)
	assert.False(t, *d.Task.Containers[len(d.Task.Containers)-1].Essential, "%v", d.Task.Containers)
	assert.Equal(t, "payments", d.Owner)
	assert.Equal(t, "shop", d.Labels["team"])
	assert.NotContains(t, fmt.Sprint(d.Labels), "0123456789abcdef0123")

	// AWS does not answer any more: what it said before still holds.
	*ask = fakeAsker{}
	handleAll(t, m, p, l.facts[2])
	assert.Equal(t, "started stopped updated", p.types())
}

func TestAnAskerThatDoesNotAnswerKeepsNothingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, p := testMachine(nil), &published{}
		m.ask = &fakeAsker{wait: true}
		begin := time.Now()
		handleAll(t, m, p, sidecars().facts[:2]...)
		assert.Equal(t, askBound, time.Since(begin))
		assert.Len(t, p.stops(), 1)
	})
}

// recent is a scale-in that is being told as it happens.
func recent() *life {
	l := scaleIn()
	shift := time.Since(sec(600))
	for _, f := range l.facts {
		t := f.task
		for _, at := range []*time.Time{&t.Created, &t.Started, &t.Stopping, &t.ExecutionStopped, &t.Stopped, &t.Updated} {
			if !at.IsZero() {
				*at = at.Add(shift)
			}
		}
		*f = *factOfTest(t)
	}
	return l
}

func TestADeployThatOnlyTheServiceTells(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		svc   service
		class string
		life  *life
	}{
		"under way":      {service{Deployments: []string{"ecs-svc/9", "ecs-svc/1"}, InProgress: "ecs-svc/9"}, "deploy.replaced", recent()},
		"none":           {service{Deployments: []string{"ecs-svc/1"}}, "scheduler.scaling", recent()},
		"done":           {service{Deployments: []string{"ecs-svc/9"}}, "deploy.replaced", recent()},
		"the stop's own": {service{Deployments: []string{"ecs-svc/1"}, InProgress: "ecs-svc/1"}, "scheduler.scaling", recent()},
		"long ago":       {service{Deployments: []string{"ecs-svc/9", "ecs-svc/1"}, InProgress: "ecs-svc/9"}, "scheduler.scaling", scaleIn()},
	} {
		m, p := testMachine(nil), &published{}
		ask := &fakeAsker{svc: &tt.svc}
		m.ask = ask
		handleAll(t, m, p, tt.life.facts...)
		assert.Equal(t, tt.class, p.stops()[0].Data.Cause.Class, name)
		assert.Len(t, p.stops(), 1, name)
	}
}

// sibling is another task of the service, with its own id, deployment and image.
func sibling(id, by, image, digest string, created int) *life {
	l := newLife("service:web", by)
	l.task.ARN = testTask[:len(testTask)-len(id)] + id
	l.task.Definition = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:" + image
	l.task.Created = sec(created)
	l.task.Containers = []container{{Name: "app", Image: "shop/web:" + image}}
	return l.then("PENDING", nil).then("RUNNING", func(t *task) {
		t.Started = sec(created + 20)
		t.Containers = []container{{Name: "app", Image: "shop/web:" + image, Digest: digest, Status: "RUNNING"}}
	})
}

// The first task of another deployment tells of it, where no rule sends the events of deployments; a task that it
// replaced is amended if it was told before.
func TestATaskTellsOfADeployment(t *testing.T) {
	t.Parallel()
	m, p := testMachine(nil), &published{}
	handleAll(t, m, p, scaleIn().facts...)
	next := sibling("99", "ecs-svc/2", "43", "sha256:fedcba9876543210", 580)
	handleAll(t, m, p, next.facts...)
	stops := p.stops()
	require.Len(t, stops, 2)
	assert.Equal(t, "deploy.replaced", stops[1].Data.Cause.Class)
	assert.Equal(t, "ecs-svc/2", stops[1].Data.Cause.InitiatorName)
	assert.Equal(t, stops[0].ID, stops[1].Data.Supersedes)

	// What changed is told of the new one, not of the old.
	started := p.events[len(p.events)-1]
	assert.Equal(t, []event.Change{
		{What: "revision", From: "web:42", To: "web:43"},
		{What: "image", From: "shop/web:42", To: "shop/web:43"},
		{What: "digest", From: "sha256:0123456789abcdef", To: "sha256:fedcba9876543210"},
	}, started.Data.Changed)
	next.then("STOPPED", func(t *task) {
		t.DesiredStatus, t.StopCode, t.StoppedReason = "STOPPED", "EssentialContainerExited", "Essential container in task exited"
		t.Containers[0].Digest, t.Containers[0].ExitCode = "", code(1) // what has ended may be without a digest
	})
	handleAll(t, m, p, next.last())
	stop := p.stops()[2]
	assert.Len(t, stop.Data.Changed, 3)
	assert.Equal(t, "web:43@fedcba98", stop.Data.Revision, "it stays what it was")
	assert.Empty(t, stops[0].Data.Changed)
}

func TestARollbackIsADeployToo(t *testing.T) {
	t.Parallel()
	w := &workload{}
	for _, d := range []deployment{
		{ID: "1", At: 100, State: "completed"},
		{ID: "2", At: 200, State: "in_progress"},
		{ID: "2", At: 290, State: "failed"},
		{ID: "1", At: 300_000, State: "rolling_back"},
	} {
		w.upsert(d)
	}
	assert.Equal(t, "2", w.successor("1", 250))
	assert.Equal(t, "1", w.successor("2", 310_000))
	assert.Empty(t, w.successor("1", 310_000))
	assert.Empty(t, w.successor("1", 300), "a deployment that failed replaces nothing afterwards")
	for i := range 3 * maxDeployments {
		w.upsert(deployment{ID: fmt.Sprint("n", i), At: int64(i)})
	}
	assert.Len(t, w.Deployments, maxDeployments)
}

func TestHealthIsToldWhenItTurns(t *testing.T) {
	t.Parallel()
	m, p := testMachine(nil), &published{}
	l := newLife("service:web", "ecs-svc/1").then("RUNNING", nil)
	again := func(health string) {
		f := *l.last()
		task := *f.task
		task.Health = health
		task.Containers = []container{{Name: "app", Health: health}}
		f.task = &task
		handleAll(t, m, p, &f)
	}
	for _, health := range []string{"UNKNOWN", "HEALTHY", "UNHEALTHY", "UNHEALTHY", "HEALTHY", "UNHEALTHY"} {
		again(health)
	}
	assert.Equal(t, "started unhealthy healthy unhealthy", p.types())
	bad := p.events[1]
	require.NoError(t, event.Validate(&bad))
	assert.Equal(t, event.StateUnhealthy, bad.Data.Task.State)
	assert.Equal(t, "web/0123456789ab is unhealthy: container app fails its health check", bad.Data.Message)
}

func TestOwnStopIsTheHandlers(t *testing.T) {
	t.Parallel()
	m, p := testMachine(nil), &published{}
	handleAll(t, m, p, newLife("service:web", "ecs-svc/1").then("STOPPED", func(t *task) {
		t.DesiredStatus, t.StopCode, t.StoppedReason = "STOPPED", "UserInitiated", event.OwnStop+"hung: unhealthy for 10m"
	}).facts...)
	assert.Equal(t, "handler.restart", p.stops()[0].Data.Cause.Class)
}

// What is told of a task before any of its states is kept for them.
func TestARequestIsKnownBeforeItsTask(t *testing.T) {
	t.Parallel()
	s := stories()[5]
	m, p := testMachine(nil), &published{}
	last := len(s.facts) - 1
	handleAll(t, m, p, s.facts[last])
	assert.Empty(t, m.live(testCluster))
	handleAll(t, m, p, s.facts[:last]...)
	assert.Equal(t, "created updated started stopped updated", p.types())
	assert.Equal(t, "alice", p.stops()[0].Data.Cause.InitiatorName)
	s.verify(t, m, p)
}

// A machine that begins again goes on where another ended, and keeps what the bucket would let go.
func TestLoadGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, p := newMemoryStore(), &published{}
		m := testMachine(store)
		handleAll(t, m, p, scaleIn().facts[:3]...)
		handleAll(t, m, p, sibling("98", "ecs-svc/1", "42", "sha256:0123456789abcdef", 0).facts...)
		before := store.revision
		for range 2 {
			<-time.After(refreshAfter + time.Hour)
			m = testMachine(store)
			require.NoError(t, m.load(t.Context()))
			assert.Len(t, m.live(testCluster), 2)
			require.NoError(t, m.load(t.Context()))
		}
		assert.Equal(t, before+2*3, store.revision, "two tasks and their workload, each time once")
		require.NoError(t, m.resume(t.Context(), p.tell))
		handleAll(t, m, p, scaleIn().facts...)
		assert.Equal(t, "created updated started created started stopping stopped", p.types())
		m = testMachine(store)
		require.NoError(t, m.load(t.Context()))
		assert.Len(t, m.live(testCluster), 1)
		assert.Empty(t, m.live("arn:aws:ecs:eu-west-1:123456789012:cluster/other"))
	})
}

func TestATaskThatCantBeReadIsToldAndLeft(t *testing.T) {
	t.Parallel()
	store, p := newMemoryStore(), &published{}
	_, _, err := store.Put(t.Context(), taskKey(testCluster, testTask), []byte(`{"v":99}`), 0)
	require.NoError(t, err)
	m := testMachine(store)
	require.NoError(t, m.load(t.Context()))
	require.ErrorIs(t, m.handle(t.Context(), scaleIn().facts[0], p.tell), errFormat)
	assert.Zero(t, p.all)
}

// A fact of no task is told, and what it notes is kept.
func TestFactsWithoutATask(t *testing.T) {
	t.Parallel()
	m, p := testMachine(nil), &published{}
	f := &fact{event: event.Event{ID: "1", Type: event.DeploymentUpdated}, note: &note{Deployment: "ecs-svc/2", Cluster: testCluster, Service: "web", State: "in_progress", At: sec(0)}}
	handleAll(t, m, p, f, f)
	assert.Equal(t, 2, p.all, "it has no version to remember")
	w, _, err := read[workload](t.Context(), m.shelf, workloadKey(testCluster, "web", ""), -1)
	require.NoError(t, err)
	assert.Equal(t, []deployment{{ID: "ecs-svc/2", At: sec(0).UnixMilli(), Noted: true, State: "in_progress", Since: sec(0).UnixMilli(), Weighed: true}}, w.Deployments)
}

func TestKeysOfTheOldAndTheNewForm(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "t.eu-west-1.123456789012.prod.0123456789abcdef0123456789abcdef", taskKey(testCluster, testTask))
	assert.Equal(t, taskKey(testCluster, testTask), taskKey("", testTask))
	old := "arn:aws:ecs:eu-west-1:123456789012:task/0f9de17a-a465-4e1b-8b0d-2b9d1c0f1c11"
	assert.Equal(t, "t.eu-west-1.123456789012.prod.0f9de17a-a465-4e1b-8b0d-2b9d1c0f1c11", taskKey(testCluster, old))
	assert.Equal(t, "t._._.x.x", taskKey("", "x"))
	assert.Equal(t, "w.eu-west-1.123456789012.prod.s.a=2Fb", workloadKey(testCluster, "a/b", "x"))
	assert.Equal(t, testCluster, clusterIn(testHost))
}

// Records without a version go by the order of the words, and an end is told once.
func TestRecordsWithoutAVersion(t *testing.T) {
	t.Parallel()
	m, p := testMachine(nil), &published{}
	l := scaleIn()
	for i, f := range l.facts {
		f.task.Version = 0
		f.event.ID = fmt.Sprint(i)
	}
	handleAll(t, m, p, l.facts[0], l.facts[2], l.facts[1], l.facts[4], l.facts[4], l.facts[3])
	assert.Equal(t, "created started updated stopped stopping", p.types())
}

func TestNearMissesForAReplay(t *testing.T) {
	t.Parallel()
	var near []cause.Near
	m := newMachine(machineOptions{Table: cause.ECS(), Near: true})
	for _, f := range scaleIn().facts {
		require.NoError(t, m.handle(t.Context(), f, func(_ context.Context, o out) error {
			near = append(near, o.near...)
			return nil
		}))
	}
	assert.NotEmpty(t, near)
}

// A warning that comes before any task can have ended by it costs no look at all that is saved; one that comes late
// amends what was told.
func TestSpotWarningsOfStrangersAreCheap(t *testing.T) {
	t.Parallel()
	store := &countingStore{Store: newMemoryStore()}
	m := newMachine(machineOptions{Store: store, Table: cause.ECS()})
	tell := func(context.Context, out) error { return nil }
	require.NoError(t, m.handle(t.Context(), noted(note{EC2: "i-0stranger", Spot: true, At: time.Now()}), tell))
	assert.Zero(t, store.scans)
	require.NoError(t, m.handle(t.Context(), noted(note{EC2: "i-0late", Spot: true, At: time.Now().Add(-time.Hour)}), tell))
	assert.Equal(t, 1, store.scans)
}

// countingStore counts how often all that is saved is read.
type countingStore struct {
	Store
	scans int
}

func (s *countingStore) Each(ctx context.Context, filter string, do func(string, []byte, uint64) error) error {
	s.scans++
	return s.Store.Each(ctx, filter, do)
}
