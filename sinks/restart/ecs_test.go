package restart

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// wire carries requests to the stand-in without a socket, so that they pass in virtual time, and fails as told.
type wire struct {
	aws *awsfake.AWS

	mu     sync.Mutex
	called []string
	lose   map[string]int // answers of an operation to lose
	refuse map[string]int // calls of an operation to throttle
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	w.called = append(w.called, op)
	refuse, lose := w.refuse[op] > 0, w.lose[op] > 0
	if refuse {
		w.refuse[op]--
	} else if lose {
		w.lose[op]--
	}
	w.mu.Unlock()
	rec := httptest.NewRecorder()
	if refuse {
		rec.Header().Set("Content-Type", "application/x-amz-json-1.1")
		rec.WriteHeader(http.StatusBadRequest)
		_, _ = rec.WriteString(`{"__type":"ThrottlingException","message":"Rate exceeded"}`)
		return rec.Result(), nil
	}
	w.aws.ServeHTTP(rec, r)
	if lose {
		return nil, errors.New("connection reset by peer")
	}
	return rec.Result(), nil
}

// writes are the calls that change something.
func (w *wire) writes() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, op := range w.called {
		if !strings.HasPrefix(op, "Describe") {
			list = append(list, op)
		}
	}
	return list
}

// rig is a handler before a stand-in of ECS.
type rig struct {
	*world
	t    *testing.T
	aws  *awsfake.AWS
	wire *wire
	h    *Handler
	cfg  Config
}

const testAccount, testRegion = "123456789012", "eu-west-1"

// onWire runs a test in virtual time.
func onWire(t *testing.T, change func(*Config), test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{world: newWorld(), t: t, aws: awsfake.New(awsfake.Options{Account: testAccount, Region: testRegion})}
		r.wire = &wire{aws: r.aws, lose: map[string]int{}, refuse: map[string]int{}}
		r.cfg = DefaultConfig()
		r.cfg.Mode = Act
		if change != nil {
			change(&r.cfg)
		}
		r.begin()
		test(r)
		require.NoError(t, r.h.Close())
	})
}

// begin starts a handler with the ledger as it is.
func (r *rig) begin() {
	h, err := New(r.cfg, Deps{Name: "healer", Node: "n1", Publisher: r.world, Ledger: r.world, Restarters: map[event.Runtime]Restarter{event.Docker: r.world}})
	require.NoError(r.t, err)
	h.cloud.places[place{testAccount, testRegion}] = &account{ecs.NewFromConfig(aws.Config{
		Region: testRegion, BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: &http.Client{Transport: r.wire},
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
		Retryer:     func() aws.Retryer { return awsclient.Retryer(0) },
	})}
	r.h = h
}

var optIn = []types.Tag{{Key: aws.String(tagRestart), Value: aws.String("enabled")}}

// running starts a task of a family, for a service if that is named.
func (r *rig) running(family, service string) types.Task {
	d := r.aws.PutDefinition(types.TaskDefinition{
		Family: &family, ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String(family + ":1")}},
	})
	if service != "" {
		r.aws.PutService("prod", types.Service{ServiceName: &service, TaskDefinition: d.TaskDefinitionArn, DesiredCount: 3, RunningCount: 3, Tags: optIn})
	}
	n := awsfake.NewTask{Service: service, LaunchType: types.LaunchTypeEc2}
	if service == "" {
		n.Tags = optIn
	}
	states := r.aws.Start(aws.ToString(r.aws.NewTask("prod", d, n).TaskArn), time.Second)
	return states[len(states)-1]
}

func (r *rig) event(t event.Type, task types.Task) event.Event {
	id := aws.ToString(task.TaskArn)
	id = id[strings.LastIndexByte(id, '/')+1:]
	name := serviceOf(&task)
	if name == "" {
		name = familyOf(&task)
	}
	return event.Event{
		ID: event.NewID(id, string(t)), Source: aws.ToString(task.ClusterArn), Type: t, Time: time.Now(), Recorded: time.Now(),
		Subject: event.SubjectOf("prod", name, id), PartitionKey: event.SubjectOf("prod", name, id),
		Data: event.Data{
			Site: "test", Runtime: event.ECS, Scope: "prod", Workload: name, Account: testAccount, Region: testRegion, Observed: event.ObservedStream,
			Task: &event.Task{ID: id, Run: id, State: event.StateRunning, StartedBy: aws.ToString(task.StartedBy)},
		},
	}
}

