package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/ecslife"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// region is a program that watches ECS in a stand-in of AWS, indexes into OpenSearch and alerts through moto's SNS.
type region struct {
	t      *testing.T
	aws    *awsfake.AWS
	queue  *awsfake.Queue
	index  *index
	alerts string // the queue behind the topic
	p      *program
}

func newRegion(t *testing.T, collector string, more ...string) *region {
	t.Helper()
	m := stand.Moto(t)
	r := &region{t: t, aws: awsfake.Start(t, awsfake.Options{}), index: newIndex(t)}
	r.queue = r.aws.CreateQueue("events", nil)
	topic, behind := m.TopicWithQueue(t, fmt.Sprintf("ecs-%d", time.Now().UnixNano()))
	r.alerts = behind
	r.p = newProgram(t, quiet+`
collectors: [{ecs: {queue_url: "`+r.queue.URL+`", endpoint: "`+r.aws.URL+`"`+collector+`}}]
sinks:
  pager: {sns: {topic_arn: "`+topic+`", format: json, endpoint: "`+m.URL+`"}}
  search: {opensearch: {addresses: ["`+r.index.node.URL+`"], prefix: "`+r.index.prefix+`", refresh_interval: 1s}}
`+strings.Join(more, "\n"), "AWS_EC2_METADATA_DISABLED=true")
	return r
}

// told takes the alerts: at least n of them, and what else is there.
func (r *region) told(n int) []event.Event {
	r.t.Helper()
	m := stand.Moto(r.t)
	taken := m.Messages(r.t, r.alerts, time.Minute, func(all []sqstypes.Message) bool { return len(all) >= n })
	taken = append(taken, m.Messages(r.t, r.alerts, 2*time.Second, nil)...)
	var events []event.Event
	for _, message := range taken {
		e, err := event.Decode([]byte(aws.ToString(message.Body)))
		require.NoError(r.t, err, "%s", aws.ToString(message.Body))
		events = append(events, e)
	}
	return events
}

// stops are the last verdicts of the tasks in the stream, by task id.
func (r *region) stops() map[string]event.Event {
	r.t.Helper()
	b, err := bus.Connect(r.t.Context(), bus.Options{URL: r.p.url(), Manage: bus.Off})
	require.NoError(r.t, err)
	defer b.Close()
	last := map[string]event.Event{}
	require.NoError(r.t, b.Tail(r.t.Context(), bus.TailOptions{}, func(d bus.Delivery) error {
		if d.Event.Type == event.TaskStopped {
			last[d.Event.Data.Task.ID] = d.Event
		}
		return d.Err
	}))
	return last
}

func ofTask(body string) bool { return strings.Contains(body, `"ECS Task State Change"`) }

// found counts what a query string finds; -1 while the index is not there or not ready.
func (r *region) found(query string) int {
	body, err := json.Marshal(map[string]any{"query": map[string]any{"query_string": map[string]any{"query": query}}})
	require.NoError(r.t, err)
	client := http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"_refresh", "_count"} {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.index.node.URL+"/"+r.index.prefix+"-events-*/"+path, nil)
		require.NoError(r.t, err)
		if path == "_count" {
			req.Body = io.NopCloser(bytes.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
		}
		res, err := client.Do(req)
		require.NoError(r.t, err)
		var answer struct{ Count int }
		err = json.NewDecoder(res.Body).Decode(&answer)
		_ = res.Body.Close()
		if err != nil || res.StatusCode >= http.StatusMultipleChoices {
			return -1
		}
		if path == "_count" {
			return answer.Count
		}
	}
	return -1
}

