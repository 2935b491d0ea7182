package awsfake

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func once(o *ecs.Options) { o.RetryMaxAttempts = 1 }

// payTask is a running task of service pay of cluster prod.
func payTask(a *AWS) types.Task {
	d := a.PutDefinition(types.TaskDefinition{Family: aws.String("pay"), ContainerDefinitions: []types.ContainerDefinition{
		{Name: aws.String("app"), Image: aws.String("registry.example/pay:7"), Essential: aws.Bool(true)},
	}})
	a.PutService("prod", types.Service{ServiceName: aws.String("pay"), DesiredCount: 1, TaskDefinition: d.TaskDefinitionArn, Tags: []types.Tag{
		{Key: aws.String("bellbuoy:restart"), Value: aws.String("enabled")},
	}})
	t := a.NewTask("prod", d, NewTask{Service: "pay"})
	states := a.Start(*t.TaskArn, 5*time.Second)
	return states[len(states)-1]
}

func TestListIsPaged(t *testing.T) {
	a := Start(t, Options{})
	c := ecs.NewFromConfig(a.Config())
	for i := range 250 {
		a.PutTask(types.Task{ClusterArn: aws.String("prod"), Group: aws.String("service:pay"), TaskDefinitionArn: aws.String(fmt.Sprintf("pay:%d", i))})
	}
	a.PutTask(types.Task{ClusterArn: aws.String("prod-2")})
	var sizes []int
	pages := ecs.NewListTasksPaginator(c, &ecs.ListTasksInput{Cluster: aws.String("prod")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		sizes = append(sizes, len(page.TaskArns))
	}
	assert.Equal(t, []int{100, 100, 50}, sizes)
	_, err := c.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("prod"), NextToken: aws.String("made up")})
	assert.Equal(t, "InvalidParameterException", codeOf(err))
	_, err = c.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("pro")})
	var unknown *types.ClusterNotFoundException
	require.ErrorAs(t, err, &unknown)
	var none *types.ServiceNotFoundException
	_, err = c.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("prod"), ServiceName: aws.String("none")})
	require.ErrorAs(t, err, &none)
}

func TestTasksAreDescribed(t *testing.T) {
	a := Start(t, Options{})
	c := ecs.NewFromConfig(a.Config(), once)
	task := payTask(a)
	out, err := c.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String("prod"), Tasks: []string{*task.TaskArn, "gone"}})
	require.NoError(t, err)
	require.Len(t, out.Tasks, 1)
	got := out.Tasks[0]
	assert.Equal(t, int64(3), got.Version)
	assert.Equal(t, "RUNNING", *got.LastStatus)
	assert.Equal(t, task.StartedAt.UnixMilli(), got.StartedAt.UnixMilli())
	assert.Equal(t, "app", *got.Containers[0].Name)
	require.Len(t, out.Failures, 1)
	assert.Equal(t, "MISSING", *out.Failures[0].Reason)

	_, err = c.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String("prod"), Tasks: strings.Fields(strings.Repeat("x ", 101))})
	assert.Equal(t, "InvalidParameterException", codeOf(err))
	a.PutCluster("other")
	_, err = c.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String("other"), Tasks: []string{*task.TaskArn}})
	assert.Equal(t, "InvalidParameterException", codeOf(err))
}

func TestServicesAndTagsAndDefinitions(t *testing.T) {
	a := Start(t, Options{})
	c := ecs.NewFromConfig(a.Config(), once)
	task := payTask(a)
	out, err := c.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("prod"), Services: []string{"pay", "none"}, Include: []types.ServiceField{types.ServiceFieldTags}})
	require.NoError(t, err)
	require.Len(t, out.Services, 1)
	require.Len(t, out.Failures, 1)
	assert.Equal(t, *task.StartedBy, *out.Services[0].Deployments[0].Id)
	assert.Equal(t, "enabled", *out.Services[0].Tags[0].Value)

	tags, err := c.ListTagsForResource(t.Context(), &ecs.ListTagsForResourceInput{ResourceArn: out.Services[0].ServiceArn})
	require.NoError(t, err)
	assert.Len(t, tags.Tags, 1)
	d, err := c.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: task.TaskDefinitionArn})
	require.NoError(t, err)
	assert.True(t, *d.TaskDefinition.ContainerDefinitions[0].Essential)
	_, err = c.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("pay:9")})
	assert.Equal(t, "ClientException", codeOf(err))
}

