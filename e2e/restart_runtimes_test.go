package e2e_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

// healingProgram is the program with a handler that acts, seen by a subscriber: what a task goes through is
// told by a daemon, collected, put on the stream, routed, handled, and told again on the stream.
type healingProgram struct {
	t      *testing.T
	events *subscriber
}

func newHealingProgram(t *testing.T, collectors string) *healingProgram {
	t.Helper()
	p := newProgram(t, "http: {listen: \"127.0.0.1:0\"}\nnats: {embedded: {listen: \"127.0.0.1:0\"}}\ncollectors: ["+collectors+"]\n"+
		"sinks: {healer: {restart: {mode: act, verify_after: 1s, backoff: {first: 100ms, limit: 200ms}}}}\n")
	p.up(t)
	return &healingProgram{t, subscribe(t, p.dial(t), event.SubjectPrefix+">")}
}

// story is what was told about a task: each event once, in the order of the stream.
type story []event.Event

func (h *healingProgram) story(id string) story {
	h.t.Helper()
	var told story
	seen := map[string]bool{} // what was published again is on the wire again, not in the stream
	for _, m := range h.events.all() {
		e, err := event.DecodeMessage(m.Header, m.Data)
		require.NoError(h.t, err)
		if e.Data.Task != nil && e.Data.Task.ID == id && !seen[e.ID] {
			told, seen[e.ID] = append(told, e), true
		}
	}
	return told
}

// actions are the words of what the handler told, such as requested.
func (s story) actions() []string {
	var words []string
	for _, e := range s {
		if e.Data.Action != nil {
			words = append(words, e.Type.Event())
		}
	}
	return words
}

// restarts counts the runs that the handler has begun.
func (s story) restarts() int {
	runs := map[string]bool{}
	for _, e := range s {
		if e.Data.Action != nil && e.Data.Action.Run != "" {
			runs[e.Data.Action.Run] = true
		}
	}
	return len(runs)
}

// most is how many ends the stop has that has most of them.
func (s story) most() int {
	ends, most := map[string]int{}, 0
	for _, e := range s {
		switch e.Type {
		case event.ActionSucceeded, event.ActionFailed, event.ActionDenied:
			ends[e.CausationID]++
			most = max(most, ends[e.CausationID])
		}
	}
	return most
}

// last is the latest event of a type; the zero event if there is none.
func (s story) last(t event.Type) event.Event {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].Type == t {
			return s[i]
		}
	}
	return event.Event{}
}

// healed is one case: a task, and what becomes of it.
type healed struct {
	name string
	// run starts the task and returns its id.
	run func() string
	// end is the last action, rules what it may be refused by; restarts is how many runs the handler began.
	end      event.Type
	rules    []string
	restarts int
	class    string // of the first stop; several with a bar between them
}

// outcome is the last action as the table has it.
func (s story) outcome(end event.Type) string {
	e := s.last(end)
	if e.Data.Action == nil {
		return "none"
	}
	return strings.Join(append([]string{end.Event()}, strings.Fields(e.Data.Action.Rule)...), " ")
}

// judge runs all cases beside each other and prints the table.
func (h *healingProgram) judge(daemon string, cases []healed) {
	h.t.Helper()
	ids := make([]string, len(cases))
	var group errgroup.Group
	group.SetLimit(4)
	for i, c := range cases {
		group.Go(func() error { ids[i] = c.run(); return nil })
	}
	require.NoError(h.t, group.Wait())
	require.False(h.t, h.t.Failed(), "a task was not started")
	table := fmt.Sprintf("\n%-36s %-18s %-24s %-9s %s\n", "case, on "+daemon, "cause", "outcome", "restarts", "actions told")
	for i, c := range cases {
		eventually(h.t, 2*time.Minute, fmt.Sprintf("%s: %s; told: %v", c.name, c.end, h.story(ids[i]).actions()), func() bool {
			return slices.Contains(h.story(ids[i]).actions(), c.end.Event())
		})
	}
	h.quiet()
	for i, c := range cases {
		s := h.story(ids[i])
		class := ""
		for _, e := range s {
			schematest.Valid(h.t, e)
			if e.Data.Cause != nil && e.Type == event.TaskStopped {
				class = cmp.Or(class, e.Data.Cause.Class)
			}
		}
		table += fmt.Sprintf("%-36s %-18s %-24s %-9d %s\n", c.name, class, s.outcome(c.end), s.restarts(), strings.Join(s.actions(), " "))
		assert.Equal(h.t, c.restarts, s.restarts(), "%s: %v", c.name, s.actions())
		if len(c.rules) > 0 {
			assert.Contains(h.t, c.rules, s.last(c.end).Data.Action.Rule, c.name)
		}
		assert.Contains(h.t, strings.Split(c.class, "|"), class, c.name)
		if run := s.last(event.ActionSucceeded); run.Data.Action != nil {
			assert.Equal(h.t, run.Data.Action.Run, s.last(event.TaskStarted).Data.Task.Run, "%s: handler and collector name the run alike", c.name)
		}
		assert.LessOrEqual(h.t, s.most(), 1, "%s: one stop has one end: %v", c.name, s.actions())
	}
	h.t.Log(table)
}

