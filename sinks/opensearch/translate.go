package opensearch

import (
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// appendDocument appends the document of the event, written at now. Its field names are OpenTelemetry's
// where OpenTelemetry has one and the project's own words elsewhere; mappings.json maps each of them.
func appendDocument(b []byte, e *event.Event, now time.Time) []byte {
	w := writer{b: b}
	w.begin()
	d := &e.Data
	w.when("@timestamp", e.Time)
	w.text("message", d.Message)
	w.event(e, now)
	w.where(e)
	w.container(d)
	w.task(d)
	w.cause(d.Cause)
	w.changed(d.Changed)
	w.serviceStatus(d.Service)
	w.node(d.Host)
	w.image(d.Image)
	w.action(d.Action)
	w.incident(d.Incident)
	w.collector(d.Collector)
	w.native(d.Native)
	w.b = append(w.b, '}')
	return w.b
}

// event writes what is known of the event itself, its envelope and its way.
func (w *writer) event(e *event.Event, now time.Time) {
	o := w.open("event")
	w.text("id", e.ID)
	w.eventName(e.Type)
	w.text("sequence", e.Sequence)
	w.text("observed", string(e.Data.Observed))
	w.when("recorded", e.Recorded)
	w.when("ingested", now)
	w.text("causation_id", e.CausationID)
	w.text("supersedes", e.Data.Supersedes)
	w.list("truncated", e.Data.Truncated)
	w.close(o)

	o = w.open("cloudevents")
	w.text("event_type", string(e.Type))
	w.text("event_source", e.Source)
	w.text("event_subject", e.Subject)
	w.text("partition_key", e.PartitionKey)
	w.text("trace_parent", e.TraceParent)
	w.close(o)

	if e.Severity != 0 {
		o = w.open("severity")
		w.number("number", int64(e.Severity))
		w.text("text", e.Severity.String())
		w.close(o)
	}

	o = w.open("pipeline")
	w.between("observe_ms", e.Time, e.Recorded)
	w.between("latency_ms", e.Time, now)
	w.close(o)
}

// eventName writes kind and <kind>.<event>; a type that is not of this contract has neither.
func (w *writer) eventName(t event.Type) {
	kind, name := t.Kind(), t.Event()
	if kind == "" {
		return
	}
	w.text("kind", kind)
	w.name("name")
	w.b = append(w.b, '"')
	w.b = appendInner(w.b, kind)
	w.b = append(w.b, '.')
	w.b = appendInner(w.b, name)
	w.b = append(w.b, '"')
}

// appendInner appends a JSON string without its quotes.
func appendInner(b []byte, s string) []byte {
	w := writer{b: b}
	w.quote(s)
	return append(w.b[:len(b)], w.b[len(b)+1:len(w.b)-1]...)
}

// where writes the place: environment, runtime, scope, host, workload.
func (w *writer) where(e *event.Event) {
	d := &e.Data
	o := w.open("deployment")
	in := w.open("environment")
	w.text("name", d.Site)
	w.close(in)
	w.deployment(d.Deployment)
	w.close(o)

	o = w.open("orchestrator")
	w.text("type", string(d.Runtime))
	w.text("namespace", d.Scope)
	w.close(o)

	o = w.open("host")
	w.text("name", d.Node)
	if d.Host != nil {
		w.text("id", d.Host.Instance)
	}
	w.close(o)

	o = w.open("service")
	w.text("name", d.Workload)
	w.text("version", d.Revision)
	w.close(o)

	o = w.open("owner")
	w.text("name", d.Owner)
	w.close(o)

	o = w.open("cloud")
	in = w.open("account")
	w.text("id", d.Account)
	w.close(in)
	w.text("region", d.Region)
	if d.Task != nil {
		w.text("availability_zone", d.Task.Placement.Zone)
	}
	w.close(o)
}

func (w *writer) task(d *event.Data) {
	t := d.Task
	if t == nil {
		return
	}
	o := w.open("task")
	w.text("id", t.ID)
	w.text("name", t.Name)
	w.text("state", string(t.State))
	w.text("previous_state", string(t.PreviousState))
	w.text("desired_state", string(t.DesiredState))
	w.count("container_count", int64(len(t.Containers)))
	w.when("created_at", t.Times.Created)
	w.when("pull_started_at", t.Times.PullStarted)
	w.when("pull_stopped_at", t.Times.PullStopped)
	w.when("started_at", t.Times.Started)
	w.when("stopping_at", t.Times.Stopping)
	w.when("stopped_at", t.Times.Stopped)
	w.when("next_start_at", t.NextStart)
	w.platform(t)
	w.others(t.Containers)
	w.close(o)

	o = w.open("run")
	w.text("id", t.Run)
	w.between("duration_ms", t.Times.Started, t.Times.Stopped)
	w.coldStart(t.ColdStart)
	w.close(o)

	w.log(t.Log)
}

// container writes the container that tells most, and the labels.
func (w *writer) container(d *event.Data) {
	o := w.open("container")
	if d.Task != nil && len(d.Task.Containers) > 0 {
		c := &d.Task.Containers[culprit(d.Task.Containers, d.Cause)]
		w.containerFields(c)
		if c.ExitCode != nil || d.Task.State == event.StateStopped {
			w.flag("oom_killed", c.OOMKilled)
		}
	}
	w.labels(d.Labels)
	w.close(o)
}

func (w *writer) containerFields(c *event.Container) {
	w.text("id", c.ID)
	w.text("name", c.Name)
	if c.Image != "" || c.ImageDigest != "" {
		o := w.open("image")
		name, tag := splitImage(c.Image)
		w.text("name", name)
		w.text("tag", tag)
		w.text("digest", c.ImageDigest)
		w.close(o)
	}
	if c.ExitCode != nil {
		w.number("exit_code", *c.ExitCode)
	}
	w.text("signal", c.Signal)
	w.text("health", c.Health)
	w.text("health_output", c.HealthOutput)
	w.count("health_failures", c.HealthFailures)
	w.list("health_log", c.HealthLog)
	w.text("reason", c.Reason)
	w.count("restarts", c.Restarts)
	w.text("restart_policy", c.RestartPolicy)
	if c.Essential != nil {
		w.flag("essential", *c.Essential)
	}
}

// others keeps every container of a task that has several: in the source, not searchable.
func (w *writer) others(list []event.Container) {
	if len(list) < 2 {
		return
	}
	w.name("containers")
	w.b = append(w.b, '[')
	for i := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.begin()
		w.containerFields(&list[i])
		w.flag("oom_killed", list[i].OOMKilled)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

// culprit returns which container stands for the task: the one that its stop came from, else one out of memory,
// else failed, else unhealthy, else ended, else the first.
func culprit(list []event.Container, why *event.Cause) int {
	best, rank := 0, -1
	for i := range list {
		c := &list[i]
		if why != nil && why.Container != "" && c.Name == why.Container {
			return i
		}
		r := 0
		switch {
		case c.OOMKilled:
			r = 4
		case c.ExitCode != nil && *c.ExitCode != 0:
			r = 3
		case c.Health == "unhealthy":
			r = 2
		case c.ExitCode != nil:
			r = 1
		}
		if r > rank {
			best, rank = i, r
		}
	}
	return best
}

// splitImage takes the tag off an image reference; a digest is no part of either.
func splitImage(image string) (name, tag string) {
	name, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, ""
}
