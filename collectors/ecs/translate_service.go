package ecs

import (
	"cmp"
	"errors"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// tidings are the details of the events that tell of services and deployments. See
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service_events.html and
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service_deployment_events.html.
type tidings struct {
	Level   string `json:"eventType"`
	Event   string `json:"eventName"`
	Cluster string `json:"clusterArn"`
	Reason  string `json:"reason"`
	Created moment `json:"createdAt"`
	Updated moment `json:"updatedAt"`

	Deployment        string `json:"deploymentId"`
	ServiceARN        string `json:"serviceArn"` // of hooks
	ServiceDeployment string `json:"serviceDeploymentArn"`
	Hook              string `json:"hookId"`

	Daemon           string `json:"daemonArn"`
	DaemonDeployment string `json:"daemonDeploymentArn"`
	TaskARN          string `json:"taskArn"`
	Failure          string `json:"failureType"`
}

func (r *record) tidings() (*tidings, error) {
	d := &tidings{}
	if err := jsonv2.Unmarshal(r.Detail, d, reading()); err != nil {
		return nil, whyNot(r.Detail, err)
	}
	if d.Event == "" {
		return nil, errors.New("eventName is missing")
	}
	d.Reason = redact.Text(d.Reason)
	return d, nil
}

// at is when it happened, which the time of the record may be long after.
func (d *tidings) at(r *record) time.Time {
	return cmpTime(cmpTime(d.Updated.time(), d.Created.time()), r.Time)
}

// told makes an event of tidings. resource is the ARN of what they are about; its identity has no version.
func (r *record) told(o origin, t event.Type, d *tidings, resource string) event.Event {
	cluster := cmp.Or(d.Cluster, clusterIn(resource))
	name := cmp.Or(lastPart(resource), lastPart(cluster), r.Source)
	e := r.event(o, t, place{cluster, lastPart(cluster), name, ""})
	e.ID = r.identity(resource, d.Event, stamp(cmpTime(d.Updated.time(), d.Created.time())), d.Deployment, d.Reason, d.Failure, d.TaskARN)
	e.Time = d.at(r)
	e.Data.Native.Record = safeRecord(r)
	e.Severity = severityOf(d.Event, d.Level)
	e.Data.Message = name + " " + sentenceOf(d.Event) + because(d.Reason)
	return e
}

// translateService makes the fact of what a service's scheduler tells.
func translateService(r *record, o origin) (fact, error) {
	d, err := r.tidings()
	if err != nil {
		return fact{}, err
	}
	service := cmp.Or(r.resource("service"), firstOf(r.Resources))
	e := r.told(o, event.ServiceUpdated, d, service)
	e.Data.Service = &event.Service{Name: lastPart(service), Event: d.Event, Level: d.Level, Reason: d.Reason}
	return fact{event: e}, nil
}

// translateDaemon makes the fact of what the scheduler of managed daemons tells. See
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-daemons-events.html.
func translateDaemon(r *record, o origin) (fact, error) {
	d, err := r.tidings()
	if err != nil {
		return fact{}, err
	}
	e := r.told(o, event.ServiceUpdated, d, d.Daemon)
	e.Data.Service = &event.Service{Name: lastPart(d.Daemon), Event: d.Event, Level: d.Level, Reason: d.Reason}
	return fact{event: e}, nil
}

// translateDeployment makes the fact of a deployment, which the stops of its service's tasks are joined to.
func translateDeployment(r *record, o origin) (fact, error) {
	d, err := r.tidings()
	if err != nil {
		return fact{}, err
	}
	if d.Deployment == "" {
		return fact{}, errors.New("deploymentId is missing")
	}
	service := cmp.Or(r.resource("service"), firstOf(r.Resources))
	e := r.told(o, event.DeploymentUpdated, d, service)
	state := deploymentState(d.Event, d.Reason)
	e.Data.Deployment = &event.Deployment{ID: d.Deployment, State: state, Event: d.Event, Level: d.Level, Reason: d.Reason}
	f := fact{event: e}
	if cluster := cmp.Or(d.Cluster, clusterIn(service)); cluster != "" && service != "" {
		f.note = &note{Deployment: d.Deployment, Cluster: cluster, Service: lastPart(service), State: state, At: e.Time}
	}
	return f, nil
}

// translateDaemonDeployment makes the fact of a deployment of a managed daemon.
func translateDaemonDeployment(r *record, o origin) (fact, error) {
	d, err := r.tidings()
	if err != nil {
		return fact{}, err
	}
	d.Deployment = lastPart(d.DaemonDeployment)
	e := r.told(o, event.DeploymentUpdated, d, d.Daemon)
	e.Data.Deployment = &event.Deployment{
		ID: d.Deployment, State: deploymentState(d.Event, d.Reason), Event: d.Event, Level: d.Level, Reason: d.Reason,
	}
	return fact{event: e}, nil
}

// translateHook makes the fact of a deployment that waits for somebody. See
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html.
func translateHook(r *record, o origin) (fact, error) {
	d, err := r.tidings()
	if err != nil {
		return fact{}, err
	}
	d.Deployment = cmp.Or(d.Deployment, lastPart(d.ServiceDeployment), d.Hook)
	e := r.told(o, event.DeploymentUpdated, d, cmp.Or(d.ServiceARN, r.resource("service"), firstOf(r.Resources)))
	state := deploymentState(d.Event, d.Reason)
	if strings.HasSuffix(d.Event, "AWAITING_ACTION") {
		state = "waiting"
	}
	e.Data.Deployment = &event.Deployment{ID: d.Deployment, State: state, Event: d.Event, Level: d.Level, Reason: d.Reason}
	return fact{event: e}, nil
}

// codeDeploy is the detail of a deployment of CodeDeploy. See
// https://docs.aws.amazon.com/codedeploy/latest/userguide/monitoring-cloudwatch-events.html.
type codeDeploy struct {
	ID          string `json:"deploymentId"`
	State       string `json:"state"`
	Application string `json:"application"`
	Group       string `json:"deploymentGroup"`
}

// translateCodeDeploy makes the fact of a deployment of CodeDeploy. It does not tell of which service.
func translateCodeDeploy(r *record, o origin) (fact, error) {
	var d codeDeploy
	if err := jsonv2.Unmarshal(r.Detail, &d, reading()); err != nil {
		return fact{}, whyNot(r.Detail, err)
	}
	if d.ID == "" || d.State == "" {
		return fact{}, errors.New("deploymentId or state is missing")
	}
	state, known := map[string]string{
		"START": "in_progress", "READY": "waiting", "SUCCESS": "completed", "FAILURE": "failed", "STOP": "stopped",
	}[d.State]
	if !known {
		state = strings.ToLower(d.State)
	}
	e := r.event(o, event.DeploymentUpdated, place{"", r.Source, d.Application, d.Group})
	e.ID = r.identity(d.ID, d.State, stamp(r.Time))
	e.Data.Deployment = &event.Deployment{ID: d.ID, State: state, Event: d.State}
	e.Data.Native.Record = safeRecord(r)
	e.Severity = event.Info
	if state == "failed" {
		e.Severity = event.Error
	}
	e.Data.Message = "deployment " + d.ID + " of " + cmp.Or(d.Application, "CodeDeploy") + " is " + strings.ReplaceAll(state, "_", " ")
	return fact{event: e}, nil
}

// deploymentState is the state of a deployment by the word of ECS. A rollback has the word of a deployment in
// progress, and only its reason tells.
func deploymentState(name, reason string) string {
	switch {
	case strings.HasSuffix(name, "ROLLBACK_IN_PROGRESS"):
		return "rolling_back"
	case strings.HasSuffix(name, "ROLLBACK_SUCCESSFUL"):
		return "stopped"
	case strings.HasSuffix(name, "_IN_PROGRESS") && strings.Contains(strings.ToLower(reason), "rolling back"):
		return "rolling_back"
	case strings.HasSuffix(name, "_IN_PROGRESS"), strings.HasSuffix(name, "_PENDING"), strings.HasSuffix(name, "_STOP_REQUESTED"):
		return "in_progress"
	case strings.HasSuffix(name, "_COMPLETED"), strings.HasSuffix(name, "_SUCCESSFUL"):
		return "completed"
	case strings.HasSuffix(name, "_FAILED"):
		return "failed"
	case strings.HasSuffix(name, "_STOPPED"):
		return "stopped"
	}
	return strings.ToLower(name)
}

// word is what an event name of ECS says: a sentence's end, and how bad that is. ECS's own level can't be
// trusted: a placement failure was seen as INFO, and daemons write WARNING for WARN.
type word struct {
	says     string
	severity event.Severity
}

var eventNames = map[string]word{
	"SERVICE_STEADY_STATE":                         {"has all the tasks that it wants", event.Info},
	"TASKSET_STEADY_STATE":                         {"has a task set with all its tasks", event.Info},
	"CAPACITY_PROVIDER_STEADY_STATE":               {"has all its tasks on its capacity providers", event.Info},
	"SERVICE_DESIRED_COUNT_UPDATED":                {"wants another number of tasks", event.Info},
	"TASKS_STOPPED":                                {"has stopped tasks", event.Info},
	"SERVICE_DEPLOYMENT_IN_PROGRESS":               {"is being deployed", event.Info},
	"SERVICE_DEPLOYMENT_COMPLETED":                 {"was deployed", event.Info},
	"SERVICE_DEPLOYMENT_FAILED":                    {"could not be deployed", event.Error},
	"SERVICE_TASK_START_IMPAIRED":                  {"can't get its tasks to run", event.Error},
	"SERVICE_DISCOVERY_INSTANCE_UNHEALTHY":         {"has an unhealthy task in service discovery", event.Warn},
	"VPC_LATTICE_TARGET_UNHEALTHY":                 {"has an unhealthy task behind VPC Lattice", event.Warn},
	"SERVICE_TASK_PLACEMENT_FAILURE":               {"finds no place for a task", event.Error},
	"SERVICE_TASK_CONFIGURATION_FAILURE":           {"can't start a task as it is configured", event.Error},
	"SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED": {"has a daemon task where it must not be", event.Error},
	"ECS_OPERATION_THROTTLED":                      {"waits, because ECS is throttled", event.Warn},
	"SERVICE_DISCOVERY_OPERATION_THROTTLED":        {"waits, because service discovery is throttled", event.Warn},
	"SERVICE_HEALTH_UNKNOWN":                       {"can't learn how healthy its tasks are", event.Warn},
	"DAEMON_TASK_START_IMPAIRED":                   {"can't get its daemon task to run", event.Error},
	"DAEMON_DEPLOYMENT_ROLLBACK_FAILED":            {"could not be rolled back", event.Error},
	"DAEMON_DEPLOYMENT_ROLLBACK_IN_PROGRESS":       {"is being rolled back", event.Warn},
	"DAEMON_DEPLOYMENT_ROLLBACK_SUCCESSFUL":        {"was rolled back", event.Warn},
	"HOOK_AWAITING_ACTION":                         {"waits in its deployment until somebody continues it", event.Warn},
}

func sentenceOf(name string) string {
	if w, ok := eventNames[name]; ok {
		return w.says
	}
	return "tells " + name
}

func severityOf(name, level string) event.Severity {
	if w, ok := eventNames[name]; ok {
		return w.severity
	}
	switch level {
	case "ERROR":
		return event.Error
	case "WARN", "WARNING":
		return event.Warn
	}
	return event.Info
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
