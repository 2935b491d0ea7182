package ecs

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func TestTimes(t *testing.T) {
	t.Parallel()
	second := time.Date(2026, 11, 3, 2, 0, 30, 0, time.UTC)
	for text, want := range map[string]time.Time{
		`"2026-11-03T02:00:30Z"`:             second,
		`"2026-11-03T02:00:30.1Z"`:           second.Add(100 * time.Millisecond),
		`"2026-11-03T02:00:30.123Z"`:         second.Add(123 * time.Millisecond),
		`"2026-11-03T02:00:30.123456789Z"`:   second.Add(123_456_789),
		`"2026-11-03T04:00:30.123456+02:00"`: second.Add(123_456 * time.Microsecond),
		`"2026-11-03 03:00:30.5+01:00"`:      second.Add(500 * time.Millisecond),
		`1793671230`:                         second,
		`1793671230.123`:                     second.Add(123 * time.Millisecond),
		`1793671230123`:                      second.Add(123 * time.Millisecond),
		`1.793671230123E9`:                   second.Add(123 * time.Millisecond),
		`"1793671230"`:                       second,
		`null`:                               {},
		`"null"`:                             {},
		`""`:                                 {},
		`"yesterday"`:                        {},
		`-5`:                                 {},
		`1e99`:                               {},
		`{"a":1}`:                            {},
		`"2026-13-03T02:00:30Z"`:             {},
		`9999999999999999999999999999999999999.1`: {},
	} {
		var m moment
		require.NoError(t, json.Unmarshal([]byte(text), &m), text)
		assert.Equal(t, want, m.time(), text)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		`256`: 256, `"256"`: 256, `7.0`: 7, `"0"`: 0, `"null"`: 0, `null`: 0, `""`: 0, `[1]`: 0, `-1`: -1, `99999999999999999999`: 1<<63 - 1,
	} {
		var n number
		require.NoError(t, json.Unmarshal([]byte(text), &n), text)
		assert.Equal(t, want, int64(n), text)
	}
	for text, want := range map[string]*int64{
		`0`: aws.Int64(0), `"137"`: aws.Int64(137), `3221225786`: aws.Int64(3221225786), `-1`: aws.Int64(-1), `null`: nil, `"null"`: nil, `""`: nil, `{}`: nil,
	} {
		var c exitCode
		require.NoError(t, json.Unmarshal([]byte(text), &c), text)
		assert.Equal(t, want, c.known, text)
	}
}

const (
	arnOfTask    = "arn:aws:ecs:eu-west-1:123456789012:task/prod/0a1b2c3d4e5f60718293a4b5c6d7e8f9"
	arnOfCluster = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod"
)

