package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas"
)

const quiet = "http: {listen: \"off\"}\nnats: {embedded: {listen: \"127.0.0.1:0\"}}\n"

func TestUpTellsAnUnexpectedStopAndNoOther(t *testing.T) {
	d := stand.Docker(t)
	p := newProgram(t, quiet+"collectors: [{docker: {host: \""+d.Host+"\"}}]\n")
	require.NoError(t, p.start("up"))
	eventually(t, time.Minute, "it says what it sees", func() bool { return strings.Contains(p.out.String(), "Docker 20.10") })

	name := fmt.Sprintf("pay-%d", time.Now().UnixNano())
	start := time.Now()
	id := d.Run(t, harness.RunSpec{Name: name, Cmd: []string{"sh", "-c", "echo boom; exit 3"}})
	d.Wait(t, id, within)
	eventually(t, 5*time.Second, "the stop is told", func() bool {
		out := p.out.String()
		return strings.Contains(out, name+" stopped: exit code 3") && strings.Contains(out, "boom")
	})
	t.Logf("docker run to the terminal: %s", time.Since(start).Round(time.Millisecond))
	assert.Less(t, time.Since(start), 5*time.Second)

	wanted := d.Run(t, harness.RunSpec{Name: name + "-wanted", Cmd: []string{"sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"}})
	d.Stop(t, wanted, 5*time.Second)
	tail := func() string {
		out, _, _ := p.run(t, "tail", "--since", "5m", "-n", "1", "--where", `event == "stopped" && workload == "`+name+`-wanted"`, "-c", p.config)
		return out
	}
	assert.Contains(t, tail(), "user.stop")
	assert.NotContains(t, p.out.String(), name+"-wanted")

	for _, kind := range []string{"crash", "oom", "stop"} {
		out, errs, code := p.run(t, "drill", kind, "-c", p.config)
		t.Logf("drill %s:\n%s", kind, out)
		assert.Zero(t, code, errs)
	}
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

func TestUpWithoutARuntimePlaysARecording(t *testing.T) {
	p := newProgram(t, quiet, "DOCKER_HOST=unix:///nowhere/docker.sock", "XDG_RUNTIME_DIR=")
	require.NoError(t, p.start("up"))
	eventually(t, time.Minute, "the recording is told", func() bool { return strings.Contains(p.out.String(), "out of memory") })
	assert.Contains(t, p.out.String(), "No container runtime answers here")
	_, played, _ := strings.Cut(p.out.String(), "\n\n")
	for line := range strings.Lines(strings.TrimSpace(played)) {
		assert.True(t, strings.HasPrefix(line, "drill"), line)
	}
	assert.Zero(t, p.stop(t, syscall.SIGINT))
}

func TestCheckTellsEveryFaultAndTriesTargets(t *testing.T) {
	m := stand.Moto(t)
	topic, _ := m.TopicWithQueue(t, "check")
	p := newProgram(t, "")
	out, errs, code := p.run(t, "check", filepath.Join("..", "internal", "config", "testdata", "faults.yaml"))
	assert.Equal(t, 78, code)
	assert.Empty(t, out)
	assert.Len(t, strings.Split(strings.TrimSpace(errs), "\n"), 8, errs)

	online := func(arn string) (string, int) {
		text := "aws: {endpoint: \"" + m.URL + "\"}\nsinks: {pager: {sns: {topic_arn: \"" + arn + "\"}}}\ncollectors: [{docker: {host: \"" + stand.Docker(t).Host + "\"}}]\n"
		path := filepath.Join(t.TempDir(), "online.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		out, errs, code := p.run(t, "check", "--online", path)
		return out + errs, code
	}
	out, code = online(topic)
	assert.Zero(t, code, out)
	wrong := strings.TrimSuffix(topic, "check") + "absent"
	out, code = online(wrong)
	assert.Equal(t, 1, code, out)
	assert.Contains(t, out, wrong)
}

func TestExplainReadsEveryRecording(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "collectors", "docker", "testdata", "*.jsonl"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	v, err := schemas.New()
	require.NoError(t, err)
	p := newProgram(t, "")
	for _, file := range files {
		out, errs, code := p.run(t, "explain", "-o", "ndjson", file)
		require.Zero(t, code, "%s: %s", file, errs)
		for line := range strings.Lines(out) {
			if encoded, ok := strings.CutPrefix(line, `{"event":`); ok {
				encoded, _, _ = strings.Cut(encoded, `,"routes":[`)
				require.NoError(t, v.Validate([]byte(encoded)), "%s: %s", file, line)
			}
		}
	}
	out, _, code := p.run(t, "explain", filepath.Join("..", "collectors", "docker", "testdata", "docker20.10-oom.jsonl"))
	assert.Zero(t, code)
	assert.Contains(t, out, "out of memory")
	assert.Contains(t, out, "the kernel reported an out-of-memory kill in this task")

	garbage := filepath.Join(t.TempDir(), "garbage.jsonl")
	require.NoError(t, os.WriteFile(garbage, []byte("{\"Type\":\"container\"\nnot json\n"), 0o600))
	out, _, code = p.run(t, "explain", "-o", "ndjson", garbage)
	assert.Equal(t, 1, code)
	assert.Contains(t, out, `{"error":`)
}

// A recording must not page anybody: who has named a sink waits for a runtime of his own.
func TestUpWithASinkPlaysNothing(t *testing.T) {
	p := newProgram(t, quiet+"sinks: {screen: {console: {}}}\n", "DOCKER_HOST=unix:///nowhere/docker.sock", "XDG_RUNTIME_DIR=")
	p.up(t)
	assert.Contains(t, p.out.String(), "Docker: not seen yet: ask the Docker daemon at unix:///nowhere/docker.sock")
	assert.NotContains(t, p.out.String(), "recorded stream")
	assert.NotContains(t, history(t, p.dial(t), "bellbuoy.events.v1.>"), "task.stopped")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}
