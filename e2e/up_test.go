package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

const quiet = "http: {listen: \"off\"}\nnats: {embedded: {listen: \"127.0.0.1:0\"}}\n"

// TestUpTellsAStop is what a person sees: the daemon and its containers, an unexpected stop with its log
// within two seconds, and no wanted one, which the stream has.
func TestUpTellsAStop(t *testing.T) {
	const soon = 2 * time.Second
	d, name := stand.Docker(t), uniqueName("pay")
	sleeper := sh("trap 'exit 0' TERM; while :; do sleep 0.1; done")
	wanted := d.Run(t, harness.RunSpec{Name: name + "-wanted", Cmd: sleeper})
	p := newProgram(t, watches(d))
	p.up(t)
	version, err := d.Client().ServerVersion(t.Context(), client.ServerVersionOptions{})
	require.NoError(t, err)
	list, err := d.Client().ContainerList(t.Context(), client.ContainerListOptions{All: true})
	require.NoError(t, err)
	assert.Regexp(t, fmt.Sprintf(`(?m)^Docker %s, %d containers?, \d+ workloads?$`, regexp.QuoteMeta(version.Version), len(list.Items)), p.out.String())

	d.Wait(t, d.Run(t, harness.RunSpec{Name: name, Cmd: sh("echo boom; exit 3")}), within)
	ended := time.Now()
	line := name + " stopped: exit code 3"
	eventually(t, within, "the stop is told", func() bool { _, ok := p.out.when(line); return ok })
	at, _ := p.out.when(line)
	t.Logf("end of the container to the terminal: %s", at.Sub(ended).Round(time.Millisecond))
	assert.Less(t, at.Sub(ended), soon)
	_, told, _ := strings.Cut(p.out.String(), line)
	assert.Contains(t, told, "boom")

	d.Stop(t, wanted, 5*time.Second)
	out, errs, code := p.run(t, "tail", "--since", "5m", "-n", "1", "--where", `event == "stopped" && workload == "`+name+`-wanted"`, "-c", p.config)
	require.Zero(t, code, errs)
	assert.Contains(t, out, "user.stop")
	d.Wait(t, d.Run(t, harness.RunSpec{Name: name + "-2", Cmd: sh("exit 4")}), within)
	eventually(t, within, "a later stop is told", func() bool { return strings.Contains(p.out.String(), name+"-2 stopped") })
	assert.NotContains(t, p.out.String(), name+"-wanted")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

// TestUpWithoutARuntimePlaysARecording: it says so, and nobody takes a line of it for a real stop.
func TestUpWithoutARuntimePlaysARecording(t *testing.T) {
	p := newProgram(t, "http: {listen: \"127.0.0.1:0\"}\nnats: {embedded: {listen: \"127.0.0.1:0\"}}\n", "DOCKER_HOST=unix:///nowhere/docker.sock", "XDG_RUNTIME_DIR=")
	p.up(t)
	assert.Contains(t, p.out.String(), "No container runtime answers here")
	eventually(t, within, "the recording is told", func() bool { return strings.Contains(p.out.String(), "out of memory") })
	_, played, _ := strings.Cut(p.out.String(), "Ctrl-C ends\n\n")
	require.NotEmpty(t, played)
	for line := range strings.Lines(played) {
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
	assert.Len(t, strings.Split(strings.TrimSpace(errs), "\n"), 10, errs)

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

// A recording must not page anybody: who has named a sink waits for a runtime of his own.
func TestUpWithASinkPlaysNothing(t *testing.T) {
	p := newProgram(t, quiet+"sinks: {screen: {console: {}}}\n", "DOCKER_HOST=unix:///nowhere/docker.sock", "XDG_RUNTIME_DIR=")
	p.up(t)
	assert.Contains(t, p.out.String(), "Docker: not seen yet: ask the Docker daemon at unix:///nowhere/docker.sock")
	assert.NotContains(t, p.out.String(), "recorded stream")
	assert.NotContains(t, history(t, p.dial(t), "bellbuoy.events.v1.>"), "task.stopped")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}