// hung is a task of a service whose health check fails, and the event that tells it.
func (r *rig) hung() (types.Task, event.Event) {
	t := r.running("web", "web")
	t.HealthStatus = types.HealthStatusUnhealthy
	t = r.aws.PutTask(t)
	return t, r.event(event.TaskUnhealthy, t)
}

// lost is a standalone task that the platform has lost, and the event that tells it.
func (r *rig) lost(class string) (types.Task, event.Event) {
	t := r.running("report", "")
	states := r.aws.Stop(aws.ToString(t.TaskArn), awsfake.Stop{Code: "SpotInterruption", Reason: "Your Spot Task was interrupted."})
	e := r.event(event.TaskStopped, t)
	e.Data.Task.State = event.StateStopped
	e.Data.Cause = &event.Cause{Class: class, Expected: true, Initiator: "platform", Say: "taken back by Spot"}
	return states[len(states)-1], e
}

func jobs(c *Config) { c.ECS.Families = []string{"report"} }

func (r *rig) finish(e event.Event) { finish(r.t, r.h, e) }

func TestHungTaskOfAServiceIsStoppedAndReplaced(t *testing.T) {
	t.Parallel()
	onWire(t, nil, func(r *rig) {
		task, e := r.hung()
		wait, err := deliver(r.t.Context(), r.h, e)
		require.NoError(r.t, err)
		assert.Positive(r.t, wait, "its effect is looked at")
		asked, _ := r.aws.Task(aws.ToString(task.TaskArn))
		assert.Equal(r.t, "STOPPED", aws.ToString(asked.DesiredStatus))
		assert.True(r.t, strings.HasPrefix(aws.ToString(asked.StoppedReason), event.OwnStop+"healer"), "a collector knows our own stop")
		r.aws.Move(aws.ToString(task.TaskArn), "STOPPED")
		r.finish(e)
		assert.Equal(r.t, []string{"StopTask"}, r.wire.writes())
		assert.Equal(r.t, event.ActionSucceeded, r.last().Type)
		assert.Contains(r.t, r.last().Data.Action.Reason, "it was replaced: 3 of 3 tasks")
		r.finish(e)
		assert.Equal(r.t, []string{"StopTask"}, r.wire.writes(), "a repeated event does nothing")

		// The stop comes back as an event. It is ours, and its service replaces the task.
		stop := r.event(event.TaskStopped, task)
		stop.Data.Cause = &event.Cause{Class: "handler.restart", Initiator: "handler", Expected: true, Say: "stopped by a restart handler"}
		told := len(r.published)
		r.finish(stop)
		assert.Equal(r.t, []string{"StopTask"}, r.wire.writes())
		assert.Len(r.t, r.published, told)
	})
}

func TestLostJobIsRunOnceMoreAndOnlyOnce(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*wire){
		"no fault":                func(*wire) {},
		"the answer is lost":      func(w *wire) { w.lose["RunTask"] = 1 },
		"lost again and again":    func(w *wire) { w.lose["RunTask"] = 7 },
		"throttled":               func(w *wire) { w.refuse["RunTask"] = 2 },
		"throttled and then lost": func(w *wire) { w.refuse["RunTask"], w.lose["RunTask"] = 6, 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onWire(t, jobs, func(r *rig) {
				_, e := r.lost("spot.interruption")
				fault(r.wire)
				for range 3 { // the handler is ended in between
					if _, err := deliver(r.t.Context(), r.h, e); err != nil {
						r.t.Log(err)
					}
					r.begin()
					<-time.After(2 * lease)
				}
				var ours []types.Task
				for _, one := range r.aws.Tasks("prod") {
					if strings.HasPrefix(aws.ToString(one.StartedBy), event.OwnStop) {
						ours = append(ours, one)
					}
				}
				require.Len(r.t, ours, 1)
				r.aws.Start(aws.ToString(ours[0].TaskArn), time.Second)
				r.finish(e)
				assert.Equal(r.t, event.ActionSucceeded, r.last().Type, r.told())
				assert.NotEmpty(r.t, r.last().Data.Action.Run)
			})
		})
	}
}

