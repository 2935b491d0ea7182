package e2e_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// TestRestartOutcomesOnContainerd holds the handler to the same outcomes on each version, where nothing
// tells who ended a task.
func TestRestartOutcomesOnContainerd(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, c *harness.Containerd) {
		t.Parallel()
		h := newHealingProgram(t, "{containerd: {address: \""+c.Address+"\"}}")
		log := filepath.Join(t.TempDir(), "log")
		h.judge("containerd "+c.Version, containerdCases(t, c, log))
		text, err := os.ReadFile(log)
		require.NoError(t, err)
		assert.Equal(t, "run 1\nrun 2\nrun 3\n", string(text), "the output of each run goes where that of the first went")
	})
}

func containerdCases(t *testing.T, c *harness.Containerd, log string) []healed {
	namespace := "heal-" + strings.ReplaceAll(c.Version, ".", "-")
	run := func(want string, spec harness.CtrSpec, then func(id string)) func() string {
		return func() string {
			labels := map[string]string{"bellbuoy.restart": want}
			maps.Copy(labels, spec.Labels)
			spec.Namespace, spec.Labels = namespace, labels
			id := c.Run(t, spec)
			if then != nil {
				then(id)
			}
			return id
		}
	}
	fails := harness.CtrSpec{Cmd: sh("exit 3")}
	kill := func(id string) { c.Ctr(t, namespace, "task", "kill", "--signal", "SIGKILL", id) }
	refused := func(name, key, value string) healed {
		spec := harness.CtrSpec{Cmd: sh("exit 3"), Labels: map[string]string{key: value}}
		return healed{name, run("on-failure", spec, nil), event.ActionDenied, []string{"owner"}, 0, "exit.error"}
	}
	return []healed{
		{"fails twice, then runs", run("on-failure", harness.CtrSpec{
			LogURI: "file://" + log, Cmd: sh(counting + `echo run $n; [ $n -ge 3 ] || exit 1; ` + steady),
		}, nil), event.ActionSucceeded, nil, 2, "exit.error"},
		{"fails always", run("on-failure", fails, nil), event.ActionGaveUp, []string{"budget"}, 4, "exit.error"},
		{"out of memory", run("on-failure", harness.CtrSpec{
			Memory: 8 << 20, Cmd: sh(counting + `[ $n -ge 2 ] || { x=a; while :; do x=$x$x; done; }; ` + steady),
		}, nil), event.ActionSucceeded, nil, 1, "oom"},
		{"SIGKILL from somebody", run("on-failure", harness.CtrSpec{Cmd: sh(steady)}, kill), event.ActionDenied, []string{"unsure"}, 0, "exit.sigkill"},
		{"SIGKILL from somebody, always", run("always", harness.CtrSpec{Cmd: sh(steady)}, kill), event.ActionSucceeded, nil, 1, "exit.sigkill"},
		{"completed", run("on-failure", harness.CtrSpec{Cmd: sh("exit 0")}, nil), event.ActionDenied, []string{"expected"}, 0, "exit.ok"},
		refused("of CRI", "io.cri-containerd.kind", "container"),
		refused("of containerd's restart plugin", "containerd.io/restart.policy", "on-failure:1"),
		{"in the network of another", run("on-failure", harness.CtrSpec{
			Cmd: sh("exit 3"), Flags: []string{"--with-ns", "network:/proc/1/ns/net"},
		}, nil), event.ActionDenied, []string{"foreign_setup"}, 0, "exit.error"},
	}
}
