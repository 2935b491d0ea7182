package e2e_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// TestRowsOfTheConfigDecide: what a user's row expects alerts nobody, what it does not expect is told in
// its words, and a row that can't be evaluated loses nothing.
func TestRowsOfTheConfigDecide(t *testing.T) {
	d, name := stand.Docker(t), uniqueName("batch")
	p := newProgram(t, watches(d)+`cause:
  - {when: 'kills[3] == "SIGUSR1"', class: exit.odd}
  - {when: 'exit_code == 42 && workload startsWith "`+name+`"', class: exit.idle, expected: true, say: "found nothing to do{after}"}
  - {name: broken input, when: 'exit_code == 0 && image != "" && labels["kind"] == "batch"', class: exit.idle, say: "ended{after} without a result"}
`)
	p.up(t)
	d.Wait(t, d.Run(t, harness.RunSpec{Name: name + "-idle", Cmd: sh("exit 42")}), within)
	d.Wait(t, d.Run(t, harness.RunSpec{Name: name + "-void", Cmd: sh("exit 0"), Labels: map[string]string{"kind": "batch"}}), within)
	d.Wait(t, d.Run(t, harness.RunSpec{Name: name + "-last", Cmd: sh("exit 43")}), within)
	eventually(t, within, "the last stop is told", func() bool { _, ok := p.out.when(name + "-last stopped: exit code 43"); return ok })
	out := p.out.String()
	assert.Contains(t, out, "without a result")
	assert.Contains(t, out, `the row config: kills[3] == "SIGUSR1" can't be evaluated here: index out of range`)
	assert.NotContains(t, out, name+"-idle", "what is expected alerts nobody")

	text, errs, code := p.run(t, "tail", "--since", "5m", "-n", "1", "-o", "ndjson", "--where", `event == "stopped" && workload == "`+name+`-idle"`, "-c", p.config)
	require.Zero(t, code, errs)
	assert.Contains(t, text, `"class":"exit.idle"`)
	assert.Contains(t, text, "found nothing to do after ")
	assert.Contains(t, text, `"rule":"config: exit_code == 42 && workload startsWith `)
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}