// A task is the same, whether an event or DescribeTasks tells it: only so a late event and a listed task collapse.
func TestAToldAndAListedTaskAreTheSame(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 3, 2, 0, 0, 0, time.UTC)
	after := func(seconds int) *time.Time { return aws.Time(at.Add(time.Duration(seconds) * time.Second)) }
	for _, launch := range []string{"EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES", ""} {
		listed := types.Task{
			TaskArn: aws.String(arnOfTask), ClusterArn: aws.String(arnOfCluster), Group: aws.String("service:web"), StartedBy: aws.String("ecs-svc/1"),
			TaskDefinitionArn: aws.String("arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7"), LaunchType: types.LaunchType(launch),
			AvailabilityZone: aws.String("eu-west-1a"), PlatformVersion: aws.String("1.4.0"), PlatformFamily: aws.String("Linux"),
			Cpu: aws.String("256"), Memory: aws.String("512"), Version: 7, LastStatus: aws.String("STOPPED"), DesiredStatus: aws.String("STOPPED"),
			StopCode: "EssentialContainerExited", StoppedReason: aws.String("Essential container in task exited"),
			CreatedAt: after(0), PullStartedAt: after(10), PullStoppedAt: after(25), StartedAt: after(27), StoppingAt: after(90), ExecutionStoppedAt: after(100), StoppedAt: after(125),
			Containers: []types.Container{
				{Name: aws.String("web"), Image: aws.String("web:7"), ImageDigest: aws.String("sha256:4f2c9d0f6a1b"), RuntimeId: aws.String("r1"), LastStatus: aws.String("STOPPED"), ExitCode: aws.Int32(1), Reason: aws.String("password=" + secret)},
				{Name: aws.String("aws-guardduty-agent"), RuntimeId: aws.String("r2"), LastStatus: aws.String("STOPPED")},
			},
			Attachments: []types.Attachment{{Id: aws.String("a"), Type: aws.String("eni"), Status: aws.String("DELETED")}},
			Overrides:   &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Command: []string{secret}}}},
		}
		told := `{"id":"1","detail-type":"ECS Task State Change","source":"aws.ecs","time":"2026-11-03T02:02:06Z","somethingNew":[1],"detail":{
			"taskArn":"` + arnOfTask + `","clusterArn":"` + arnOfCluster + `","group":"service:web","startedBy":"ecs-svc/1","launchType":"` + launch + `",
			"taskDefinitionArn":"arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7","availabilityZone":"eu-west-1a","platformVersion":"1.4.0","platformFamily":"Linux",
			"cpu":"256","memory":512,"version":"7","lastStatus":"STOPPED","desiredStatus":"STOPPED","stopCode":"EssentialContainerExited","stoppedReason":"Essential container in task exited",
			"createdAt":"2026-11-03T02:00:00.000000000Z","pullStartedAt":"2026-11-03T02:00:10.0Z","pullStoppedAt":"2026-11-03T02:00:25Z","startedAt":1793671227,
			"stoppingAt":"2026-11-03T02:01:30.000Z","executionStoppedAt":"2026-11-03T02:01:40Z","stoppedAt":"2026-11-03T02:02:05.000Z","connectivity":null,"ephemeralStorage":{"sizeInGiB":20},
			"containers":[{"name":"web","image":"web:7","imageDigest":"sha256:4f2c9d0f6a1b","runtimeId":"r1","lastStatus":"STOPPED","exitCode":"1","reason":"password=` + secret + `","gpuIds":["0"]},
				{"name":"aws-guardduty-agent","runtimeId":"r2","lastStatus":"STOPPED","exitCode":null}],
			"attachments":[{"id":"a","type":"eni","status":"DELETED","details":[{"name":"subnetId","value":"s"}]}],
			"overrides":{"containerOverrides":[{"name":"web","command":["` + secret + `"],"environment":[{"name":"A","value":"` + secret + `"}]}]}}}`
		f, err := reader(origin{Site: "test"}, nil)([]byte(told))
		require.NoError(t, err)
		l := factOf(taskOf(&listed), origin{Site: "test"}, event.ObservedReconcile)
		assert.Equal(t, *f.task, *l.task)
		assert.Equal(t, f.event.ID, l.event.ID)
		assert.Equal(t, f.event.Data.Task, l.event.Data.Task)
		assert.Equal(t, f.event.Time, l.event.Time)
		f.event.Data.Observed, f.event.Data.Native, l.event.Data.Native = event.ObservedReconcile, nil, nil
		assert.Equal(t, f.event, l.event)

		d, task := &l.event.Data, l.event.Data.Task
		assert.Equal(t, "web:7@4f2c9d0f", d.Revision)
		assert.Equal(t, "123456789012", d.Account) // the envelope has none
		assert.Equal(t, &event.ColdStart{Provision: 10, Pull: 15, Start: 2, Total: 27}, task.ColdStart)
		assert.Equal(t, [...]int64{256, 512, 7}, [...]int64{task.CPUUnits, task.MemoryMiB, task.Version})
		assert.Equal(t, launch, task.Placement.LaunchType)
		assert.Equal(t, at.Add(100*time.Second), task.Times.Stopped)
		whole, err := event.Append(nil, &l.event)
		require.NoError(t, err)
		assert.NotContains(t, string(whole), secret)
	}
}