func TestStoppedTaskIsForgotten(t *testing.T) {
	a := Start(t, Options{})
	c := ecs.NewFromConfig(a.Config(), once)
	task := payTask(a)
	told := a.Stop(*task.TaskArn, Stop{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", Exit: map[string]int32{"app": 137}})
	require.Len(t, told, 3)
	list := func(status types.DesiredStatus) []string {
		out, err := c.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("prod"), DesiredStatus: status})
		require.NoError(t, err)
		return out.TaskArns
	}
	assert.Empty(t, list(""))
	assert.Equal(t, []string{*task.TaskArn}, list(types.DesiredStatusStopped))
	a.Advance(61 * time.Minute)
	assert.Empty(t, list(types.DesiredStatusStopped))
	out, err := c.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String("prod"), Tasks: []string{*task.TaskArn}})
	require.NoError(t, err)
	assert.Len(t, out.Failures, 1)
}

func TestReadsAreLate(t *testing.T) {
	a := Start(t, Options{Consistency: time.Minute})
	c := ecs.NewFromConfig(a.Config(), once)
	task := payTask(a)
	in := &ecs.DescribeTasksInput{Cluster: aws.String("prod"), Tasks: []string{*task.TaskArn}}
	out, err := c.DescribeTasks(t.Context(), in)
	require.NoError(t, err)
	assert.Len(t, out.Failures, 1, "it is too new")
	a.Advance(52 * time.Second)
	out, err = c.DescribeTasks(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, "PROVISIONING", *out.Tasks[0].LastStatus)
	a.Advance(time.Minute)
	out, err = c.DescribeTasks(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, "RUNNING", *out.Tasks[0].LastStatus)
}

func TestBuckets(t *testing.T) {
	a := Start(t, Options{Buckets: true})
	c := ecs.NewFromConfig(a.Config(), once)
	a.PutCluster("prod")
	list := func() error {
		_, err := c.ListClusters(t.Context(), &ecs.ListClustersInput{})
		return err
	}
	a.skew.Store(0)
	refused := 0
	for range 120 {
		if err := list(); err != nil {
			assert.Equal(t, "ThrottlingException", codeOf(err))
			refused++
		}
	}
	assert.Positive(t, refused)
	assert.Equal(t, refused, a.Throttled())
	a.Advance(time.Second)
	require.NoError(t, list())
	assert.Equal(t, 121, a.Count("ecs:ListClusters"))
}