// quiet waits until nothing was told for two seconds.
func (h *healingProgram) quiet() {
	h.t.Helper()
	n, since := -1, time.Now()
	eventually(h.t, 2*time.Minute, "nothing is told any more", func() bool {
		told := 0
		for _, m := range h.events.all() {
			if !strings.Contains(m.Subject, ".collector.") {
				told++
			}
		}
		if told != n {
			n, since = told, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
}

// TestRestartOutcomesOnDocker holds the handler to the same outcomes on each daemon.
func TestRestartOutcomesOnDocker(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, d *harness.Docker) {
		t.Parallel() // most of it is waiting
		h := newHealingProgram(t, "{docker: {host: \""+d.Host+"\"}}")
		h.judge("Docker "+d.Version, dockerCases(t, d))
	})
}

// steady is a script that ends at once when it is told to.
const steady = `trap 'exit 0' TERM; while :; do sleep 0.1; done`

func dockerCases(t *testing.T, d *harness.Docker) []healed {
	n := 0
	run := func(want string, spec harness.RunSpec, then func(id string)) func() string {
		n++
		name := containerName(t) + "-" + strconv.Itoa(n)
		return func() string {
			labels := map[string]string{"bellbuoy.restart": want}
			for key, value := range spec.Labels {
				labels[key] = value
			}
			spec.Name, spec.Labels = name, labels
			id := d.Run(t, spec)
			if then != nil {
				then(id)
			}
			return id
		}
	}
	fails := harness.RunSpec{Cmd: sh("exit 3")}
	labelled := func(key, value string) harness.RunSpec {
		return harness.RunSpec{Cmd: sh("exit 3"), Labels: map[string]string{key: value}}
	}
	refused := func(name string, spec harness.RunSpec, rules ...string) healed {
		return healed{name, run("on-failure", spec, nil), event.ActionDenied, rules, 0, "exit.error"}
	}
	return []healed{
		{"fails twice, then runs", run("on-failure", harness.RunSpec{Cmd: sh(counting + `[ $n -ge 3 ] || exit 1; ` + steady)}, nil), event.ActionSucceeded, nil, 2, "exit.error"},
		{"fails always", run("on-failure", fails, nil), event.ActionGaveUp, []string{"budget"}, 4, "exit.error"},
		{"out of memory", run("on-failure", harness.RunSpec{
			Memory: 8 << 20, Cmd: sh(counting + `[ $n -ge 2 ] || { x=a; while :; do x=$x$x; done; }; ` + steady),
		}, nil), event.ActionSucceeded, nil, 1, "oom|exit.sigkill"}, // the daemon loses one event in some 75
		{"SIGKILL from the host", run("on-failure", harness.RunSpec{Cmd: sh(steady)}, func(id string) { killFromOutside(t, d, id) }), event.ActionSucceeded, nil, 1, "exit.sigkill"},
		{"unhealthy", run("unhealthy", harness.RunSpec{
			Cmd: sh(counting + `[ $n -lt 2 ] || touch /ok; ` + steady),
			Healthcheck: &container.HealthConfig{
				Test: []string{"CMD-SHELL", "test -f /ok"}, Interval: 300 * time.Millisecond, Timeout: 5 * time.Second, Retries: 2,
			},
		}, nil), event.ActionSucceeded, nil, 1, "handler.restart"},
		{"unhealthy, then fails, then runs", run("always", harness.RunSpec{
			Cmd: sh(counting + `[ $n -ne 2 ] || exit 3; [ $n -lt 3 ] || touch /ok; ` + steady),
			Healthcheck: &container.HealthConfig{
				Test: []string{"CMD-SHELL", "test -f /ok"}, Interval: 300 * time.Millisecond, Timeout: 5 * time.Second, Retries: 2,
			},
		}, nil), event.ActionSucceeded, nil, 2, "handler.restart"},
		{"docker stop", run("always", harness.RunSpec{Cmd: sh(steady)}, func(id string) { d.Stop(t, id, 5*time.Second) }), event.ActionDenied, []string{"operator"}, 0, "user.stop"},
		{"docker kill", run("on-failure", harness.RunSpec{Cmd: sh(steady)}, func(id string) { d.Kill(t, id, "SIGKILL") }), event.ActionDenied, []string{"operator"}, 0, "user.kill"},
		{"completed", run("on-failure", harness.RunSpec{Cmd: sh("exit 0")}, nil), event.ActionDenied, []string{"expected"}, 0, "exit.ok"},
		refused("of swarm", labelled("com.docker.swarm.task.id", "x"), "owner"),
		refused("of CRI", labelled("io.cri-containerd.kind", "container"), "owner"),
		refused("docker compose run", labelled("com.docker.compose.oneoff", "True"), "owner"),
		refused("--rm", harness.RunSpec{Cmd: sh("exit 3"), AutoRemove: true}, "auto_remove", "gone"), // seen before or after the daemon removes it
		refused("--restart on-failure:1", harness.RunSpec{
			Cmd: sh("sleep 1; exit 3"), Restart: container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 1},
		}, "runtime_policy"),
	}
}

// killFromOutside sends SIGKILL to the first process of a container, from where the daemon sees it.
func killFromOutside(t *testing.T, d *harness.Docker, id string) {
	t.Helper()
	pid := strconv.Itoa(d.Inspect(t, id).State.Pid)
	killer := create(t, d, &container.Config{Image: d.Image, Cmd: []string{"kill", "-9", pid}}, &container.HostConfig{PidMode: "host"}, "")
	require.Zero(t, d.Wait(t, killer, within))
}

// create creates and starts a container that the harness has no words for.
func create(t *testing.T, d *harness.Docker, c *container.Config, host *container.HostConfig, name string) string {
	t.Helper()
	made, err := d.Client().ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name, Config: c, HostConfig: host})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := d.Client().ContainerRemove(harnessCleanup{}.Context(), made.ID, client.ContainerRemoveOptions{Force: true})
		assert.NoError(t, err)
	})
	d.Start(t, made.ID)
	return made.ID
}
