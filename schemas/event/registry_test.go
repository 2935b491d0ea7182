package event

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryTypeIsRegisteredOnce(t *testing.T) {
	source, err := os.ReadFile("types.go")
	require.NoError(t, err)
	declared := regexp.MustCompile(`"(io\.bellbuoy\.[^"]+\.v1)"`).FindAllStringSubmatch(string(source), -1)
	var types []string
	for _, match := range declared {
		types = append(types, match[1])
	}
	var registered []string
	for _, info := range Types() {
		registered = append(registered, string(info.Type))
		require.Regexp(t, `^io\.bellbuoy\.[a-z]+\.[a-z]+\.v1$`, info.Type)
		require.NotEmpty(t, info.Needs)
		require.NotEmpty(t, info.Means)
		require.NotEqual(t, "UNSPECIFIED", info.Severity.String())
		for _, need := range info.Needs {
			var none Data
			require.False(t, none.has(need))
		}
	}
	require.Equal(t, types, registered)

	Types()[0].Type = "changed"
	require.Equal(t, TaskCreated, Types()[0].Type)
	require.Equal(t, "", Type("com.example.x.v1").Kind())
}

func TestSeverityOf(t *testing.T) {
	for _, c := range []struct {
		name  string
		typ   Type
		cause *Cause
		want  Severity
	}{
		{"expected stop", TaskStopped, &Cause{Expected: true}, Info},
		{"unexpected stop", TaskStopped, &Cause{}, Error},
		{"stop without a cause", TaskStopped, nil, Error},
		{"amended to expected", TaskUpdated, &Cause{Expected: true}, Info},
		{"amended to unexpected", TaskUpdated, &Cause{}, Error},
		{"updated", TaskUpdated, nil, Info},
		{"oom", TaskOOM, nil, Error},
		{"unhealthy", TaskUnhealthy, nil, Warn},
		{"asked to stop", TaskStopping, &Cause{}, Info},
		{"gap", CollectorGap, nil, Warn},
		{"gave up", ActionGaveUp, nil, Error},
		{"resolved, with the cause that opened it", IncidentResolved, &Cause{}, Info},
		{"unknown type", "com.example.x", nil, Info},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, SeverityOf(&Event{Type: c.typ, Data: Data{Cause: c.cause}}))
		})
	}
	require.Equal(t, "FATAL", Fatal.String())
	require.Equal(t, "UNSPECIFIED", Severity(1).String())
}

func TestValidateTellsEveryFault(t *testing.T) {
	e := stop()
	require.NoError(t, Validate(&e))
	err := Validate(&Event{ID: "1", Source: "%", Type: "io.bellbuoy.task.exploded.v1", Time: time.Unix(1, 0), Data: Data{Task: &Task{}, Cause: &Cause{}}})
	require.ErrorIs(t, err, ErrInvalid)
	for _, want := range []string{
		"source is not a URI reference", `type "io.bellbuoy.task.exploded.v1" is not of this contract`,
		"subject is missing", "partitionkey is missing", "recordedtime is missing", "severitynumber is missing",
		"data.site is missing", "data.runtime is missing", "data.observed is missing", "data.task.id is missing",
		"data.task.state is missing", "data.cause.class is missing", "data.cause.say is missing",
	} {
		require.ErrorContains(t, err, want)
	}
	e.Data.Cause, e.ID = nil, ""
	err = Validate(&e)
	require.ErrorContains(t, err, "id is missing")
	require.ErrorContains(t, err, "needs data.cause")
}