func TestColdStartOfWhatIsKnown(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 3, 2, 0, 0, 0, time.UTC)
	after := func(seconds int) time.Time { return at.Add(time.Duration(seconds) * time.Second) }
	assert.Nil(t, (&task{Created: at, PullStarted: after(1)}).coldStart(), "it never ran")
	assert.Nil(t, (&task{Started: at}).coldStart(), "nobody knows since when")
	assert.Equal(t, &event.ColdStart{Total: 9}, (&task{Created: at, Started: after(9)}).coldStart(), "the image was there")
	assert.Equal(t, &event.ColdStart{Provision: 3, Total: 9}, (&task{Created: at, PullStarted: after(3), Started: after(9)}).coldStart())
	assert.Equal(t, &event.ColdStart{Pull: 3, Start: 2, Total: 4},
		(&task{Created: after(5), PullStarted: after(4), PullStopped: after(7), Started: after(9)}).coldStart(), "clocks that differ")
}

func TestTasksThatAreCut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ detail, resources, scope, workload, id string }{
		"no taskArn":          {`{"lastStatus":"PENDING","group":"service:web","clusterArn":"` + arnOfCluster + `"}`, `["` + arnOfTask + `"]`, "prod", "web", lastPart(arnOfTask)},
		"no cluster":          {`{"lastStatus":"PENDING","group":"family:job","taskArn":"` + arnOfTask + `"}`, `[]`, "prod", "job", lastPart(arnOfTask)},
		"the old form":        {`{"lastStatus":"PENDING","clusterArn":"` + arnOfCluster + `","taskArn":"arn:aws:ecs:eu-west-1:123456789012:task/1"}`, `null`, "prod", "", "1"},
		"a group of no form":  {`{"lastStatus":"PENDING","group":"nightly","clusterArn":"` + arnOfCluster + `","taskArn":"` + arnOfTask + `"}`, `[]`, "prod", "nightly", lastPart(arnOfTask)},
		"a definition, group": {`{"lastStatus":"PENDING","group":"nightly","taskDefinitionArn":"arn:aws:ecs:eu-west-1:123456789012:task-definition/job:3","taskArn":"` + arnOfTask + `"}`, `[]`, "prod", "job", lastPart(arnOfTask)},
	} {
		body := `{"detail-type":"ECS Task State Change","source":"aws.ecs","time":"2026-11-03T02:02:06Z","resources":` + tt.resources + `,"detail":` + tt.detail + `}`
		f, err := reader(origin{Site: "test"}, nil)([]byte(body))
		require.NoError(t, err, name)
		require.NotNil(t, f.task, name)
		d := &f.event.Data
		assert.Equal(t, [...]string{tt.scope, tt.workload, tt.id, "123456789012", "eu-west-1"}, [...]string{d.Scope, d.Workload, d.Task.ID, d.Account, d.Region}, name)
		assert.Equal(t, time.Date(2026, 11, 3, 2, 2, 6, 0, time.UTC), f.event.Time, name)
	}
}

// A copy of a record without a version has an envelope and a time of its own, and is the same all the same.
func TestCopiesWithoutAVersionAreTheSame(t *testing.T) {
	t.Parallel()
	read := reader(origin{Site: "test"}, time.Now)
	id := func(envelope, at, detail string) string {
		f, err := read([]byte(`{"id":"` + envelope + `","detail-type":"ECS Task State Change","source":"aws.ecs","time":"` + at + `","detail":` + detail + `}`))
		require.NoError(t, err)
		require.NotNil(t, f.task)
		assert.False(t, f.event.Time.IsZero())
		return f.event.ID
	}
	const arn = `{"taskArn":"arn:aws:ecs:eu-west-1:123456789012:task/prod/1","desiredStatus":"RUNNING",`
	running := arn + `"lastStatus":"RUNNING","createdAt":"2026-11-03T02:00:00Z"}`
	assert.Equal(t, id("a", "2026-11-03T02:00:30Z", running), id("b", "2026-11-03T02:09:00Z", running))
	assert.NotEqual(t, id("a", "2026-11-03T02:00:30Z", running), id("a", "2026-11-03T02:00:30Z", arn+`"lastStatus":"PENDING","createdAt":"2026-11-03T02:00:00Z"}`))
	id("c", "2026-11-03T02:00:30Z", arn+`"lastStatus":"PENDING"}`)
}
