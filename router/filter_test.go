package router

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func stopped() event.Event {
	code := int64(3)
	return event.Event{
		ID: "a", Source: "bellbuoy://local/docker/n", Type: event.TaskStopped, Severity: event.Error,
		Subject: "/pay/1", PartitionKey: "/pay/1", Time: time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC),
		Data: event.Data{
			Site: "local", Runtime: event.Docker, Workload: "pay", Labels: map[string]string{"team": "payments"},
			Observed: event.ObservedStream,
			Task:     &event.Task{ID: "1", State: event.StateStopped, Containers: []event.Container{{Image: "busybox", ExitCode: &code}}},
			Cause:    &event.Cause{Class: "exit.error", Confidence: event.Fact, Initiator: "app"},
		},
	}
}

func TestFilterMatches(t *testing.T) {
	e := stopped()
	for when, want := range map[string]bool{
		"": true,
		`kind == "task" && event == "stopped" && !cause.expected`: true,
		`severity >= warn`:                           true,
		`severity >= fatal`:                          false,
		`labels["team"] == "payments"`:               true,
		`labels["absent"] == "x"`:                    false,
		`task.exit_code in [3, 4]`:                   true,
		`any(task.containers, .image == "busybox")`:  true,
		`data.task.containers[0].exit_code == 3`:     true,
		`cause.class startsWith "exit."`:             true,
		`cause.class matches "^oom"`:                 false,
		`type == "io.bellbuoy.task.stopped.v1"`:      true,
		`runtime == "docker" and workload == "shop"`: false,
	} {
		f, err := Compile(when)
		require.NoError(t, err, when)
		got, err := f.Match(&e)
		require.NoError(t, err, when)
		assert.Equal(t, want, got, when)
	}
}

func TestFilterRefusesWhatTheContractDoesNotKnow(t *testing.T) {
	for when, says := range map[string]string{
		`sevrity >= warn`:      "unknown name sevrity",
		`cause.kind == "oom"`:  "kind",
		`severity == "high"`:   "mismatched types",
		`workload`:             "expected bool",
		`kind == `:             "unexpected token",
		`task.exit_code > "3"`: "mismatched types",
	} {
		_, err := Compile(when)
		require.Error(t, err, when)
		assert.Contains(t, err.Error(), says, when)
	}
}

func TestFilterSurvivesEventsWithoutTheSectionsItReads(t *testing.T) {
	e := event.Event{Type: event.CollectorGap, Data: event.Data{Site: "local"}}
	f, err := Compile(`!cause.expected && task.exit_code == -1 && len(task.containers) == 0`)
	require.NoError(t, err)
	match, err := f.Match(&e)
	require.NoError(t, err)
	assert.True(t, match)

	f, err = Compile(`task.containers[0].name == "x"`)
	require.NoError(t, err)
	_, err = f.Match(&e)
	require.ErrorContains(t, err, "out of range", "a condition that fails on an event says so")
}

func TestFilterExplains(t *testing.T) {
	e := stopped()
	f, err := Compile(`kind == "task" && cause.expected && severity >= warn`)
	require.NoError(t, err)
	assert.Equal(t, `cause.expected is false: cause.expected is false`, f.Explain(&e))

	f, err = Compile(`labels["team"] == "search"`)
	require.NoError(t, err)
	assert.Equal(t, `labels.team == "search" is false: labels.team is "payments"`, f.Explain(&e))

	f, err = Compile(`severity >= fatal`)
	require.NoError(t, err)
	assert.Equal(t, `severity >= fatal is false: severity is 17`, f.Explain(&e))

	f, err = Compile(`kind == "task"`)
	require.NoError(t, err)
	assert.Equal(t, `kind == "task" is true`, f.Explain(&e))
}

func TestFilterNarrowsItsSubjects(t *testing.T) {
	for when, want := range map[string]string{
		``: "bellbuoy.events.v1.*.*.*.*.*.>",
		`kind == "task" && event == "stopped" && !cause.expected`: "bellbuoy.events.v1.*.*.*.task.stopped.>",
		`kind == "task" || event == "stopped"`:                    "bellbuoy.events.v1.*.*.*.*.*.>",
		`kind == "incident" && severity >= warn`:                  "bellbuoy.events.v1.*.*.*.incident.*.>",
	} {
		f, err := Compile(when)
		require.NoError(t, err)
		assert.Equal(t, []string{want}, f.Subjects(), when)
	}
}

func BenchmarkFilter(b *testing.B) {
	e := stopped()
	f, err := Compile(`kind == "task" && event == "stopped" && !cause.expected && labels["team"] == "payments"`)
	require.NoError(b, err)
	for b.Loop() {
		if match, err := f.Match(&e); !match || err != nil {
			b.Fatal(match, err)
		}
	}
}

// TestRegexpBomb: Go's regular expressions take linear time, so no pattern of a user stops a route or a silence.
func TestRegexpBomb(t *testing.T) {
	t.Parallel()
	f, err := Compile(`workload matches "^(a+)+$" && incident.state == "open"`)
	require.NoError(t, err)
	e := &event.Event{Type: event.IncidentOpened, Data: event.Data{Workload: strings.Repeat("a", 100_000) + "!", Incident: &event.Incident{State: "open"}}}
	match, err := f.Match(e)
	require.NoError(t, err)
	assert.False(t, match)
	e.Data.Workload = "aaa"
	match, err = f.Match(e)
	require.NoError(t, err)
	assert.True(t, match)
}
