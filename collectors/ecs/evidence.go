package ecs

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// evidence is what is known of a stop: its event, with the containers in the order of suspicion, and what was
// joined to it.
func evidence(r *saved, d *event.Data, j *joined) cause.Evidence {
	t := d.Task
	e := cause.Evidence{
		Task:     cause.Identity{Scope: d.Scope, Workload: d.Workload, Revision: d.Revision, Name: t.Name, Labels: d.Labels},
		StopCode: t.StopCode, StopReason: t.StopReason, StoppedAt: t.Times.Stopped,
		StartFailed: t.StopCode == failedStart, Service: r.Service != "",
		OwnAction: strings.HasPrefix(t.StopReason, event.OwnStop),
		Draining:  j.draining, Spot: j.spot, Host: cmp.Or(j.host, d.Node),
	}
	for i := range t.Containers {
		c := &t.Containers[i]
		e.Parts = append(e.Parts, cause.Part{Name: c.Name, Image: c.Image, ExitCode: c.ExitCode, Reason: c.Reason, Essential: c.Essential})
	}
	if len(t.Containers) > 0 {
		e.ExitCode, e.StateError, e.Task.Image = t.Containers[0].ExitCode, cmp.Or(t.Containers[0].Reason, t.StopReason), t.Containers[0].Image
	}
	if !t.Times.Started.IsZero() && t.Times.Stopped.After(t.Times.Started) {
		e.Ran = t.Times.Stopped.Sub(t.Times.Started)
	}
	if !t.Times.Stopping.IsZero() && t.Times.Stopped.After(t.Times.Stopping) {
		e.StopTook = t.Times.Stopped.Sub(t.Times.Stopping)
	}
	if r.Stop != nil {
		e.FailedAttachment = r.Stop.Attachment
		e.Unseen = r.Stop.Vanished
	}
	if r.Service != "" {
		e.Replaced, e.ReplacedBy = j.deployment != "", cmp.Or(j.brought, j.deployment)
		e.Deployment = cmp.Or(j.deployment, r.StartedBy)
	}
	if r.Asked != nil {
		e.Requester = r.Asked.By
	}
	return e
}

const failedStart = "TaskFailedToStart"

// suspects puts the containers into the order of suspicion and says which are essential: what others depend on
// before these, essential ones first, an exit code other than 0 before 0, and that before none.
func suspects(containers []event.Container, d *definition) {
	depth := map[string]int{}
	if d != nil {
		for i := range d.Containers {
			depth[d.Containers[i].Name] = d.depth(i, 0)
		}
		for i := range containers {
			if at := d.find(containers[i].Name); at >= 0 {
				essential := d.Containers[at].Essential
				containers[i].Essential = &essential
			}
		}
	}
	slices.SortStableFunc(containers, func(a, b event.Container) int {
		return cmp.Or(
			cmp.Compare(guilt(&a), guilt(&b)),
			cmp.Compare(depth[a.Name], depth[b.Name]),
		)
	})
}

// guilt is smaller the more a container's end tells.
func guilt(c *event.Container) int {
	rank := 0
	if c.Essential != nil && !*c.Essential {
		rank = 4
	}
	switch {
	case c.ExitCode != nil && *c.ExitCode != 0:
	case c.ExitCode == nil && c.Reason != "":
		rank++
	case c.ExitCode != nil:
		rank += 2
	default:
		rank += 3
	}
	return rank
}

func (d *definition) find(name string) int {
	return slices.IndexFunc(d.Containers, func(c definedContainer) bool { return c.Name == name })
}

// depth is how many containers have to be there, one after the other, before this one.
func (d *definition) depth(i, seen int) int {
	deepest := 0
	if seen >= len(d.Containers) { // a circle, which ECS does not accept
		return 0
	}
	for _, name := range d.Containers[i].DependsOn {
		if at := d.find(name); at >= 0 {
			deepest = max(deepest, 1+d.depth(at, seen+1))
		}
	}
	return deepest
}

// proves reports whether a task has ended, though perhaps not everything is known of it yet: on Fargate
// STOPPED comes half a minute after the last container's end.
func proves(t *task) bool {
	switch {
	case gone(t.LastStatus):
		return true
	case t.DesiredStatus != statusStopped:
		return false
	case t.StopCode == failedStart:
		return true
	case t.StopCode == "" && t.StoppedReason == "" || len(t.Containers) == 0:
		return false
	}
	return !slices.ContainsFunc(t.Containers, func(c container) bool { return c.Status != statusStopped })
}

// The words of ECS for where a task is.
const (
	statusRunning = "RUNNING"
	statusStopped = "STOPPED"
	statusDeleted = "DELETED"
)

func gone(status string) bool { return status == statusStopped || status == statusDeleted }

// rank orders the words, for records that have no version.
func rank(status string) int {
	return slices.Index([]string{
		"PROVISIONING", "PENDING", "ACTIVATING", statusRunning, "DEACTIVATING", "STOPPING", "DEPROVISIONING", statusStopped, statusDeleted,
	}, status)
}

// groupService returns the service that runs a task of this group, or empty.
func groupService(group string) string {
	name, ok := strings.CutPrefix(group, "service:")
	if !ok {
		return ""
	}
	return name
}

// familyOf returns the family of a task definition by its ARN.
func familyOf(definition string) string {
	name, _, _ := strings.Cut(lastPart(definition), ":")
	return name
}

// stoppingSince is when a task began to stop, as well as that is known.
func stoppingSince(e *event.Event) time.Time {
	for _, at := range []time.Time{e.Data.Task.Times.Stopping, e.Data.Task.Times.Stopped, e.Time} {
		if !at.IsZero() {
			return at
		}
	}
	return time.Time{}
}

// failedAttachment is the type of what could not be attached, or empty.
func failedAttachment(t *task) string {
	for i := range t.Attachments {
		if a := &t.Attachments[i]; a.Status == "FAILED" {
			return cmp.Or(a.Type, "attachment")
		}
	}
	return ""
}
