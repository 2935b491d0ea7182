package cause_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
)

func TestEvidenceForPeople(t *testing.T) {
	t.Parallel()
	got := cause.Docker().Classify(cause.Evidence{
		ExitCode: code(137), OOMFlag: true, OOMEvent: true, Ran: 5 * time.Second, RestartPolicy: "on-failure:3",
	})
	assert.Equal(t, []string{
		"the kernel reported an out-of-memory kill in this task", "the runtime recorded OOMKilled", "exit code 137 (SIGKILL)",
		"ran for 5s", "restart policy on-failure:3",
	}, got.Evidence)
	got = cause.Docker().Classify(cause.Evidence{Kills: kills(1500*time.Millisecond, 15, 9), StopEvent: true, StoppedAt: end(), ExitCode: code(137), Together: 3})
	assert.Equal(t, []string{
		"3 tasks were asked to stop within a second",
		"sent through the API: SIGTERM, then SIGKILL, the first 1.5s before the end",
		"the runtime reported a completed stop request", "exit code 137 (SIGKILL)",
	}, got.Evidence)
}

// TestNotes holds what people read about facts that decide no row.
func TestNotes(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]cause.Evidence{
		"the policy had restarted it once":                                                      {ExitCode: code(3), RestartPolicy: "always", Restarts: 1},
		"the policy had restarted it 4 times":                                                   {ExitCode: code(3), RestartPolicy: "on-failure:5", Restarts: 4},
		"restart policy on-failure:3, which gives up":                                           {ExitCode: code(3), RestartPolicy: "on-failure:3", PolicyGaveUp: true},
		"restart policy always, which starts it again in 800ms":                                 {ExitCode: code(3), RestartPolicy: "always", NextRestart: 800 * time.Millisecond},
		"the runtime keeps no record of who sends signals":                                      {ExitCode: code(143), NoKillRecord: true},
		"no API signal and no out-of-memory event was seen; the kernel log decides":             {ExitCode: code(137)},
		"the memory cgroup counted an out-of-memory kill":                                       {ExitCode: code(137), OOMCounted: true, NoKillRecord: true},
		"the main process was not killed by it: a child was out of memory":                      {ExitCode: code(0), OOMEvent: true},
		"the runtime was down, so no event told of it and an out-of-memory kill can't be known": {ExitCode: code(137), RuntimeDown: true, Unseen: true},
		"a task of the same workload with another revision took its place (beef)":               {ExitCode: code(143), Kills: kills(1, 15), Replaced: true, ReplacedBy: "beef"},
		"a task of the same workload with another revision took its place":                      {ExitCode: code(143), Kills: kills(1, 15), Replaced: true},
		"its service wants fewer tasks than before":                                             {ExitCode: code(143), Kills: kills(1, 15), ScaledIn: true},
		"whoever stopped the task marked it as stopped on purpose":                              {ExitCode: code(143), ExplicitlyStopped: true},
		"the host or the runtime went down at that time":                                        {Shutdown: true, Kills: kills(1, 15), ExitCode: code(0)},
		"exit code 3, as the event says":                                                        {ExitCode: code(3), CodeFrom: "the event"},
		"the runtime said: exec: no such file":                                                  {StartFailed: true, StateError: "exec: no such file\n"},
		"sent through the API: an unknown signal, the first 0s before the end":                  {ExitCode: code(1), Kills: []cause.Kill{{At: end()}}, StoppedAt: end()},
		"another run had been started by then, not by the restart policy":                       {Unseen: true, Restarted: true},
		"the health probe had failed for 5s":                                                    {ExitCode: code(1), Unhealthy: true, UnhealthyFor: 5 * time.Second},
	} {
		assert.Contains(t, cause.Docker().Classify(e).Evidence, want)
	}
	again := cause.Docker().Classify(cause.Evidence{ExitCode: code(143), Replaced: true, ReplacedBy: "beef", Task: cause.Identity{Revision: "beef"}})
	assert.Contains(t, again.Evidence, "a new task of the same workload and revision took its place")
	for _, e := range []cause.Evidence{{ExitCode: code(137), NoKillRecord: true}, {ExitCode: code(137), RuntimeDown: true}, {ExitCode: code(137), OOMFlag: true}} {
		assert.NotContains(t, cause.Docker().Classify(e).Evidence, "no API signal and no out-of-memory event was seen; the kernel log decides")
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	for number, name := range map[int]string{0: "", -1: "", 1: "SIGHUP", 9: "SIGKILL", 15: "SIGTERM", 31: "SIGSYS", 32: "", 34: "SIGRTMIN", 37: "SIGRTMIN+3", 65: ""} {
		assert.Equal(t, name, cause.SignalName(number))
		if name != "" {
			assert.Equal(t, number, cause.ParseSignal(name))
		}
	}
	for text, number := range map[string]int{"15": 15, "TERM": 15, "sigterm": 15, " 9 ": 9, "SIGRTMIN+3": 37, "": 0, "nope": 0, "-3": 0, "99": 0, "RTMIN+99": 0} {
		assert.Equal(t, number, cause.ParseSignal(text), text)
	}
	for exit, name := range map[int64]string{0: "", 128: "", 137: "SIGKILL", 143: "SIGTERM", 255: "", 1 << 40: ""} {
		assert.Equal(t, name, cause.SignalOf(exit))
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		34 * time.Millisecond: "34ms", 4123 * time.Millisecond: "4.1s", 4 * time.Second: "4s", 61 * time.Second: "1m1s", 2 * time.Minute: "2m",
		3*time.Hour + 2*time.Minute: "3h2m", 3 * time.Hour: "3h", 10 * time.Minute: "10m", 10 * time.Hour: "10h", 73 * time.Hour: "3 days",
	} {
		require.Equal(t, want, cause.Duration(d))
	}
}

func FuzzParseSignal(f *testing.F) {
	for _, s := range []string{"15", "SIGTERM", "rtmin+3", "SIGRTMIN", "-1", "SIG", "99999999999999999999", "RTMIN+-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := cause.ParseSignal(text)
		if n < 0 || n > 64 {
			t.Fatalf("%q is signal %d", text, n)
		}
		if name := cause.SignalName(n); name != "" && cause.ParseSignal(name) != n {
			t.Fatalf("%q is signal %d, but its name %s is not", text, n, name)
		}
	})
}