func TestServiceIsDeployedAnewOnceWithoutRetry(t *testing.T) {
	t.Parallel()
	allow := func(c *Config) { c.ECS.Redeploy = true }
	trouble := func(r *rig) event.Event {
		task := r.running("web", "web")
		e := r.event(event.ServiceUpdated, task)
		e.Subject, e.PartitionKey = "prod/web/", "prod/web/"
		e.Data.Task, e.Data.Service = nil, &event.Service{Name: "web", Event: "below_desired", Counts: &event.Counts{Desired: 3, Running: 1}}
		s := r.aws.Services("prod")[0]
		s.RunningCount = 1
		r.aws.PutService("prod", s)
		return e
	}
	onWire(t, nil, func(r *rig) {
		r.finish(trouble(r))
		assert.Empty(r.t, r.wire.writes(), "it is off unless it is allowed")
	})
	onWire(t, allow, func(r *rig) {
		r.wire.lose["UpdateService"] = 1
		e := trouble(r)
		wait, err := deliver(r.t.Context(), r.h, e)
		require.NoError(r.t, err)
		require.Positive(r.t, wait)
		s := r.aws.Services("prod")[0]
		require.Len(r.t, s.Deployments, 2, "the call has had its effect, and its answer was lost")
		s.Deployments = s.Deployments[:1]
		s.Deployments[0].RolloutState, s.RunningCount = types.DeploymentRolloutStateCompleted, 3
		r.aws.PutService("prod", s)
		r.finish(e)
		assert.Equal(r.t, []string{"UpdateService"}, r.wire.writes(), "without any retry")
		assert.Equal(r.t, event.ActionSucceeded, r.last().Type, r.told())
	})
	onWire(t, allow, func(r *rig) {
		r.wire.refuse["UpdateService"] = 1
		r.finish(trouble(r))
		assert.Equal(r.t, []string{"UpdateService"}, r.wire.writes())
		assert.Equal(r.t, event.ActionFailed, r.last().Type)
	})
}

func TestNothingIsWrittenInADryRun(t *testing.T) {
	t.Parallel()
	onWire(t, func(c *Config) { c.Mode = DryRun; jobs(c) }, func(r *rig) {
		_, hung := r.hung()
		_, lost := r.lost("spot.interruption")
		r.finish(hung)
		r.finish(lost)
		assert.Empty(r.t, r.wire.writes())
		assert.Equal(r.t, []string{"requested", "requested"}, typesOf(r.published))
	})
}

func TestEventsOfOtherAccountsAreLeftAlone(t *testing.T) {
	t.Parallel()
	onWire(t, nil, func(r *rig) {
		_, e := r.hung()
		e.Data.Account = "210987654321"
		r.finish(e)
		assert.Empty(r.t, r.wire.called)
		assert.Empty(r.t, r.published)
	})
}

func TestDeniedCallIsNamed(t *testing.T) {
	t.Parallel()
	w := &wire{}
	h := &account{ecs.NewFromConfig(aws.Config{
		Region: testRegion, BaseEndpoint: aws.String("http://127.0.0.1"), Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
		HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			rec := httptest.NewRecorder()
			rec.Header().Set("Content-Type", "application/x-amz-json-1.1")
			rec.WriteHeader(http.StatusBadRequest)
			_, _ = rec.WriteString(`{"__type":"AccessDeniedException","message":"not authorized to perform: ecs:StopTask"}`)
			return rec.Result(), nil
		})},
	})}
	_, err := h.call(context.Background(), &callToECS{kind: Stop, subject: subject{cluster: "prod", task: "1"}})
	require.ErrorIs(t, err, errRefused)
	require.ErrorContains(t, err, "StopTask refused: AccessDeniedException: not authorized to perform: ecs:StopTask")
	assert.Empty(t, w.called)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func typesOf(events []event.Event) (list []string) {
	for _, e := range events {
		list = append(list, e.Type.Event())
	}
	return list
}

func TestRoleOfAnAccount(t *testing.T) {
	t.Parallel()
	const ours, theirs = "arn:aws:iam::123456789012:role/bellbuoy-restart", "arn:aws:iam::210987654321:role/bellbuoy-restart"
	c := ECS{RoleARNs: []string{theirs, ours}, ExternalID: "x"}
	assert.Empty(t, c.faults())
	assert.Equal(t, awsclient.Config{Region: "eu-west-1", RoleARN: ours, ExternalID: "x"}, c.as(ECSAccount{Account: testAccount, AWS: awsclient.Config{Region: "eu-west-1"}}))
	other := awsclient.Config{RoleARN: "arn:aws:iam::333333333333:role/collector"}
	assert.Equal(t, other, c.as(ECSAccount{Account: "333333333333", AWS: other}), "the collector's")

	faults := errors.Join(ECS{RoleARNs: []string{"admin", ours, ours}}.faults()...)
	require.ErrorContains(t, faults, `"admin"; write the ARN of a role`)
	require.ErrorContains(t, faults, "second role of account 123456789012")
	require.ErrorContains(t, errors.Join(ECS{ExternalID: "x"}.faults()...), "there is none")
}