func TestTasksAreStoppedAndRun(t *testing.T) {
	a := Start(t, Options{})
	c := ecs.NewFromConfig(a.Config(), once)
	task := payTask(a)
	stopped, err := c.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: aws.String("prod"), Task: task.TaskArn, Reason: aws.String("bellbuoy/hung")})
	require.NoError(t, err)
	assert.Equal(t, []string{"RUNNING", "STOPPED", "UserInitiated", "bellbuoy/hung"},
		[]string{*stopped.Task.LastStatus, *stopped.Task.DesiredStatus, string(stopped.Task.StopCode), *stopped.Task.StoppedReason})
	again, err := c.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: aws.String("prod"), Task: task.TaskArn})
	require.NoError(t, err)
	assert.Equal(t, stopped.Task.Version, again.Task.Version, "it is idempotent")

	job := a.PutDefinition(types.TaskDefinition{Family: aws.String("job"), ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/pull")})
	_, err = c.RunTask(t.Context(), &ecs.RunTaskInput{Cluster: aws.String("jobs"), TaskDefinition: job.TaskDefinitionArn})
	assert.Equal(t, "ClusterNotFoundException", codeOf(err))
	assert.Empty(t, a.PassedRoles())
	a.PutCluster("jobs")
	_, err = c.RunTask(t.Context(), &ecs.RunTaskInput{Cluster: aws.String("jobs"), TaskDefinition: job.TaskDefinitionArn})
	require.NoError(t, err)
	assert.Equal(t, []string{"arn:aws:iam::123456789012:role/pull"}, a.PassedRoles())

	run := &ecs.RunTaskInput{Cluster: aws.String("prod"), TaskDefinition: aws.String("pay"), ClientToken: aws.String("token"), Count: aws.Int32(2), LaunchType: types.LaunchTypeEc2}
	first, err := c.RunTask(t.Context(), run)
	require.NoError(t, err)
	require.Len(t, first.Tasks, 2)
	second, err := c.RunTask(t.Context(), run)
	require.NoError(t, err)
	assert.Equal(t, *first.Tasks[1].TaskArn, *second.Tasks[1].TaskArn)
	assert.Len(t, a.Tasks("prod"), 3)
	run.Count = aws.Int32(1)
	_, err = c.RunTask(t.Context(), run)
	var conflict *types.ConflictException
	require.ErrorAs(t, err, &conflict)
	run.Count, run.ClientToken = aws.Int32(11), nil
	_, err = c.RunTask(t.Context(), run)
	assert.Equal(t, "InvalidParameterException", codeOf(err))
}

func TestForcedDeployment(t *testing.T) {
	a := Start(t, Options{})
	c := ecs.NewFromConfig(a.Config(), once)
	payTask(a)
	for range 2 {
		_, err := c.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: aws.String("prod"), Service: aws.String("pay"), ForceNewDeployment: true})
		require.NoError(t, err)
	}
	s := a.Services("prod")[0]
	require.Len(t, s.Deployments, 3, "each call makes one")
	assert.Equal(t, types.DeploymentRolloutStateInProgress, s.Deployments[0].RolloutState)
	assert.Len(t, a.CompleteDeployment("prod", "pay").Deployments, 1)
	_, err := c.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: aws.String("prod"), Service: aws.String("none"), ForceNewDeployment: true})
	var none *types.ServiceNotFoundException
	require.ErrorAs(t, err, &none)
}

func TestTaskEvent(t *testing.T) {
	var told []types.Task
	a := Start(t, Options{OnTask: func(task types.Task) { told = append(told, task) }})
	q := a.CreateQueue("events", nil)
	task := payTask(a)
	a.Stop(*task.TaskArn, Stop{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", Exit: map[string]int32{"app": 1}})
	for _, task := range told {
		a.EmitTaskEvent(q, task)
	}
	require.Len(t, q.Bodies(), 6)
	body := a.EmitTaskEvent(q, told[5])
	var e struct {
		Type   string `json:"detail-type"`
		Detail struct {
			Version                            int
			LastStatus, StoppedAt, UpdatedAt   string
			Attachments                        []struct{ Type, Status string }
			Containers                         []struct{ ExitCode *int }
			ExecutionStoppedAt, StartedAt, Cpu string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &e))
	assert.Equal(t, "ECS Task State Change", e.Type)
	assert.Equal(t, 6, e.Detail.Version)
	assert.Equal(t, "STOPPED", e.Detail.LastStatus)
	assert.Equal(t, "eni", e.Detail.Attachments[0].Type)
	assert.Equal(t, 1, *e.Detail.Containers[0].ExitCode)
	executed, err := time.Parse(time.RFC3339, e.Detail.ExecutionStoppedAt)
	require.NoError(t, err)
	stopped, err := time.Parse(time.RFC3339, e.Detail.StoppedAt)
	require.NoError(t, err)
	assert.InDelta(t, 23, stopped.Sub(executed).Seconds(), 1)
	assert.NotContains(t, body, "tags")
}
