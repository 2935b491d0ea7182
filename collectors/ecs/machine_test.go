package ecs

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const (
	testCluster = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod"
	testTask    = "arn:aws:ecs:eu-west-1:123456789012:task/prod/0123456789abcdef0123456789abcdef"
	testHost    = "arn:aws:ecs:eu-west-1:123456789012:container-instance/prod/fedcba9876543210fedcba9876543210"
)

var testBegin = time.Date(2026, 11, 3, 2, 0, 0, 0, time.UTC)

func sec(seconds int) time.Time { return testBegin.Add(time.Duration(seconds) * time.Second) }

// life makes the versions of one task's life, each from the one before.
type life struct {
	task  task
	facts []*fact
}

func newLife(group, startedBy string) *life {
	return &life{task: task{
		ARN: testTask, Cluster: testCluster, Definition: "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:42",
		Group: group, StartedBy: startedBy, DesiredStatus: "RUNNING", LaunchType: "FARGATE",
		Created: sec(0), Containers: []container{{Name: "app", Image: "shop/web:42", Status: "PENDING"}},
	}}
}

// then adds a version.
func (l *life) then(status string, change func(*task)) *life {
	l.task.LastStatus = status
	l.task.Version++
	l.task.Updated = sec(10 * int(l.task.Version))
	if change != nil {
		change(&l.task)
	}
	t := l.task
	t.Containers = slices.Clone(t.Containers)
	l.facts = append(l.facts, factOfTest(&t))
	return l
}

func (l *life) last() *fact { return l.facts[len(l.facts)-1] }

// factOfTest is the fact of a task, as it is told when its state changes.
func factOfTest(t *task) *fact {
	f := factOf(*t, origin{Site: "test"}, event.ObservedStream)
	f.event.Recorded = t.Updated
	return &f
}

func code(n int64) *int64 { return &n }

// published is what a stream keeps: each id once.
type published struct {
	events []event.Event
	all    int // with what the stream dropped
	fail   func(out) error
}

func (p *published) tell(_ context.Context, o out) error {
	if p.fail != nil {
		if err := p.fail(o); err != nil {
			return err
		}
	}
	p.all++
	if o.event.Recorded.IsZero() { // as the supervisor does
		o.event.Recorded = time.Now().UTC()
	}
	if !slices.ContainsFunc(p.events, func(e event.Event) bool { return e.ID == o.event.ID }) {
		p.events = append(p.events, o.event)
	}
	return nil
}

func (p *published) types() string {
	names := make([]string, len(p.events))
	for i, e := range p.events {
		names[i] = e.Type.Event()
		if e.Data.Supersedes != "" {
			names[i] += "*"
		}
	}
	return strings.Join(names, " ")
}

func (p *published) stops() (out []event.Event) {
	for _, e := range p.events {
		if e.Type == event.TaskStopped {
			out = append(out, e)
		}
	}
	return out
}

func testMachine(s Store) *machine { return newMachine(machineOptions{Store: s, Table: cause.ECS()}) }

// scaleIn is a service's task on EC2 that ignores SIGTERM.
func scaleIn() *life {
	l := newLife("service:web", "ecs-svc/1")
	l.task.LaunchType, l.task.Instance = "EC2", testHost
	running := func(t *task) {
		t.Started = sec(30)
		t.Containers = []container{{Name: "app", Image: "shop/web:42", Digest: "sha256:0123456789abcdef", Status: "RUNNING"}}
	}
	stopping := func(t *task) {
		t.DesiredStatus, t.Stopping = "STOPPED", sec(600)
		t.StopCode, t.StoppedReason = "ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)"
	}
	ended := func(t *task) {
		t.ExecutionStopped = sec(630)
		t.Containers = []container{{Name: "app", Image: "shop/web:42", Digest: "sha256:0123456789abcdef", Status: "STOPPED", ExitCode: code(137)}}
	}
	l.then("PROVISIONING", nil).then("PENDING", nil).then("RUNNING", running).then("RUNNING", stopping)
	return l.then("STOPPED", func(t *task) { ended(t); t.Stopped = sec(631) })
}

func handleAll(t testing.TB, m *machine, p *published, facts ...*fact) {
	t.Helper()
	for _, f := range facts {
		require.NoError(t, m.handle(t.Context(), f, p.tell))
	}
}

func TestALifeInOrder(t *testing.T) {
	t.Parallel()
	m, p := testMachine(nil), &published{}
	handleAll(t, m, p, scaleIn().facts...)
	assert.Equal(t, "created updated started stopping stopped", p.types())
	stop := p.stops()[0]
	require.NotNil(t, stop.Data.Cause)
	assert.Equal(t, "scheduler.scaling", stop.Data.Cause.Class)
	assert.True(t, stop.Data.Cause.Expected)
	assert.Equal(t, "SIGKILL", stop.Data.Task.Containers[0].Signal)
	assert.Equal(t, event.StateStopping, stop.Data.Task.PreviousState)
	assert.Equal(t, "ecs-svc/1", stop.Data.Cause.InitiatorName)
	require.NoError(t, event.Validate(&stop))
	assert.Empty(t, m.live(testCluster))

	handleAll(t, m, p, scaleIn().facts...)
	assert.Equal(t, 5, p.all, "what was told is not told again")
}
