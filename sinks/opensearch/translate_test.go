package opensearch

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

func written() time.Time { return time.Date(2026, 11, 24, 10, 0, 5, 0, time.UTC) }

// full returns an event of which every field is set, whatever fields the contract grows.
func full(t testing.TB) event.Event {
	t.Helper()
	var e event.Event
	n := 0
	fill(reflect.ValueOf(&e).Elem(), &n)
	e.Type = event.TaskStopped
	e.Data.Task.Containers = e.Data.Task.Containers[:1]
	e.Data.Task.Containers[0].Image = "registry:5000/pay:v2"
	e.Data.Task.Containers = append(e.Data.Task.Containers, event.Container{ID: "side"})
	e.Time = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	e.Recorded = e.Time.Add(time.Second)
	return e
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 24, 9, *n, 0, *n, time.UTC)))
		return
	case map[string]string:
		v.Set(reflect.ValueOf(map[string]string{"com.example.team": "pay\n\"ments", "b": fmt.Sprint(*n)}))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d \"quoted\" <é>", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) / 4)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("a field of a kind that this test does not know: " + v.Kind().String())
	}
}

func document(t testing.TB, e *event.Event) map[string]any {
	t.Helper()
	b := appendDocument(nil, e, written())
	require.True(t, jsontext.Value(b).IsValid(), "not JSON, or a member comes twice: %s", b)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(b, &doc), "%s", b)
	return doc
}