func taskID(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// TestECSAlerts: ends that were wanted alert nobody, and each one that was not alerts once, with its class and
// what to do next.
func TestECSAlerts(t *testing.T) {
	r := newRegion(t, "")
	r.p.up(t)
	lives, alerts := ecslife.All(r.aws), 0
	byTask := map[string]ecslife.Life{}
	// What is told of hosts and deployments is told minutes before the tasks end by it.
	for _, life := range lives {
		r.queue.Send(slices.DeleteFunc(slices.Clone(life.Bodies), ofTask)...)
	}
	eventually(t, time.Minute, "what is told before is read", func() bool { return r.queue.Len() == 0 })
	for i, life := range lives {
		r.queue.Send(ecslife.Disorder(uint64(i), 3, slices.DeleteFunc(slices.Clone(life.Bodies), func(body string) bool { return !ofTask(body) }))...)
		alerts += life.Alerts
		for _, arn := range life.Tasks {
			byTask[taskID(arn)] = life
		}
	}
	eventually(t, time.Minute, "every event is read", func() bool { return r.queue.Len() == 0 })
	heard := map[string]int{}
	for _, e := range r.told(alerts) {
		life := byTask[e.Data.Task.ID]
		heard[life.Name]++
		assert.Equal(t, life.Class, e.Data.Cause.Class, life.Name)
		assert.NotEmpty(t, e.Data.Cause.Next, life.Name)
	}
	stops := r.stops()
	var table strings.Builder
	for _, life := range lives {
		assert.Equal(t, life.Alerts, heard[life.Name], life.Name)
		c := stops[taskID(life.Tasks[0])].Data.Cause
		fmt.Fprintf(&table, "%-36s %2d ends  %d alerts  %-26s by %s %s: %s; %s\n", life.Name, len(life.Tasks), heard[life.Name], c.Class, c.Initiator, c.InitiatorName, c.Say, c.Next)
		for _, arn := range life.Tasks {
			c := stops[taskID(arn)].Data.Cause
			require.NotNil(t, c, life.Name)
			assert.Equal(t, life.Class, c.Class, life.Name)
			assert.Equal(t, life.Initiator, c.Initiator, life.Name)
		}
	}
	t.Logf("\n%s", table.String())
	eventually(t, time.Minute, "the ends are in the index", func() bool {
		return r.found(`event.name:"task.stopped" AND cause.expected:true`) > 20
	})
}

// TestECSPassesWhatItDoesNotKnow: any other event is indexed whole, without secrets, and alerts nobody.
func TestECSPassesWhatItDoesNotKnow(t *testing.T) {
	r := newRegion(t, "")
	r.p.up(t)
	for _, e := range []awsfake.Event{
		{Source: "aws.ecs", DetailType: "ECS Tea Break", Detail: map[string]any{
			"clusterArn": r.aws.ClusterARN("prod"), "overrides": map[string]any{"containerOverrides": []any{
				map[string]any{"name": "app", "environment": []any{map[string]any{"name": "DB_PASSWORD", "value": "hunter2hunter2"}}, "command": []any{"--token=hunter2"}},
			}},
		}},
		{Source: "aws.health", DetailType: "AWS Health Event", Detail: map[string]any{
			"service": "ECS", "eventTypeCode": "AWS_ECS_TASK_PATCHING_RETIREMENT", "eventTypeCategory": "scheduledChange",
			"eventDescription": []any{map[string]any{"language": "en_US", "latestDescription": "A software update has been deployed"}},
		}},
	} {
		r.aws.Emit(r.queue, e)
	}
	eventually(t, time.Minute, "both are in the index", func() bool { return r.found(`event.name:"native.passed"`) == 2 })
	assert.Equal(t, 1, r.index.count(`event.name:"native.passed" AND service.name:"ECS Tea Break"`))
	assert.Equal(t, 1, r.index.count(`event.name:"native.passed" AND service.name:"AWS Health Event" AND message:*RETIREMENT*`))
	answer, err := json.Marshal(r.index.call("POST", "/"+r.index.prefix+"-events-*/_search", `{"query":{"match_all":{}}}`))
	require.NoError(t, err)
	assert.Contains(t, string(answer), "containerOverrides", "it is whole")
	assert.NotContains(t, string(answer), "hunter2")
	assert.Empty(t, r.told(0), "nobody is alerted")
	assert.Contains(t, r.p.deadLetters(t), "no dead letters")
}

// TestECSReconcilesWhatWasLost: events of twenty minutes are gone, and each end is told once all the same, marked,
// with its cause; those that come late after all change nothing.
func TestECSReconcilesWhatWasLost(t *testing.T) {
	r := newRegion(t, ", reconcile_every: 1m", `routes:
  - {name: each, to: pager, when: 'event == "stopped" && !cause.expected'}
  - {name: all, to: search}
`)
	r.p.up(t)
	d := r.aws.PutDefinition(types.TaskDefinition{
		Family: aws.String("web"), ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("web:1")}},
	})
	var arns []string
	for range 40 {
		task := r.aws.NewTask("prod", d, awsfake.NewTask{})
		states := r.aws.Start(aws.ToString(task.TaskArn), time.Second)
		r.aws.EmitTaskEvent(r.queue, states[len(states)-1])
		arns = append(arns, aws.ToString(task.TaskArn))
	}
	eventually(t, time.Minute, "the tasks are known", func() bool { return r.queue.Len() == 0 })
	r.aws.Advance(-20 * time.Minute)
	var late []string
	for i, arn := range arns[:25] {
		stop := awsfake.Stop{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", Exit: map[string]int32{"app": 3}}
		if i%5 == 0 {
			stop = awsfake.Stop{Code: types.TaskStopCodeUserInitiated, Reason: "Task stopped by user", Exit: map[string]int32{"app": 0}}
		}
		for _, state := range r.aws.Stop(arn, stop) {
			late = append(late, r.aws.TaskEvent(state))
		}
	}
	r.aws.Advance(20 * time.Minute)

	// The program looks at the start, too: sooner than a minute from now.
	require.NoError(t, r.p.kill())
	r.p.up(t)
	eventually(t, time.Minute, "every end is told", func() bool { return len(r.stops()) == 25 })
	before := r.stops()
	for i, arn := range arns[:25] {
		e := before[taskID(arn)]
		assert.Equal(t, event.ObservedReconcile, e.Data.Observed)
		assert.Equal(t, map[bool]string{true: "user.stop", false: "exit.error"}[i%5 == 0], e.Data.Cause.Class)
	}
	r.queue.Send(late...)
	eventually(t, time.Minute, "the late ones are read", func() bool { return r.queue.Len() == 0 })
	alerts := r.told(20)
	assert.Len(t, alerts, 20, "one for each end that nobody wanted")
	after := r.stops()
	for id, e := range after {
		assert.Equal(t, before[id].ID, e.ID, "nothing has changed")
	}
	eventually(t, time.Minute, "every end is in the index once", func() bool { return r.found(`event.name:"task.stopped"`) == 25 })
	assert.Equal(t, 25, r.index.count(`event.name:"task.stopped" AND event.observed:reconcile`))
	assert.False(t, slices.ContainsFunc(alerts, func(e event.Event) bool { return e.Data.Observed != event.ObservedReconcile }), "each is marked")
}
