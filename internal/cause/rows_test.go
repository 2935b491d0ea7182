package cause_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func code(n int64) *int64 { return &n }

func end() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func kills(before time.Duration, signals ...int) []cause.Kill {
	list := make([]cause.Kill, len(signals))
	for i, s := range signals {
		list[i] = cause.Kill{Signal: s, At: end().Add(-before)}
	}
	return list
}

type row struct {
	name     string
	evidence cause.Evidence
	rule     string
	class    string
	grade    event.Confidence
	expected bool
	say      string
}

// dockerRows has at least one row per rule, and the neighbours that must not match it.
func dockerRows() []row {
	yes, no := true, false
	sec := time.Second
	return []row{
		{"own action beats all", cause.Evidence{OwnAction: true, Kills: kills(sec, 15), ExitCode: code(143)}, "own-action", "handler.restart", event.Fact, yes, "stopped by Bellbuoy's restart handler"},
		{"command missing", cause.Evidence{StartFailed: true, ExitCode: code(127), StateError: "exec: no such file"}, "start-failed-command", "start.error", event.Fact, no, "could not start: the command is missing or can't be executed (exit code 127): exec: no such file"},
		{"port taken", cause.Evidence{StartFailed: true, ExitCode: code(128), StateError: "port is already allocated"}, "start-failed", "start.error", event.Fact, no, "could not start: port is already allocated"},
		{"start failed in silence", cause.Evidence{StartFailed: true}, "start-failed", "start.error", event.Fact, no, "could not start: no reason given"},
		{"daemon went down", cause.Evidence{Shutdown: true, Kills: kills(sec, 15, 9), ExitCode: code(137), StopEvent: true}, "daemon-shutdown", "host.shutdown", event.Likely, yes, "stopped because the Docker daemon or the host shut down"},
		{"daemon went down, but it crashed before", cause.Evidence{Shutdown: true, ExitCode: code(3)}, "failed", "exit.error", event.Fact, no, "exit code 3"},
		{"killed for bad health", cause.Evidence{Unhealthy: true, UnhealthyFor: 5 * sec, Kills: kills(sec, 15), ExitCode: code(143)}, "health-kill", "health.container", event.Likely, no, "stopped by request right after its health probe failed"},
		{"bad health long ago", cause.Evidence{Unhealthy: true, UnhealthyFor: time.Hour, Kills: kills(sec, 15), ExitCode: code(143)}, "stop-obeyed", "user.stop", event.Likely, yes, "stopped by request (SIGTERM), exit code 143"},
		{"slow probe", cause.Evidence{Unhealthy: true, UnhealthyFor: time.Minute, ProbeEvery: 2 * time.Minute, Kills: kills(sec, 9)}, "health-kill", "health.container", event.Likely, no, "stopped by request right after its health probe failed"},
		{"unhealthy, then crashed", cause.Evidence{Unhealthy: true, ExitCode: code(1)}, "failed", "exit.error", event.Fact, no, "exit code 1"},
		{"rm -f", cause.Evidence{Kills: kills(sec, 9), Removed: true, ExitCode: code(137), Ran: 90 * sec}, "removed-by-force", "user.remove", event.Likely, yes, "removed by force after 1m30s"},
		{"stop, did not obey", cause.Evidence{Kills: kills(sec, 15, 9), ExitCode: code(137), StoppedAt: end()}, "stop-forced", "user.stop", event.Likely, yes, "stopped by request; it did not obey in time and was killed (SIGTERM, then SIGKILL)"},
		{"stop -t 0", cause.Evidence{Kills: kills(sec, 9), StopEvent: true, ExitCode: code(137)}, "stop-forced", "user.stop", event.Likely, yes, "stopped by request; it did not obey in time and was killed (SIGKILL)"},
		{"kill", cause.Evidence{Kills: kills(sec, 9), ExitCode: code(137), StoppedAt: end()}, "killed-by-request", "user.kill", event.Likely, yes, "killed by request (SIGKILL)"},
		{"kill of an auto-removed one", cause.Evidence{Kills: kills(sec, 9), Removed: true, AutoRemove: true, ExitCode: code(137)}, "killed-by-request", "user.kill", event.Likely, yes, "killed by request (SIGKILL)"},
		{"stop, obeyed", cause.Evidence{Kills: kills(sec, 15), ExitCode: code(0), StoppedAt: end()}, "stop-obeyed", "user.stop", event.Likely, yes, "stopped by request (SIGTERM), exit code 0"},
		{"stop beats the exit code", cause.Evidence{Kills: kills(sec, 15), ExitCode: code(3), StoppedAt: end()}, "stop-obeyed", "user.stop", event.Likely, yes, "stopped by request (SIGTERM), exit code 3"},
		{"long grace", cause.Evidence{Kills: kills(40*sec, 15), StopEvent: true, ExitCode: code(0), StoppedAt: end()}, "stop-obeyed", "user.stop", event.Likely, yes, "stopped by request (SIGTERM), exit code 0"},
		{"own stop signal", cause.Evidence{Kills: kills(sec, 10), StopSignal: 10, ExitCode: code(0), StoppedAt: end()}, "stop-obeyed", "user.stop", event.Likely, yes, "stopped by request (SIGUSR1), exit code 0"},
		{"stop beats OOM", cause.Evidence{Kills: kills(sec, 15, 9), OOMFlag: true, ExitCode: code(137)}, "stop-forced", "user.stop", event.Likely, yes, "stopped by request; it did not obey in time and was killed (SIGTERM, then SIGKILL)"},
		{"signal ignored, crash much later", cause.Evidence{Kills: kills(time.Hour, 15), ExitCode: code(3), StoppedAt: end()}, "failed", "exit.error", event.Fact, no, "exit code 3"},
		{"USR1 is no stop", cause.Evidence{Kills: kills(sec, 10), ExitCode: code(3), StoppedAt: end()}, "failed", "exit.error", event.Fact, no, "exit code 3"},
		{"removed in a gap", cause.Evidence{Unseen: true, Removed: true}, "removed-unseen", "user.remove", event.Likely, yes, "was removed while Bellbuoy could not see it; its exit code is not known"},
		{"auto-removed in a gap", cause.Evidence{Unseen: true, Removed: true, AutoRemove: true}, "lost", "unknown.lost", event.Guess, no, "ended while Bellbuoy could not see it; its exit code is not known"},
		{"restarted by hand in a gap", cause.Evidence{Unseen: true, Restarted: true}, "restarted-unseen", "user.stop", event.Guess, yes, "was restarted by hand or with the daemon while Bellbuoy could not see it"},
		{"restarted by policy in a gap", cause.Evidence{Unseen: true, Restarted: true, PolicyRestarted: true}, "lost", "unknown.lost", event.Guess, no, "ended while Bellbuoy could not see it; its exit code is not known"},
		{"stopped in a gap, request seen", cause.Evidence{Unseen: true, Kills: kills(sec, 15), ExitCode: code(137)}, "stop-obeyed", "user.stop", event.Likely, yes, "stopped by request (SIGTERM), exit code 137"},
		{"exited in a gap, code known", cause.Evidence{Unseen: true, ExitCode: code(2)}, "failed", "exit.error", event.Fact, no, "exit code 2"},
		{"OOM by event", cause.Evidence{OOMEvent: true, ExitCode: code(137), Ran: 4100 * time.Millisecond}, "oom", "oom", event.Fact, no, "out of memory: killed by the kernel after 4.1s"},
		{"OOM by flag", cause.Evidence{OOMFlag: true, ExitCode: code(137)}, "oom", "oom", event.Fact, no, "out of memory: killed by the kernel"},
		{"OOM of a child", cause.Evidence{OOMFlag: true, OOMEvent: true, ExitCode: code(0)}, "completed", "exit.ok", event.Fact, yes, "completed with exit code 0"},
		{"137 alone", cause.Evidence{ExitCode: code(137)}, "killed-unseen", "exit.sigkill", event.Guess, no, "killed by SIGKILL; no record says by whom, or whether its memory ran out"},
		{"segfault", cause.Evidence{ExitCode: code(139), Ran: 3 * time.Hour}, "crash-signal", "exit.signal", event.Likely, no, "crashed with SIGSEGV (exit code 139) after 3h"},
		{"abort", cause.Evidence{ExitCode: code(134)}, "crash-signal", "exit.signal", event.Likely, no, "crashed with SIGABRT (exit code 134)"},
		{"term from inside", cause.Evidence{ExitCode: code(143)}, "signalled", "exit.signal", event.Guess, no, "ended by SIGTERM (exit code 143); no record says who sent it"},
		{"service ended", cause.Evidence{ExitCode: code(0), RestartPolicy: "always"}, "service-ended", "exit.ok", event.Likely, no, "ended by itself with exit code 0, though it is meant to run for ever"},
		{"swarm task ended", cause.Evidence{ExitCode: code(0), Service: true}, "service-ended", "exit.ok", event.Likely, no, "ended by itself with exit code 0, though it is meant to run for ever"},
		{"job done", cause.Evidence{ExitCode: code(0), RestartPolicy: "on-failure:3", Ran: 320 * time.Millisecond}, "completed", "exit.ok", event.Fact, yes, "completed with exit code 0 after 320ms"},
		{"failed", cause.Evidence{ExitCode: code(3), Ran: 4 * sec}, "failed", "exit.error", event.Fact, no, "exit code 3 after 4s"},
		{"code from an event", cause.Evidence{ExitCode: code(3), CodeFrom: "the event"}, "failed", "exit.error", event.Likely, no, "exit code 3"},
		{"255 is no signal", cause.Evidence{ExitCode: code(255)}, "failed", "exit.error", event.Fact, no, "exit code 255"},
		{"Windows code", cause.Evidence{ExitCode: code(3221225786)}, "failed", "exit.error", event.Fact, no, "exit code 3221225786"},
		{"compose recreate", cause.Evidence{Replaced: true, ReplacedBy: "beef", Kills: kills(sec, 15), ExitCode: code(143), Removed: true}, "replaced", "deploy.replaced", event.Likely, yes, "replaced in a deploy"},
		{"compose recreate in a gap", cause.Evidence{Replaced: true, Unseen: true, Removed: true}, "replaced", "deploy.replaced", event.Likely, yes, "replaced in a deploy"},
		{"crashed, then replaced", cause.Evidence{Replaced: true, ExitCode: code(1)}, "failed", "exit.error", event.Fact, no, "exit code 1"},
		{"unhealthy, then replaced", cause.Evidence{Replaced: true, Unhealthy: true, Kills: kills(sec, 15), ExitCode: code(143)}, "replaced", "deploy.replaced", event.Likely, yes, "replaced in a deploy"},
		{"rolling update", cause.Evidence{Replaced: true, Service: true, Kills: kills(sec, 15), StopEvent: true, ExitCode: code(0)}, "replaced-by-service", "deploy.replaced", event.Likely, yes, "replaced in a deploy of its service"},
		{"scale-in", cause.Evidence{ScaledIn: true, Service: true, Kills: kills(sec, 15, 9), StopEvent: true, ExitCode: code(137)}, "scaled-in", "scheduler.scaling", event.Likely, yes, "stopped because its service needs fewer tasks"},
		{"crashed during a scale-in", cause.Evidence{ScaledIn: true, Service: true, ExitCode: code(139)}, "crash-signal", "exit.signal", event.Likely, no, "crashed with SIGSEGV (exit code 139)"},
		{"swarm stops its task", cause.Evidence{Service: true, Kills: kills(sec, 15), StopEvent: true, ExitCode: code(0)}, "service-stop", "scheduler.other", event.Likely, yes, "stopped by the scheduler of its service (SIGTERM), exit code 0"},
		{"a swarm task killed by hand", cause.Evidence{Service: true, Kills: kills(sec, 9), ExitCode: code(137)}, "killed-by-request", "user.kill", event.Likely, yes, "killed by request (SIGKILL)"},
		{"swarm kills a sick task", cause.Evidence{Service: true, Unhealthy: true, Kills: kills(sec, 15), StopEvent: true, ExitCode: code(143)}, "health-kill", "health.container", event.Likely, no, "stopped by request right after its health probe failed"},
		{"host went down, seen after", cause.Evidence{Shutdown: true, Unseen: true, ExitCode: code(137)}, "shutdown-unseen", "host.shutdown", event.Guess, yes, "ended when the host or its runtime went down"},
		{"OOM event, code lost", cause.Evidence{Unseen: true, OOMEvent: true}, "oom-unseen", "oom", event.Guess, no, "ended with an out-of-memory kill in it; its exit code is not known"},
		{"OOM of a child, then an error", cause.Evidence{OOMEvent: true, ExitCode: code(1), Ran: 4 * sec}, "failed-after-oom", "exit.error", event.Likely, no, "exit code 1 after 4s; a child process was killed for memory"},
		{"OOM by counter", cause.Evidence{OOMCounted: true, ExitCode: code(137)}, "oom", "oom", event.Fact, no, "out of memory: killed by the kernel"},
		{"marked as stopped", cause.Evidence{ExplicitlyStopped: true, ExitCode: code(143)}, "stop-obeyed", "user.stop", event.Likely, yes, "stopped by request, exit code 143"},
		{"nothing known", cause.Evidence{}, "nothing-known", "unknown.lost", event.Guess, no, "ended; why can't be known"},
	}
}

