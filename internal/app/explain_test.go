package app

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/config"
)

// killed is a container that something on the host killed: exit code 137 and no more.
const killed = `{"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"name":"web","image":"web:1"}},"timeNano":1700000000000000000}
{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"name":"web","image":"web:1","exitCode":"137"}},"timeNano":1700000004000000000}
`

func explainText(t *testing.T, output string, rows ...cause.Row) string {
	t.Helper()
	var out bytes.Buffer
	p := &Program{Config: config.Default(), Out: &out, Err: io.Discard}
	p.Config.Cause = rows
	require.NoError(t, p.Explain(t.Context(), []Recording{{"stdin", strings.NewReader(killed)}}, ExplainOptions{Output: output}))
	return out.String()
}

func TestExplainNamesWhatNearlyMatched(t *testing.T) {
	t.Parallel()
	text := explainText(t, "text")
	assert.Contains(t, text, "rule killed-unseen\n  nearly oom (rule oom); what does not hold: an out-of-memory kill was seen in this run\n")

	lines := strings.Split(strings.TrimSpace(explainText(t, "ndjson")), "\n")
	require.Len(t, lines, 2)
	var told struct{ Near []cause.Near }
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &told))
	assert.Equal(t, []cause.Near{{Rule: "oom", Class: "oom", Missing: "an out-of-memory kill was seen in this run"}}, told.Near)
	assert.NotContains(t, lines[0], `"near"`, "only an end has a cause")
}

func TestExplainUsesTheRowsOfTheConfig(t *testing.T) {
	t.Parallel()
	row := cause.DefaultRow()
	row.When, row.Class, row.Say, row.Expected = `exit_code == 137 && workload == "web"`, "exit.quota", "killed by the quota{after}", true
	text := explainText(t, "text", row)
	assert.Contains(t, text, `web stopped: killed by the quota after 4s, expected`)
	assert.Contains(t, text, `cause exit.quota, likely, by app, expected; rule config: exit_code == 137 && workload == "web"`+"\n    exit code 137 (SIGKILL)\n")

	row.When = `exit_code == 137 && workload == "db"`
	assert.Contains(t, explainText(t, "text", row), `nearly exit.quota (rule config: exit_code == 137 && workload == "db"); what does not hold: workload == "db"`)

	row.Runtime = "containerd"
	assert.NotContains(t, explainText(t, "text", row), "exit.quota", "the row is for another runtime")
}
