package awsfake

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Event is an event of EventBridge, as a rule without an input transformer delivers it.
type Event struct {
	ID         string // empty: a new one
	DetailType string
	Source     string    // empty: aws.ecs
	Time       time.Time // of emission; zero: now
	Resources  []string
	Detail     any // what json.Marshal takes
}

// Envelope writes an event as a target gets it.
func (a *AWS) Envelope(e Event) string {
	if e.ID == "" {
		e.ID = a.uuid()
	}
	if e.Source == "" {
		e.Source = "aws.ecs"
	}
	if e.Time.IsZero() {
		e.Time = a.Now()
	}
	if e.Resources == nil {
		e.Resources = []string{}
	}
	body, err := json.Marshal(map[string]any{
		"version": "0", "id": e.ID, "detail-type": e.DetailType, "source": e.Source, "account": a.o.Account,
		"time": e.Time.UTC().Format("2006-01-02T15:04:05Z"), "region": a.o.Region, "resources": e.Resources, "detail": e.Detail,
	})
	if err != nil {
		return fmt.Sprintf("the test's detail has no JSON: %v", err)
	}
	return string(body)
}

// Emit puts an event into a queue and returns its body.
func (a *AWS) Emit(q *Queue, e Event) string {
	body := a.Envelope(e)
	q.Send(body)
	return body
}

// TaskEvent is the task state change of a task as it is in t, which need not be its newest state.
func (a *AWS) TaskEvent(t types.Task) string {
	return a.Envelope(Event{DetailType: "ECS Task State Change", Resources: []string{text(t.TaskArn)}, Detail: TaskDetail(t)})
}

// EmitTaskEvent puts the task state change of a task as it is in t into a queue and returns its body. Sent
// late, in another order or twice it is what EventBridge does on a bad day: a copy has an envelope id of its
// own and the same version.
func (a *AWS) EmitTaskEvent(q *Queue, t types.Task) string {
	body := a.TaskEvent(t)
	q.Send(body)
	return body
}

// TaskDetail is the detail of a task's event: what DescribeTasks tells, with times as texts, other words for
// attachments and managed agents, and without health and tags, which events never have.
func TaskDetail(t types.Task) map[string]any {
	body, err := encode(answer{output: &t})
	detail := map[string]any{}
	if err == nil {
		err = json.Unmarshal(body, &detail)
	}
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	for _, only := range []string{"healthStatus", "tags", "inferenceAccelerators", "fargateEphemeralStorage"} {
		delete(detail, only)
	}
	for _, name := range []string{"connectivityAt", "createdAt", "executionStoppedAt", "pullStartedAt", "pullStoppedAt", "startedAt", "stoppedAt", "stoppingAt"} {
		if seconds, ok := detail[name].(float64); ok {
			detail[name] = iso(time.UnixMilli(int64(seconds * 1000)))
		}
	}
	detail["updatedAt"] = iso(changed(t))
	each(detail["attachments"], func(attachment map[string]any) {
		if attachment["type"] == "ElasticNetworkInterface" {
			attachment["type"] = "eni"
		}
	})
	each(detail["containers"], func(c map[string]any) {
		delete(c, "healthStatus")
		each(c["managedAgents"], func(agent map[string]any) {
			agent["status"] = agent["lastStatus"]
			delete(agent, "lastStatus")
		})
	})
	return detail
}

func each(list any, do func(map[string]any)) {
	items, _ := list.([]any)
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			do(m)
		}
	}
}

// changed is the newest time that a task tells.
func changed(t types.Task) time.Time {
	newest := time.Time{}
	for _, at := range []*time.Time{t.CreatedAt, t.ConnectivityAt, t.PullStartedAt, t.PullStoppedAt, t.StartedAt, t.StoppingAt, t.ExecutionStoppedAt, t.StoppedAt} {
		if at != nil && at.After(newest) {
			newest = *at
		}
	}
	return newest
}

// ServiceARN is the ARN of a service of a cluster, which its actions have in resources.
func (a *AWS) ServiceARN(cluster, service string) string {
	return a.arn("service/" + short(cluster) + "/" + short(service))
}

// ClusterARN is the ARN of a cluster.
func (a *AWS) ClusterARN(cluster string) string { return a.arn("cluster/" + short(cluster)) }

// ServiceAction is an ECS Service Action, such as SERVICE_TASK_PLACEMENT_FAILURE at level ERROR with its reason.
func (a *AWS) ServiceAction(cluster, service, level, name, reason string) string {
	detail := map[string]any{"eventType": level, "eventName": name, "clusterArn": a.ClusterARN(cluster), "createdAt": iso(a.Now())}
	if reason != "" {
		detail["reason"] = reason
	}
	return a.Envelope(Event{DetailType: "ECS Service Action", Resources: []string{a.ServiceARN(cluster, service)}, Detail: detail})
}

// DeploymentChange is an ECS Deployment State Change of a deployment, such as ecs-svc/123; name is such as
// SERVICE_DEPLOYMENT_IN_PROGRESS.
func (a *AWS) DeploymentChange(cluster, service, deployment, name, reason string) string {
	level := "INFO"
	if strings.HasSuffix(name, "FAILED") {
		level = "ERROR"
	}
	return a.Envelope(Event{DetailType: "ECS Deployment State Change", Resources: []string{a.ServiceARN(cluster, service)}, Detail: map[string]any{
		"eventType": level, "eventName": name, "deploymentId": deployment, "updatedAt": iso(a.Now()), "reason": reason, "clusterArn": a.ClusterARN(cluster),
	}})
}

func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999Z") }
