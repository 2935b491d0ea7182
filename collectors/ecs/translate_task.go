package ecs

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const taskChange = "ECS Task State Change"

// translateTask makes the fact of a task's state.
func translateTask(r *record, o origin) (fact, error) {
	var d taskDetail
	if err := jsonv2.Unmarshal(r.Detail, &d, reading()); err != nil {
		return fact{}, whyNot(r.Detail, err)
	}
	if d.ARN == "" {
		d.ARN = r.resource("task")
	}
	if d.ARN == "" || d.LastStatus == "" {
		return fact{}, errors.New("taskArn or lastStatus is missing")
	}
	t := d.task()
	t.date(r.Time)
	f := factOf(t, o, event.ObservedStream)
	f.event.Data.Account = cmp.Or(f.event.Data.Account, r.Account)
	f.event.Data.Native.TimeNano = strconv.FormatInt(r.Time.UnixNano(), 10)
	return f, nil
}

// date gives a task that tells no time at all the one at which it was told.
func (t *task) date(told time.Time) {
	if t.at().IsZero() {
		t.Updated = told
	}
}

// identity is that of the state of a task: its version, or, where none is told, what it says itself. A copy of a
// record has the same.
func (t *task) identity() string {
	if t.Version == 0 {
		return event.NewID("ecs", t.ARN, t.LastStatus, t.DesiredStatus, stamp(t.at()))
	}
	return event.NewID("ecs", t.ARN, strconv.FormatInt(t.Version, 10))
}

// factOf is what a task tells that an event or DescribeTasks has told. The type of its event is the machine's to
// say. The same version of a task has the same identity, whoever told it.
func factOf(t task, o origin, observed event.Observed) fact {
	if t.Cluster == "" {
		t.Cluster = clusterIn(t.ARN)
	}
	id, arn := lastPart(t.ARN), splitARN(t.ARN)
	name := cmp.Or(groupService(t.Group), familyOf(t.Definition), strings.TrimPrefix(t.Group, "family:"))
	subject := event.SubjectOf(lastPart(t.Cluster), name, id)
	labels := withTags(nil, t.Tags)
	e := event.Event{
		ID:     t.identity(),
		Source: sourceOf(o, t.Cluster, arn.region), Type: event.TaskUpdated, Subject: subject, PartitionKey: subject, Time: t.at(),
		Data: event.Data{
			Site: o.Site, Runtime: event.ECS, Scope: lastPart(t.Cluster), Node: lastPart(t.Instance), Account: arn.account, Region: arn.region,
			Workload: name, Revision: t.revision(), Observed: observed,
			Owner: redact.Text(labels[collectors.LabelOwner]), Labels: labels,
			Task: t.section(id), Native: &event.Native{Action: taskChange},
		},
	}
	return fact{event: e, task: &t}
}

// section is the task as events have it.
func (t *task) section(id string) *event.Task {
	s := &event.Task{
		ID: id, Run: id, State: stateOf(t), Version: t.Version, StartedBy: redact.Text(t.StartedBy),
		StopCode: t.StopCode, StopReason: redact.Text(t.StoppedReason), CPUUnits: t.CPU, MemoryMiB: t.Memory,
		Times: event.Times{
			Created: t.Created, PullStarted: t.PullStarted, PullStopped: t.PullStopped, Started: t.Started,
			Stopping: t.Stopping, Stopped: cmpTime(t.ExecutionStopped, t.Stopped),
		},
		ColdStart: t.coldStart(),
		Placement: event.Placement{
			LaunchType: t.LaunchType, CapacityProvider: t.CapacityProvider, Zone: t.Zone, Instance: lastPart(t.Instance),
			Platform: strings.TrimSpace(t.PlatformFamily + " " + t.PlatformVersion),
		},
		Containers: make([]event.Container, 0, len(t.Containers)),
	}
	switch t.DesiredStatus {
	case statusStopped:
		s.DesiredState = event.StateStopped
	case statusRunning:
		s.DesiredState = event.StateRunning
	}
	for i := range t.Containers {
		c := &t.Containers[i]
		reason := redact.Text(c.Reason)
		s.Containers = append(s.Containers, event.Container{
			ID: cmp.Or(c.RuntimeID, lastPart(c.ARN)), Name: c.Name, Image: c.Image, ImageDigest: c.Digest, ExitCode: c.ExitCode,
			OOMKilled: strings.Contains(reason, "OutOfMemory"), Health: healthOf(c.Health), Reason: reason,
		})
	}
	return s
}

// stateOf is where the task is, as far as one record tells it.
func stateOf(t *task) event.State {
	switch {
	case gone(t.LastStatus):
		return event.StateStopped
	case t.DesiredStatus == statusStopped:
		return event.StateStopping
	case t.LastStatus == statusRunning:
		return event.StateRunning
	}
	return event.StateCreated
}

// healthOf is the health of a container; ECS says UNKNOWN of one without a check, too.
func healthOf(status string) string {
	switch status {
	case "HEALTHY", "UNHEALTHY":
		return strings.ToLower(status)
	}
	return ""
}

// at is when the task became what it is: the newest of what is told.
func (t *task) at() time.Time {
	if !t.Updated.IsZero() {
		return t.Updated
	}
	newest := t.Created
	for _, at := range []time.Time{t.PullStarted, t.PullStopped, t.Started, t.Stopping, t.ExecutionStopped, t.Stopped} {
		if at.After(newest) {
			newest = at
		}
	}
	return newest
}

// cmpTime is the first of two times that is known.
func cmpTime(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}

// coldStart is how long the phases of a start took, of a task that ran; nil of any other. Clocks of several
// machines are in it, so that a phase may seem to end before it began: that one is left out.
func (t *task) coldStart() *event.ColdStart {
	if t.Started.IsZero() || t.Created.IsZero() {
		return nil
	}
	c := &event.ColdStart{Total: lasted(t.Created, t.Started)}
	if !t.PullStarted.IsZero() {
		c.Provision = lasted(t.Created, t.PullStarted)
		c.Pull = lasted(t.PullStarted, t.PullStopped)
	}
	if !t.PullStopped.IsZero() {
		c.Start = lasted(t.PullStopped, t.Started)
	}
	return c
}

// lasted is the time between two moments in seconds, to the millisecond; 0 if one is not known or they are in
// the wrong order.
func lasted(from, to time.Time) float64 {
	if from.IsZero() || to.Before(from) {
		return 0
	}
	return float64(to.Sub(from).Milliseconds()) / 1000
}

// revision is the revision of the task definition, and what content its images had as soon as all are known.
func (t *task) revision() string {
	name := lastPart(t.Definition)
	var digests []string
	order := make([]*container, 0, len(t.Containers))
	for i := range t.Containers {
		order = append(order, &t.Containers[i])
	}
	slices.SortFunc(order, func(a, b *container) int { return cmp.Compare(a.Name, b.Name) })
	for _, c := range order {
		switch {
		case c.Image == "": // AWS put it beside the others
		case c.Digest == "":
			return name
		default:
			digests = append(digests, shortDigest(c.Digest))
		}
	}
	if len(digests) == 0 || name == "" {
		return name
	}
	return name + "@" + strings.Join(digests, "+")
}

func shortDigest(digest string) string {
	const enough = 8
	_, hex, found := strings.Cut(digest, ":")
	if !found {
		hex = digest
	}
	return hex[:min(len(hex), enough)]
}
