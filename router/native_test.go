package router

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// operands are comparisons that the native tests take, and some that they leave to expr.
func operands() []string {
	return []string{
		`kind == "incident"`, `kind != "task"`, `event in ["opened", "stopped"]`, `type endsWith ".v1"`, `site == "prod"`, `scope startsWith "sh"`,
		`workload contains "a"`, `workload matches "^pay(-[0-9]+)?$"`, `!(workload matches "^pay$")`, `owner == ""`, `owner != "data"`, `node in []`, `not (scope in ["shop"])`,
		`scope not in ["shop", "batch"]`, `labels["team"] == "a"`, `labels.team != "a"`, `labels["no such label"] == ""`, `cause.expected`, `!cause.expected`,
		`cause.class startsWith "exit."`, `cause.initiator == "user"`, `incident.state == "open"`, `incident.reason in ["stopped", "again"]`, `incident.stops > 2`,
		`severity >= warn`, `severity == error`, `severity < 21`, `severity != info`, `runtime == "docker"`, `observed == "stream"`, `revision == "r1"`,
		`incident.family == "exit"`, `task.exit_code == 3`, `len(task.containers) == 0`, `"shop" == scope`, `(kind == "task" || severity > warn)`, `task.name matches "a"`,
		`workload == owner`, `data["site"] == "prod"`,
	}
}

func randomEvent(random *rand.Rand) event.Event {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	types := []event.Type{event.TaskStopped, event.IncidentOpened, event.IncidentResolved, event.ServiceUpdated}
	e := event.Event{
		ID: "i", Time: time.Unix(1, 0), Source: "/s", Subject: "s", Type: types[random.IntN(len(types))], Severity: []event.Severity{0, event.Info, event.Warn, event.Error, event.Fatal}[random.IntN(5)],
		Data: event.Data{
			Site: pick("prod", "", "dev"), Runtime: event.Runtime(pick("docker", "ecs")), Scope: pick("shop", "batch", ""), Node: pick("n1", ""), Workload: pick("pay", "pay-1", "web", "data", ""),
			Owner: pick("", "data", "pay"), Revision: pick("r1", ""), Observed: event.Observed(pick("stream", "reconcile")),
		},
	}
	if random.IntN(2) == 0 {
		e.Data.Labels = map[string]string{"team": pick("a", "b")}
	}
	if random.IntN(2) == 0 {
		e.Data.Cause = &event.Cause{Class: pick("exit.error", "oom.limit"), Initiator: pick("user", "app"), Expected: random.IntN(2) == 0}
	}
	if random.IntN(2) == 0 {
		e.Data.Incident = &event.Incident{ID: "x", State: pick("open", "resolved"), Reason: pick("stopped", "worse"), Family: pick("exit", "oom"), Stops: random.Int64N(5)}
	}
	return e
}

// TestNativeSaysWhatExprSays: thousands of conditions on thousands of events.
func TestNativeSaysWhatExprSays(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	all, matched, native := operands(), 0, 0
	for range 1500 {
		var parts []string
		for range 1 + random.IntN(4) {
			parts = append(parts, all[random.IntN(len(all))])
		}
		when := strings.Join(parts, " && ")
		f, err := Compile(when)
		require.NoError(t, err, when)
		slow := &Filter{source: f.source, program: f.program, usesData: f.usesData}
		native += len(f.tests)
		for range 30 {
			e := randomEvent(random)
			got, err := f.Match(&e)
			require.NoError(t, err)
			want, err := slow.Match(&e)
			require.NoError(t, err)
			require.Equal(t, want, got, "%s on %+v", when, e)
			if want {
				matched++
			}
		}
	}
	assert.Greater(t, matched, 1000)
	assert.Greater(t, native, 1500)
}