// reference builds the document plainly, for comparison.
func reference(e *event.Event) map[string]any {
	d, t, c := e.Data, e.Data.Task, e.Data.Task.Containers[0]
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	container := func(c event.Container) map[string]any {
		name, tag := splitImage(c.Image)
		m := map[string]any{
			"id": c.ID, "name": c.Name, "signal": c.Signal, "health": c.Health,
			"health_output": c.HealthOutput, "health_failures": c.HealthFailures, "health_log": c.HealthLog, "reason": c.Reason, "restarts": c.Restarts, "restart_policy": c.RestartPolicy,
			"image": map[string]any{"name": name, "tag": tag, "digest": c.ImageDigest}, "oom_killed": c.OOMKilled,
		}
		if c.ExitCode != nil {
			m["exit_code"] = *c.ExitCode
		}
		if c.Essential != nil {
			m["essential"] = *c.Essential
		}
		return m
	}
	culprit := container(c)
	culprit["label"] = d.Labels
	family, _, _ := strings.Cut(d.Cause.Class, ".")
	return map[string]any{
		"@timestamp": at(e.Time), "message": d.Message,
		"event": map[string]any{
			"id": e.ID, "kind": "task", "name": "task.stopped", "sequence": e.Sequence, "observed": d.Observed, "recorded": at(e.Recorded),
			"ingested": at(written()), "causation_id": e.CausationID, "supersedes": d.Supersedes, "truncated": d.Truncated,
		},
		"cloudevents":  map[string]any{"event_type": e.Type, "event_source": e.Source, "event_subject": e.Subject, "partition_key": e.PartitionKey, "trace_parent": e.TraceParent},
		"severity":     map[string]any{"number": e.Severity, "text": e.Severity.String()},
		"pipeline":     map[string]any{"observe_ms": 1000, "latency_ms": 5000},
		"deployment":   map[string]any{"environment": map[string]any{"name": d.Site}, "id": d.Deployment.ID, "state": d.Deployment.State, "event": d.Deployment.Event, "level": d.Deployment.Level, "reason": d.Deployment.Reason},
		"orchestrator": map[string]any{"type": d.Runtime, "namespace": d.Scope},
		"host":         map[string]any{"name": d.Node, "id": d.Host.Instance},
		"service":      map[string]any{"name": d.Workload, "version": d.Revision},
		"owner":        map[string]any{"name": d.Owner},
		"cloud":        map[string]any{"availability_zone": t.Placement.Zone, "region": d.Region, "account": map[string]any{"id": d.Account}},
		"container":    culprit,
		"task": map[string]any{
			"id": t.ID, "name": t.Name, "state": t.State, "previous_state": t.PreviousState, "desired_state": t.DesiredState,
			"container_count": 2, "created_at": at(t.Times.Created), "pull_started_at": at(t.Times.PullStarted), "pull_stopped_at": at(t.Times.PullStopped),
			"started_at": at(t.Times.Started), "stopping_at": at(t.Times.Stopping), "stopped_at": at(t.Times.Stopped), "next_start_at": at(t.NextStart),
			"launch_type": t.Placement.LaunchType, "capacity_provider": t.Placement.CapacityProvider, "container_instance": t.Placement.Instance, "platform": t.Placement.Platform,
			"version": t.Version, "started_by": t.StartedBy, "stop_code": t.StopCode, "stop_reason": t.StopReason, "cpu_units": t.CPUUnits, "memory_mib": t.MemoryMiB,
			"containers": []any{container(c), map[string]any{"id": "side", "oom_killed": false}},
		},
		"run": map[string]any{"id": t.Run, "duration_ms": t.Times.Stopped.Sub(t.Times.Started).Milliseconds(), "cold_start": map[string]any{
			"provision_s": t.ColdStart.Provision, "pull_s": t.ColdStart.Pull, "start_s": t.ColdStart.Start, "total_s": t.ColdStart.Total,
		}},
		"log": map[string]any{"tail": strings.Join(t.Log.Lines, "\n"), "cut": t.Log.Cut, "none": t.Log.None},
		"cause": map[string]any{
			"class": d.Cause.Class, "family": family, "confidence": d.Cause.Confidence, "initiator": d.Cause.Initiator,
			"expected": d.Cause.Expected, "say": d.Cause.Say, "evidence": d.Cause.Evidence, "rule": d.Cause.Rule,
			"initiator_name": d.Cause.InitiatorName, "container": d.Cause.Container, "token": d.Cause.Token, "next": d.Cause.Next,
		},
		"changed": map[string]any{
			"what": []string{d.Changed[0].What, d.Changed[1].What},
			"say":  []string{d.Changed[0].What + ": " + d.Changed[0].From + " → " + d.Changed[0].To, d.Changed[1].What + ": " + d.Changed[1].From + " → " + d.Changed[1].To},
		},
		"service_status": map[string]any{
			"name": d.Service.Name, "event": d.Service.Event, "level": d.Service.Level, "reason": d.Service.Reason,
			"desired": d.Service.Counts.Desired, "running": d.Service.Counts.Running, "pending": d.Service.Counts.Pending,
		},
		"node": map[string]any{"id": d.Host.ID, "status": d.Host.Status, "agent": d.Host.Agent, "reason": d.Host.Reason, "checks": d.Host.Checks},
		"image": map[string]any{
			"repository": d.Image.Repository, "tag": d.Image.Tag, "digest": d.Image.Digest, "action": d.Image.Action, "result": d.Image.Result,
			"critical": d.Image.Critical, "high": d.Image.High,
		},
		"action": map[string]any{
			"id": d.Action.ID, "handler": d.Action.Handler, "mode": d.Action.Mode, "kind": d.Action.Kind, "reason": d.Action.Reason,
			"rule": d.Action.Rule, "attempt": d.Action.Attempt, "budget": d.Action.Budget, "run": d.Action.Run,
		},
		"incident": map[string]any{
			"id": d.Incident.ID, "state": d.Incident.State, "transition": d.Incident.Transition, "family": d.Incident.Family, "title": d.Incident.Title,
			"reason": d.Incident.Reason, "stops": d.Incident.Stops, "restarts": d.Incident.Restarts, "flaps": d.Incident.Flaps,
			"tasks": d.Incident.Tasks, "task_count": d.Incident.TaskCount, "nodes": d.Incident.Nodes, "running": d.Incident.Running, "desired": d.Incident.Desired,
			"causes": d.Incident.Causes, "done": d.Incident.Done, "recent": d.Incident.Recent, "healthy_at": at(d.Incident.Healthy),
			"opened_at": at(d.Incident.Opened), "last_at": at(d.Incident.Last), "resolved_at": at(d.Incident.Resolved), "downtime_ms": d.Incident.DowntimeMS,
			"recovery": d.Incident.Recovery, "silenced": d.Incident.Silenced, "within": d.Incident.Within, "escalation_s": d.Incident.Escalation,
		},
		"collector": map[string]any{
			"name": d.Collector.Name, "engine": d.Collector.Engine, "version": d.Collector.Version, "from": at(d.Collector.From), "to": at(d.Collector.To),
			"gap_ms": d.Collector.To.Sub(d.Collector.From).Milliseconds(), "reason": d.Collector.Reason, "reconciled": d.Collector.Reconciled,
			"unknown_codes": d.Collector.UnknownCodes, "unseen_runs": d.Collector.UnseenRuns,
			"unknown": d.Collector.Unknown, "containers": d.Collector.Containers, "workloads": d.Collector.Workloads, "peer": d.Collector.Peer,
		},
		"native": map[string]any{"action": d.Native.Action, "time_nano": d.Native.TimeNano, "record": d.Native.Record},
	}
}

