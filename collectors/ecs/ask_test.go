package ecs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/awsproxy"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// questioner is an asker on real sockets, and what it logs.
type questioner struct {
	*socketed
	*cloud
	metrics *apiMetrics
	log     *logged
}

// logged is a log that may be read while it is written.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) lines() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text.Bytes(), []byte("\n"))
}

func newQuestioner(t *testing.T, change ...func(*Config)) *questioner {
	t.Helper()
	q := &questioner{socketed: newSocketed(t, &collectortest.Stream{}), log: &logged{}}
	for _, f := range change {
		f(&q.cfg)
	}
	c, err := New(q.cfg, q.deps)
	require.NoError(t, err)
	q.metrics = c.apiMetrics
	q.cloud = newCloud(c.api(), slog.New(slog.NewTextHandler(q.log, nil)))
	return q
}

// put makes a service with a task definition of its own, and returns the ARN of that.
func (q *questioner) put(name string) string {
	d := q.aws.PutDefinition(types.TaskDefinition{Family: &name, ContainerDefinitions: []types.ContainerDefinition{
		{
			Name: aws.String("app"), Image: aws.String("shop/" + name), DependsOn: []types.ContainerDependency{{ContainerName: aws.String("init")}},
			LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "/shop", "awslogs-stream-prefix": "x"}},
		},
		{Name: aws.String("init"), Image: aws.String("shop/init"), Essential: aws.Bool(false), LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverFluentd}},
	}})
	q.aws.PutService("prod", types.Service{
		ServiceName: &name, TaskDefinition: d.TaskDefinitionArn, DesiredCount: 3,
		Tags: []types.Tag{{Key: aws.String("bellbuoy:owner"), Value: aws.String("team-" + name)}},
	})
	return aws.ToString(d.TaskDefinitionArn)
}

// stop asks what a stop asks for, within its bound.
func (q *questioner) stop(ctx context.Context, arn, name string) (d *definition, s *service, err error) {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	if d, err = q.definition(ctx, arn); err != nil {
		return nil, nil, err
	}
	s, err = q.service(ctx, testCluster, name)
	return d, s, err
}

func TestAskerTellsWhatAStopNeeds(t *testing.T) {
	q := newQuestioner(t)
	arn := q.put("web")
	for range 3 {
		d, s, err := q.stop(t.Context(), arn, "web")
		require.NoError(t, err)
		assert.Equal(t, []definedContainer{
			{Name: "app", Image: "shop/web", Essential: true, DependsOn: []string{"init"}, LogGroup: "/shop", LogPrefix: "x"},
			{Name: "init", Image: "shop/init"},
		}, d.Containers)
		assert.Equal(t, arn, s.Definition)
		assert.Equal(t, int64(3), s.Desired)
		assert.Equal(t, map[string]string{"bellbuoy:owner": "team-web"}, s.Tags)
	}
	assert.Equal(t, 1, q.aws.Count("ecs:DescribeTaskDefinition"))
	assert.Equal(t, 1, q.aws.Count("ecs:DescribeServices"))
	s, err := q.service(t.Context(), testCluster, "none")
	require.NoError(t, err)
	assert.Nil(t, s, "what ECS does not know is no error")
}

// together asks for many services at the same time.
func (q *questioner) together(t *testing.T, stops int, name func(int) string) {
	t.Helper()
	var all sync.WaitGroup
	for i := range stops {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s, err := q.service(ctx, testCluster, name(i))
			if assert.NoError(t, err) && assert.NotNil(t, s) {
				assert.Equal(t, name(i), s.Name)
			}
		})
	}
	all.Wait()
}

func TestStopsOfOneServiceAskOnce(t *testing.T) {
	q := newQuestioner(t)
	q.put("web")
	q.together(t, 1000, func(int) string { return "web" })
	assert.Equal(t, 1, q.aws.Count("ecs:DescribeServices"))
}

func TestServicesAreAskedForTenAtATime(t *testing.T) {
	q := newQuestioner(t)
	for i := range 95 {
		q.put(fmt.Sprint("web-", i))
	}
	q.together(t, 950, func(i int) string { return fmt.Sprint("web-", i%95) })
	assert.LessOrEqual(t, q.aws.Count("ecs:DescribeServices"), 15)
}

func TestAskerGetsOverFaultsThatPass(t *testing.T) {
	for name, r := range map[string]awsproxy.Rule{
		"throttled": {Fault: awsproxy.Throttled},
		"lost":      {Fault: awsproxy.LoseResponse},
		"reset":     {Fault: awsproxy.Reset},
		"slow":      {Fault: awsproxy.Delay, Delay: 300 * time.Millisecond},
		"twice":     {Fault: awsproxy.Twice},
		"broken":    {Fault: awsproxy.Status, Code: "ServerException", HTTPStatus: 500},
		"expired":   {Fault: awsproxy.Expired},
		"skewed":    {Fault: awsproxy.Skewed},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQuestioner(t)
			arn := q.put("web")
			r.Op, r.Times = "ecs:DescribeTaskDefinition", 1
			rule := q.proxy.Add(r)
			d, s, err := q.stop(t.Context(), arn, "web")
			require.NoError(t, err)
			assert.Len(t, d.Containers, 2)
			assert.NotNil(t, s)
			assert.Equal(t, 1, rule.Hits())
			assert.Zero(t, q.log.lines())
		})
	}
}