// containerdRows is the same for containerd, which has no record of signals.
func containerdRows() []row {
	yes, no := true, false
	return []row{
		{"own action", cause.Evidence{OwnAction: true, ExitCode: code(137)}, "own-action", "handler.restart", event.Fact, yes, "stopped by Bellbuoy's restart handler"},
		{"command missing", cause.Evidence{StartFailed: true, ExitCode: code(127)}, "start-failed-command", "start.error", event.Fact, no, "could not start: the command is missing or can't be executed (exit code 127): no reason given"},
		{"ended before its start", cause.Evidence{StartFailed: true, ExitCode: code(1), StateError: "its process ended before it was started"}, "start-failed", "start.error", event.Fact, no, "could not start: its process ended before it was started"},
		{"another boot", cause.Evidence{Shutdown: true, Unseen: true}, "shutdown-unseen", "host.shutdown", event.Guess, yes, "ended when the host or its runtime went down"},
		{"recreated by a service", cause.Evidence{Replaced: true, Service: true, ExitCode: code(143)}, "replaced-by-service", "deploy.replaced", event.Likely, yes, "replaced in a deploy of its service"},
		{"recreated by rm -f", cause.Evidence{Replaced: true, ExitCode: code(137)}, "replaced", "deploy.replaced", event.Likely, yes, "replaced in a deploy"},
		{"out of memory, then recreated", cause.Evidence{Replaced: true, OOMCounted: true, ExitCode: code(137)}, "oom", "oom", event.Fact, no, "out of memory: killed by the kernel"},
		{"stopped on purpose", cause.Evidence{ExplicitlyStopped: true, ExitCode: code(137)}, "stop-obeyed", "user.stop", event.Likely, yes, "stopped by request, exit code 137"},
		{"removed in a gap", cause.Evidence{Unseen: true, Removed: true}, "removed-unseen", "user.remove", event.Likely, yes, "was removed while Bellbuoy could not see it; its exit code is not known"},
		{"restarted in a gap", cause.Evidence{Unseen: true, Restarted: true}, "restarted-unseen", "user.stop", event.Guess, yes, "was restarted by hand or with the daemon while Bellbuoy could not see it"},
		{"code lost at containerd's restart, out of memory", cause.Evidence{Unseen: true, RuntimeDown: true, OOMEvent: true, Ran: time.Minute}, "oom-unseen", "oom", event.Guess, no, "ended after 1m with an out-of-memory kill in it; its exit code is not known"},
		{"code lost at containerd's restart", cause.Evidence{Unseen: true, RuntimeDown: true}, "lost", "unknown.lost", event.Guess, no, "ended while Bellbuoy could not see it; its exit code is not known"},
		{"OOM by event", cause.Evidence{OOMEvent: true, ExitCode: code(137)}, "oom", "oom", event.Fact, no, "out of memory: killed by the kernel"},
		{"137 alone", cause.Evidence{ExitCode: code(137)}, "killed-unseen", "exit.sigkill", event.Guess, no, "killed by SIGKILL; no record says by whom, or whether its memory ran out"},
		{"segfault", cause.Evidence{ExitCode: code(139)}, "crash-signal", "exit.signal", event.Likely, no, "crashed with SIGSEGV (exit code 139)"},
		{"143 alone", cause.Evidence{ExitCode: code(143)}, "signalled", "exit.signal", event.Guess, no, "ended by SIGTERM (exit code 143); no record says who sent it"},
		{"ended, to be restarted", cause.Evidence{ExitCode: code(0), RestartPolicy: "unless-stopped"}, "service-ended", "exit.ok", event.Likely, no, "ended by itself with exit code 0, though it is meant to run for ever"},
		{"completed", cause.Evidence{ExitCode: code(0)}, "completed", "exit.ok", event.Fact, yes, "completed with exit code 0"},
		{"error after the OOM of a child", cause.Evidence{OOMEvent: true, ExitCode: code(1)}, "failed-after-oom", "exit.error", event.Likely, no, "exit code 1; a child process was killed for memory"},
		{"failed", cause.Evidence{ExitCode: code(3)}, "failed", "exit.error", event.Fact, no, "exit code 3"},
		{"64 bits", cause.Evidence{ExitCode: code(1 << 31)}, "failed", "exit.error", event.Fact, no, "exit code 2147483648"},
		{"nothing known", cause.Evidence{}, "nothing-known", "unknown.lost", event.Guess, no, "ended; why can't be known"},
	}
}

func TestDocker(t *testing.T) {
	t.Parallel()
	testRows(t, cause.Docker(), dockerRows())
}

func TestContainerd(t *testing.T) {
	t.Parallel()
	rows := containerdRows()
	for i := range rows {
		rows[i].evidence.NoKillRecord = true
	}
	testRows(t, cause.Containerd(), rows)
}

// testRows fails, too, if a row of the table has no test.
func testRows(t *testing.T, table cause.Table, rows []row) {
	t.Helper()
	hit := map[string]bool{}
	for _, tt := range rows {
		got := table.Classify(tt.evidence)
		assert.Equal(t, []any{tt.rule, tt.class, tt.grade, tt.expected, tt.say}, []any{got.Rule, got.Class, got.Confidence, got.Expected, got.Say}, tt.name)
		assert.NotEmpty(t, got.Evidence, tt.name)
		assert.NotEmpty(t, got.Initiator, tt.name)
		assert.True(t, got.Expected || got.Next != "", "%s: nobody knows what to do", tt.name)
		hit[got.Rule] = true
	}
	for _, rule := range table {
		assert.True(t, hit[rule.Name], "no row tests rule %s", rule.Name)
	}
}
