package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/ecslife"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// TestWantedEndsOpenNothing: a compose recreate of ten services, a scale-in, a docker stop and a job with exit 0 open
// no incident; each stop is in the index, as expected.
func TestWantedEndsOpenNothing(t *testing.T) {
	d, x := stand.Docker(t), newIndex(t)
	p := &paged{t: t, d: d, moto: stand.Moto(t), taken: map[string]bool{}, prefix: fmt.Sprintf("deploy-%d", time.Now().UnixNano())}
	var topic string
	topic, p.queue = p.moto.TopicWithQueue(t, p.prefix)
	p.program = newProgram(t, quiet+`
collectors: [{docker: {host: "`+d.Host+`"}}]
incidents: {wait: 0s}
sinks:
  pager: {sns: {topic_arn: "`+topic+`", format: json, endpoint: "`+p.moto.URL+`"}}
  search: {opensearch: {addresses: ["`+x.node.URL+`"], prefix: "`+x.prefix+`", refresh_interval: 1s}}
`)
	p.up(t)
	const services = 10
	ended := map[string]string{}
	first := map[string]string{}
	for n := range services {
		name := fmt.Sprintf("svc%d", n)
		first[name] = p.service(name, "hash-1", 1, obeys())
	}
	second := p.service("svc0", "hash-1", 2, obeysBadly())
	for n := range services { // as compose recreates: the old one goes, the new one comes
		name := fmt.Sprintf("svc%d", n)
		ended[first[name]] = "recreate"
		p.stopAndRemove(first[name])
		p.service(name, "hash-2", 1, obeys())
	}
	ended[second] = "scale-in"
	p.stopAndRemove(second)
	stopped := p.run("stopped", obeys())
	ended[stopped] = "docker stop"
	d.Stop(t, stopped, time.Second)
	job := p.run("job", []string{"true"})
	ended[job] = "job"
	d.Wait(t, job, within)

	eventually(t, time.Minute, "every stop is in the index", func() bool { return len(x.stopsPerRun(t)) >= len(ended) })
	assert.Equal(t, "no open incidents\n", p.command(t, "incident", "list"))
	for id, what := range ended {
		assert.Equal(t, 1, x.count(`event.name:"task.stopped" AND cause.expected:true AND task.id:`+id), what)
	}
	assert.Equal(t, len(ended), x.count(`event.name:"task.stopped"`))
	assert.Zero(t, x.count(`event.name:incident*`))
	p.settle() // the sentinel's crash is told behind all that could have been
	assert.Len(t, p.alerts, 1, "nobody is told of what was wanted")
	assert.Equal(t, 2, strings.Count(p.command(t, "incident", "list", "--all"), "\n"), "the head and the sentinel")
	t.Logf("%d ends as wanted: 0 incidents, 0 alerts, all of them in the index as expected", len(ended))
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

// TestWantedEndsOfECS: the same of ECS, with hosts that were drained or taken back.
func TestWantedEndsOfECS(t *testing.T) {
	r := newRegion(t, "", "incidents: {wait: 0s}")
	r.p.up(t)
	ends := 0
	for _, life := range ecslife.All(r.aws) {
		if life.Alerts > 0 || life.Class == "start.image" {
			continue
		}
		ends += len(life.Tasks)
		r.queue.Send(slices.DeleteFunc(slices.Clone(life.Bodies), ofTask)...)
		eventually(t, time.Minute, "what is told before is read", func() bool { return r.queue.Len() == 0 })
		r.queue.Send(slices.DeleteFunc(slices.Clone(life.Bodies), func(body string) bool { return !ofTask(body) })...)
		t.Logf("%-40s %d ends", life.Name, len(life.Tasks))
	}
	require.Greater(t, ends, 20)
	eventually(t, time.Minute, "every end is in the index", func() bool {
		return r.found(`event.name:"task.stopped" AND cause.expected:true`) >= ends
	})
	assert.Equal(t, "no open incidents\n", r.p.command(t, "incident", "list", "--all"))
	d := r.aws.PutDefinition(types.TaskDefinition{Family: aws.String("sentinel"), ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("s:1")}}})
	task := r.aws.NewTask("prod", d, awsfake.NewTask{})
	states := append(r.aws.Start(*task.TaskArn, time.Second), r.aws.Stop(*task.TaskArn, awsfake.Stop{
		Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", Exit: map[string]int32{"app": 3},
	})...)
	for _, state := range states {
		r.aws.EmitTaskEvent(r.queue, state)
	}
	told := r.told(1)
	require.Len(t, told, 1, "the sentinel alone")
	assert.Equal(t, "sentinel", told[0].Data.Workload)
}