func TestDocumentEqualsThePlainReference(t *testing.T) {
	e := full(t)
	want, err := json.Marshal(reference(&e))
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(appendDocument(nil, &e, written())))
}

// Every value of the event must be somewhere in the document: a field that the contract gains must not
// be forgotten here.
func TestNothingOfTheEventIsLost(t *testing.T) {
	e := full(t)
	doc := string(appendDocument(nil, &e, written()))
	quoted, err := json.Marshal(e)
	require.NoError(t, err)
	var tree any
	require.NoError(t, json.Unmarshal(quoted, &tree))
	walk(tree, "", func(path, text string) {
		if strings.HasSuffix(path, ".image") || path == ".time" || path == ".recordedtime" {
			return // split in two, covered by the reference
		}
		inner := string(appendInner(nil, text))
		assert.Contains(t, doc, inner, "%s is not in the document", path)
	})
}

func walk(v any, path string, visit func(path, text string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			walk(inner, path+"."+k, visit)
		}
	case []any:
		for _, inner := range v {
			walk(inner, path, visit)
		}
	case string:
		visit(path, v)
	}
}

func TestAnEventWithoutDataIsADocument(t *testing.T) {
	doc := document(t, &event.Event{ID: "bare"})
	require.Equal(t, map[string]any{"event": map[string]any{"id": "bare", "ingested": "2026-11-24T10:00:05Z"}}, doc)
}

func TestLabelsBecomeFieldNamesThatTheIndexTakes(t *testing.T) {
	e := event.Event{ID: "x", Data: event.Data{Labels: map[string]string{
		"": "empty", ".": "dot", "..": "dots", "a": "leaf", "a.b": "below", "z": strings.Repeat("é", maxLabelValue), "bad\xff": "utf8\xff",
		strings.Repeat("k", 2*maxLabelKey): "long",
	}}}
	labels := document(t, &e)["container"].(map[string]any)["label"].(map[string]any)
	require.Equal(t, "empty", labels["_"])
	require.Equal(t, "dot", labels["__"])
	require.Equal(t, "leaf", labels["a"])
	require.Equal(t, "below", labels["a.b"])
	require.Equal(t, strings.Repeat("é", maxLabelValue/2), labels["z"])
	require.Equal(t, "long", labels[strings.Repeat("k", maxLabelKey)])
	require.Equal(t, "utf8\uFFFD", labels["bad\uFFFD"])
}