func TestWhatIsNotAllowedIsAskedAndToldOnce(t *testing.T) {
	q := newQuestioner(t)
	arns := make([]string, 30)
	for i := range arns {
		arns[i] = q.put(fmt.Sprint("web-", i))
	}
	q.proxy.Add(awsproxy.Rule{Op: "ecs:*", Fault: awsproxy.Denied})
	for i, arn := range arns {
		_, err := q.definition(t.Context(), arn)
		require.True(t, denied(err), err)
		_, err = q.service(t.Context(), testCluster, fmt.Sprint("web-", i))
		require.True(t, denied(err), err)
	}
	assert.Equal(t, 1, q.proxy.Count("ecs:DescribeTaskDefinition"))
	assert.Equal(t, 1, q.proxy.Count("ecs:DescribeServices"))
	assert.Equal(t, 2, q.log.lines())
	assert.Contains(t, q.log.text.String(), "allow ecs:DescribeServices on cluster prod")
	assert.Contains(t, q.log.text.String(), "allow ecs:DescribeTaskDefinition")
}

// Not every stop waits for an ECS that does not answer.
func TestSilenceCostsOneWait(t *testing.T) {
	q := newQuestioner(t)
	rule := q.proxy.Add(awsproxy.Rule{Op: "ecs:*", Fault: awsproxy.Delay, Delay: time.Minute})
	begun := time.Now()
	for i := range 20 {
		name := fmt.Sprint("web-", i)
		_, _, err := q.stop(t.Context(), q.put(name), name)
		require.Error(t, err)
	}
	assert.Less(t, time.Since(begun), 3*askBound)
	rule.Off()
}

func TestThrottledStopsWaitNoLongerThanTheirBound(t *testing.T) {
	q := newQuestioner(t)
	rule := q.proxy.Add(awsproxy.Rule{Op: "ecs:*", Fault: awsproxy.Throttled})
	var all sync.WaitGroup
	begun := time.Now()
	for i := range 100 {
		name := fmt.Sprint("web-", i)
		arn := q.put(name)
		all.Go(func() {
			_, _, err := q.stop(t.Context(), arn, name)
			assert.Error(t, err)
		})
	}
	all.Wait()
	assert.Less(t, time.Since(begun), askBound+2*time.Second)
	calls := q.proxy.Count("ecs:*")
	assert.LessOrEqual(t, calls, 60, "what is on its way when AWS begins to throttle, and a few")
	counted := func(c *prometheus.CounterVec, labels ...string) float64 {
		return testutil.ToFloat64(c.WithLabelValues(labels...))
	}
	const action = "ecs:DescribeTaskDefinition"
	assert.InDelta(t, q.proxy.Count(action), counted(q.metrics.calls, "ecs", action), 0)
	assert.InDelta(t, q.proxy.Count(action), counted(q.metrics.refusals, "ecs", action, reasonThrottled), 0)
	rule.Off()
	require.Eventually(t, func() bool {
		_, _, err := q.stop(t.Context(), q.put("late"), "late")
		return err == nil
	}, patience, 100*time.Millisecond)
}

// Who asks first may have less time than those who wait for the same answer.
func TestAnswerComesThoughWhoAskedFirstIsGone(t *testing.T) {
	q := newQuestioner(t)
	arn := q.put("web")
	q.proxy.Add(awsproxy.Rule{Op: "ecs:*", Fault: awsproxy.Delay, Delay: 500 * time.Millisecond})
	first, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		_, err := q.definition(first, arn)
		assert.ErrorIs(t, err, context.Canceled)
	})
	require.Eventually(t, func() bool { return q.proxy.Count("ecs:DescribeTaskDefinition") == 1 }, patience, time.Millisecond)
	for range 5 {
		all.Go(func() {
			d, err := q.definition(t.Context(), arn)
			if assert.NoError(t, err) {
				assert.Len(t, d.Containers, 2)
			}
		})
	}
	<-time.After(50 * time.Millisecond)
	cancel()
	all.Wait()
	assert.LessOrEqual(t, q.proxy.Count("ecs:DescribeTaskDefinition"), 2)
}

// Whatever ECS does, the stop is told, and soon.
func TestStopIsToldWithoutAnswers(t *testing.T) {
	for name, r := range map[string]awsproxy.Rule{
		"denied":    {Fault: awsproxy.Denied},
		"throttled": {Fault: awsproxy.Throttled},
		"reset":     {Fault: awsproxy.Reset},
		"hanging":   {Fault: awsproxy.Delay, Delay: time.Minute},
		"unknown":   {Fault: awsproxy.Status, Code: "ClientException", HTTPStatus: 400},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLooker(t)
			r.Op = "ecs:*"
			l.proxy.Add(r)
			one := l.aws.NewTask("prod", l.family("web"), awsfake.NewTask{Group: "service:web"})
			l.tell(t, l.aws.Start(aws.ToString(one.TaskArn), time.Second)...)
			begun := time.Now()
			stops := l.aws.Stop(aws.ToString(one.TaskArn), crashed)
			l.tell(t, stops...)
			assert.Less(t, time.Since(begun), time.Duration(len(stops))*(askBound+time.Second))
			told := 0
			for _, e := range l.stream.Events() {
				if e.Type == event.TaskStopped && e.Data.Supersedes == "" {
					told++
					assert.True(t, strings.HasPrefix(e.Data.Cause.Class, "exit."), e.Data.Cause.Class)
				}
			}
			assert.Equal(t, 1, told)
		})
	}
}
