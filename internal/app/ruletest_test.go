package app

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/config"
)

func ruleProgram(t *testing.T, out *bytes.Buffer) *Program {
	t.Helper()
	loaded, err := config.Load([]string{"testdata/rules-config.yaml"})
	require.NoError(t, err)
	return &Program{Config: loaded.Config, Out: out, Err: out}
}

// TestRuleCases: thirty stories, and what is told of each and to whom.
func TestRuleCases(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	report := filepath.Join(t.TempDir(), "junit.xml")
	err := ruleProgram(t, &out).TestRules(t.Context(), "testdata/rules.yaml", RuleTestOptions{Verbose: true, JUnit: report})
	if *update {
		require.NoError(t, os.WriteFile("testdata/rules.txt", out.Bytes(), 0o600))
	}
	require.NoError(t, err, out.String())
	want, err := os.ReadFile("testdata/rules.txt")
	require.NoError(t, err)
	assert.Equal(t, string(want), out.String())
	xml, err := os.ReadFile(report)
	require.NoError(t, err)
	assert.Contains(t, string(xml), `tests="30" failures="0"`)
}

// TestRulesCanFail: each thing that a case can expect makes it fail if it is otherwise.
func TestRulesCanFail(t *testing.T) {
	t.Parallel()
	const events = "events: [{event: task.started, workload: web}, {at: 10s, event: task.stopped, workload: web, class: exit.error}]\n    until: 30s\n    expect: "
	for expect, want := range map[string]string{
		"[]":                                         "not expected: 10s",
		"[{incident: resolved}]":                     `incident is "opened", not "resolved"`,
		"[{incident: opened, at: 11s}]":              `at is "10s", not "11s"`,
		"[{incident: opened, stops: 2}]":             `stops is "1", not "2"`,
		"[{incident: opened, reason: x}]":            `reason is "stopped", not "x"`,
		"[{incident: opened, notices: []}]":          "notices are [page], not []",
		"[{incident: opened, silenced: a}]":          `silenced is "", not "a"`,
		"[{incident: opened, severity: warn}]":       `severity is "ERROR", not "WARN"`,
		"[{incident: opened, workload: pay}]":        `workload is "web", not "pay"`,
		"[{incident: opened}, {incident: resolved}]": "expected as number 2, and nothing more was told",
	} {
		var out bytes.Buffer
		file := filepath.Join(t.TempDir(), "rules.yaml")
		require.NoError(t, os.WriteFile(file, []byte("cases:\n  - name: one\n    "+events+expect+"\n"), 0o600))
		require.Error(t, ruleProgram(t, &out).TestRules(t.Context(), file, RuleTestOptions{}), expect)
		assert.Contains(t, out.String(), want)
		assert.Contains(t, out.String(), "1 case, 1 failed")
	}
}

func TestRuleFaults(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`cases:
  - name: a
    silences: [{match: 'wrkload == 1'}]
    events:
      - {at: -1s, event: task.started}
      - {event: task.stoped, workload: web}
      - {event: task.stopped, workload: web, repeat: 1000000000}
    expect: [{incident: closed}]
  - {name: a, evnts: []}
`), 0o600))
	var out bytes.Buffer
	err := ruleProgram(t, &out).TestRules(t.Context(), file, RuleTestOptions{})
	for _, want := range []string{
		"unknown name wrkload", "silences[0].owner", "a time or a count is out of bounds", "workload is missing", `did you mean "task.stopped"?`,
		"class is missing", `"closed" is not one of opened, updated, resolved`, "must be there and be unique", "rules.yaml:5:",
	} {
		assert.ErrorContains(t, err, want)
	}
}