func TestTheContainerThatTellsMostStandsForTheTask(t *testing.T) {
	code := func(n int64) *int64 { return &n }
	running, ended, failed := event.Container{ID: "running"}, event.Container{ID: "ended", ExitCode: code(0)}, event.Container{ID: "failed", ExitCode: code(3)}
	sick, oom := event.Container{ID: "sick", Health: "unhealthy"}, event.Container{ID: "oom", OOMKilled: true, ExitCode: code(137)}
	for _, c := range []struct {
		want string
		list []event.Container
	}{
		{"running", []event.Container{running, running}},
		{"ended", []event.Container{running, ended}},
		{"sick", []event.Container{ended, sick}},
		{"failed", []event.Container{sick, failed, ended}},
		{"oom", []event.Container{failed, oom}},
		{"failed", []event.Container{failed, {ID: "later", ExitCode: code(4)}}},
	} {
		require.Equal(t, c.want, c.list[culprit(c.list, nil)].ID)
		require.Equal(t, c.want, c.list[culprit(c.list, &event.Cause{Container: "elsewhere"})].ID)
	}
	require.Equal(t, 1, culprit([]event.Container{oom, {Name: "job"}}, &event.Cause{Container: "job"}), "the cause knows better")
}

func TestImageReferencesAreSplit(t *testing.T) {
	for image, want := range map[string][2]string{
		"busybox":                          {"busybox", ""},
		"busybox:1.36":                     {"busybox", "1.36"},
		"registry:5000/team/pay":           {"registry:5000/team/pay", ""},
		"registry:5000/team/pay:v2":        {"registry:5000/team/pay", "v2"},
		"pay@sha256:0011":                  {"pay", ""},
		"registry:5000/pay:v2@sha256:0011": {"registry:5000/pay", "v2"},
		"":                                 {"", ""},
	} {
		name, tag := splitImage(image)
		require.Equal(t, want, [2]string{name, tag}, image)
	}
}

func TestTheIndexIsTheEventsOwnISOWeek(t *testing.T) {
	for at, want := range map[string]string{
		"2026-11-24T10:00:00Z":      "bellbuoy-events-2026.48",
		"2026-11-22T23:59:59Z":      "bellbuoy-events-2026.47",
		"2026-11-23T00:30:00+02:00": "bellbuoy-events-2026.47", // still Sunday in UTC
		"2027-01-01T00:00:00Z":      "bellbuoy-events-2026.53",
		"2024-12-30T00:00:00Z":      "bellbuoy-events-2025.01",
		"0001-01-01T00:00:00Z":      "bellbuoy-events-2013.01",
		"1970-01-01T00:00:00Z":      "bellbuoy-events-2013.01",
		"9999-12-31T00:00:00Z":      "bellbuoy-events-2099.52",
	} {
		parsed, err := time.Parse(time.RFC3339, at)
		require.NoError(t, err)
		require.Equal(t, want, string(appendIndex(nil, "bellbuoy", parsed)), at)
	}
}

func FuzzDocument(f *testing.F) {
	f.Add("pay", "team", "line\x00\x1b", "io.bellbuoy.task.stopped.v1", int64(137))
	f.Add("", "", "", "", int64(-1))
	f.Add("\xff{", "a..b", "\"", "io.bellbuoy.x\n.y", int64(1<<62))
	f.Fuzz(func(t *testing.T, workload, label, line, kind string, code int64) {
		e := event.Event{ID: workload, Type: event.Type(kind), Time: time.Unix(0, code), Data: event.Data{
			Workload: workload, Labels: map[string]string{label: line},
			Task: &event.Task{Log: &event.Log{Lines: []string{line, label}}, Containers: []event.Container{{ExitCode: &code, Image: label}}},
		}}
		b := &batch{}
		b.add(0, &e, "bellbuoy", written())
		lines := strings.Split(strings.TrimSuffix(string(b.body), "\n"), "\n")
		require.Len(t, lines, 2, "a document is one line behind one action line")
		for _, line := range lines {
			require.True(t, jsontext.Value(line).IsValid(), line)
		}
	})
}

func BenchmarkDocument(b *testing.B) {
	e := sinktest.Alerts()[0]
	buf := appendDocument(nil, &e, written())
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = appendDocument(buf[:0], &e, written())
	}
}