// TestHostLostIsOneAlert: a host of ECS with 40 tasks of 8 services goes away: one alert, of the host, and one when
// all of them run elsewhere.
func TestHostLostIsOneAlert(t *testing.T) {
	const services, each = 8, 5
	r := newRegion(t, "", "incidents: {stable: 3s}")
	r.p.up(t)
	host := func(id string) types.ContainerInstance {
		return r.aws.PutInstance("prod", types.ContainerInstance{Ec2InstanceId: aws.String(id), AgentConnected: true})
	}
	start := func(host types.ContainerInstance) []string {
		var arns []string
		for n := range services {
			d := r.aws.PutDefinition(types.TaskDefinition{
				Family: aws.String(fmt.Sprintf("svc%d", n)), ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("svc:1")}},
			})
			for range each {
				task := r.aws.NewTask("prod", d, awsfake.NewTask{LaunchType: types.LaunchTypeEc2, Instance: *host.ContainerInstanceArn})
				for _, state := range r.aws.Start(*task.TaskArn, time.Second) {
					r.aws.EmitTaskEvent(r.queue, state)
				}
				arns = append(arns, *task.TaskArn)
			}
		}
		eventually(t, time.Minute, "all are read", func() bool { return r.queue.Len() == 0 })
		return arns
	}
	lost := start(host("i-0aaaaaaaaaaaaaaa0"))
	for _, arn := range lost {
		for _, state := range r.aws.Stop(arn, awsfake.Stop{Code: types.TaskStopCodeTerminationNotice, Reason: "Host EC2 (instance i-0aaaaaaaaaaaaaaa0) terminated."}) {
			r.aws.EmitTaskEvent(r.queue, state)
		}
	}
	eventually(t, time.Minute, "every end is read", func() bool { return len(r.stops()) == len(lost) })
	opened := r.told(1)
	require.Len(t, opened, 1, "one alert, not %d", len(lost)+1)
	assert.Equal(t, "lost", opened[0].Data.Incident.Reason)
	assert.Equal(t, event.Fatal, opened[0].Severity)
	t.Logf("%d tasks lost, 1 alert: %s", len(lost), opened[0].Data.Incident.Title)
	start(host("i-0bbbbbbbbbbbbbbb0"))
	resolved := r.told(1)
	require.Len(t, resolved, 1)
	assert.Equal(t, event.IncidentResolved, resolved[0].Type)
	assert.EqualValues(t, len(lost), resolved[0].Data.Incident.Stops)
	assert.Equal(t, opened[0].Data.Incident.ID, resolved[0].Data.Incident.ID)
	t.Logf("resolved: %s, %d stops, %d tasks", resolved[0].Data.Incident.Recovery, resolved[0].Data.Incident.Stops, resolved[0].Data.Incident.TaskCount)
}

// TestSilentCollectorIsOneAlert: the collector of a host with 40 running containers is killed; that is one alert, and
// one when it is back.
func TestSilentCollectorIsOneAlert(t *testing.T) {
	const containers = 40
	d, m, n := stand.Docker(t), stand.Moto(t), stand.NATS(t, "")
	topic, queue := m.TopicWithQueue(t, uniqueName("silent"))
	config := "http: {listen: \"off\"}\nnode: web-7\nnats: {url: \"" + n.URL + "\"}\n"
	watcher := newProgram(t, config+"collectors: [{docker: {host: \""+d.Host+"\"}}]\n")
	router := newProgram(t, config+"incidents: {silent: 62s}\nsinks: {pager: {sns: {topic_arn: \""+topic+"\", format: json, endpoint: \""+m.URL+"\"}}}\n")
	require.NoError(t, router.start("route"))
	require.NoError(t, watcher.start("collect"))
	for _, p := range []*program{watcher, router} {
		eventually(t, time.Minute, "it is up", func() bool { return strings.Contains(p.out.String(), "next: ") })
	}
	name := uniqueName("busy")
	for i := range containers {
		d.Run(t, harness.RunSpec{Name: fmt.Sprintf("%s-%02d", name, i), Cmd: sh("exec sleep 1000")})
	}
	take := func() event.Event {
		messages := m.Messages(t, queue, 3*time.Minute, func(taken []sqstypes.Message) bool { return len(taken) > 0 })
		messages = append(messages, m.Messages(t, queue, within, nil)...)
		require.Len(t, messages, 1, "one alert, not %d", containers+1)
		e, err := event.Decode([]byte(*messages[0].Body))
		require.NoError(t, err)
		t.Log(e.Data.Incident.Title, e.Data.Incident.Recovery)
		return e
	}
	eventually(t, time.Minute, "the starts are told", func() bool { return starts(t, n.URL, name) == containers })
	require.NoError(t, watcher.kill())
	opened := take()
	assert.Equal(t, "silent", opened.Data.Incident.Reason)
	assert.GreaterOrEqual(t, opened.Data.Incident.TaskCount, int64(containers))
	require.NoError(t, watcher.start("collect"))
	resolved := take()
	assert.Equal(t, event.IncidentResolved, resolved.Type)
	assert.Equal(t, "returned", resolved.Data.Incident.Reason)
	for _, p := range []*program{watcher, router} {
		assert.Zero(t, p.stop(t, syscall.SIGTERM))
	}
}

// starts counts the starts on the stream of tasks whose name begins so.
func starts(t *testing.T, url, name string) int {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{URL: url, Manage: bus.Off})
	require.NoError(t, err)
	defer b.Close()
	count := 0
	require.NoError(t, b.Tail(t.Context(), bus.TailOptions{Filter: event.SubjectPrefix + "*.*.*.task.started.>"}, func(d bus.Delivery) error {
		if d.Err == nil && strings.HasPrefix(d.Event.Data.Task.Name, name) {
			count++
		}
		return d.Err
	}))
	return count
}
