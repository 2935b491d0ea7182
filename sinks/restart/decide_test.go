package restart

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// situation is everything that Decide looks at.
type situation struct {
	e event.Event
	h History
	p Policy
}

// plain is a stop that is allowed to be undone.
func plain() situation {
	now := time.Date(2026, 11, 24, 10, 0, 10, 0, time.UTC)
	begin := now.Add(-time.Minute)
	s := State{Found: true, Started: begin, ExitCode: 3, Name: "/pay", Labels: map[string]string{labelRestart: wantOnFailure}}
	return situation{
		e: event.Event{
			ID: "e1", Type: event.TaskStopped, Time: now.Add(-time.Second),
			Data: event.Data{
				Runtime: event.Docker, Workload: "pay", Labels: s.Labels,
				Task:  &event.Task{ID: "c1", Run: s.Run(), Times: event.Times{Started: begin}},
				Cause: &event.Cause{Class: "exit.error", Initiator: "app", Say: "exit code 3"},
			},
		},
		h: History{Now: now, State: s},
		p: Policy{Budget: Budget{4, 10 * time.Minute}, StableAfter: 5 * time.Minute, Backoff: Backoff{time.Second, time.Minute}, MaxAge: 10 * time.Minute},
	}
}

func (s *situation) label(key, value string) { s.h.State.Labels[key] = value }

func (s *situation) cause(class, initiator string, expected bool) {
	s.e.Data.Cause = &event.Cause{Class: class, Initiator: initiator, Expected: expected, Say: "because"}
}

func (s *situation) sick() {
	s.e.Type, s.e.Data.Cause = event.TaskUnhealthy, nil
	s.label(labelRestart, wantUnhealthy)
	s.h.State.Running, s.h.State.Health = true, "unhealthy"
}

// task makes it a containerd task: no start times, but the end is exact.
func (s *situation) task() {
	end := s.e.Time
	s.e.Data.Runtime, s.e.Data.Scope, s.e.Data.Task.Run, s.e.Data.Task.Times = event.Containerd, "default", "boot-4711", event.Times{Stopped: end}
	s.e.Data.Cause.Confidence = event.Fact
	s.h.State.Started, s.h.State.RunName, s.h.State.Stopped = time.Time{}, "4711", end
}

func (s *situation) attempts(n int, task string, age time.Duration) {
	for range n {
		s.h.Attempts = append(s.h.Attempts, Attempt{Key: task + "/1/start", Trigger: "x", Task: task, Phase: ended, Tries: 1, Tried: s.h.Now.Add(-age)})
	}
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*situation)
		kind   Kind
		rule   string
		silent bool
	}{
		{"failed", func(*situation) {}, Start, RuleAllowed, false},
		{"out of memory", func(s *situation) { s.cause("oom", "host", false) }, Start, RuleAllowed, false},
		{"killed from outside", func(s *situation) { s.cause("exit.sigkill", "unknown", false) }, Start, RuleAllowed, false},
		{"could not start", func(s *situation) { s.cause("start.error", "runtime", false) }, Start, RuleAllowed, false},
		{"unhealthy", func(s *situation) { s.sick() }, Restart, RuleAllowed, false},
		{"unhealthy, always", func(s *situation) { s.sick(); s.label(labelRestart, wantAlways) }, Restart, RuleAllowed, false},
		{"unhealthy under a policy of the runtime", func(s *situation) { s.sick(); s.h.State.Policy = "always" }, Restart, RuleAllowed, false},
		{"completed, always", func(s *situation) { s.label(labelRestart, wantAlways); s.cause("exit.ok", "app", true) }, Start, RuleAllowed, false},

		{"another event", func(s *situation) { s.e.Type = event.TaskStarted }, "", RuleNoTrigger, true},
		{"no task", func(s *situation) { s.e.Data.Task = nil }, "", RuleNoTrigger, true},
		{"no label", func(s *situation) { delete(s.h.State.Labels, labelRestart) }, "", RuleNotOptedIn, true},
		{"off", func(s *situation) { s.label(labelRestart, wantOff) }, "", RuleNotOptedIn, true},
		{"stopped, asks for unhealthy", func(s *situation) { s.label(labelRestart, wantUnhealthy) }, "", RuleNotOptedIn, true},
		{"unhealthy, asks for failures", func(s *situation) { s.sick(); s.label(labelRestart, wantOnFailure) }, "", RuleNotOptedIn, true},
		{"a word that is none", func(s *situation) { s.label(labelRestart, "yes") }, "", RuleBadLabel, false},
		{"the event's label is not the real one", func(s *situation) {
			s.e.Data.Labels = map[string]string{labelRestart: wantOnFailure}
			s.h.State.Labels = map[string]string{}
		}, "", RuleNotOptedIn, true},

		{"swarm", func(s *situation) { s.label("com.docker.swarm.service.id", "x") }, "", RuleOwner, false},
		{"kubernetes", func(s *situation) { s.label("io.kubernetes.pod.uid", "x") }, "", RuleOwner, false},
		{"cri", func(s *situation) { s.label("io.cri-containerd.kind", "x") }, "", RuleOwner, false},
		{"kubernetes by name", func(s *situation) { s.h.State.Name = "/k8s_pay_pay-7_default" }, "", RuleOwner, false},
		{"ecs", func(s *situation) { s.label("com.amazonaws.ecs.task-arn", "x") }, "", RuleOwner, false},
		{"nomad", func(s *situation) { s.label("com.hashicorp.nomad.alloc_id", "x") }, "", RuleOwner, false},
		{"containerd", func(s *situation) { s.label("containerd.io/restart.status", "running") }, "", RuleOwner, false},
		{"containerd's plugin, stopped by hand", func(s *situation) { s.label("containerd.io/restart.explicitly-stopped", "true") }, "", RuleOwner, false},
		{"a log for containerd's plugin", func(s *situation) { s.label("containerd.io/restart.loguri", "file:///x") }, Start, RuleAllowed, false},
		{"Docker's own containerd", func(s *situation) { s.label("com.docker/engine.bundle.path", "/x") }, "", RuleOwner, false},
		{"kubernetes by namespace", func(s *situation) { s.task(); s.e.Data.Scope = "k8s.io" }, "", RuleOwner, false},
		{"compose run", func(s *situation) { s.label("com.docker.compose.oneoff", "True") }, "", RuleOwner, false},
		{"compose service", func(s *situation) { s.label("com.docker.compose.oneoff", "False") }, Start, RuleAllowed, false},

		{"gone", func(s *situation) { s.h.State = State{} }, "", RuleGone, false},
		{"--rm", func(s *situation) { s.h.State.AutoRemove = true }, "", RuleAutoRemove, false},
		{"policy always", func(s *situation) { s.h.State.Policy = "always" }, "", RulePolicy, false},
		{"policy on-failure", func(s *situation) { s.h.State.Policy = "on-failure" }, "", RulePolicy, false},
		{"policy no", func(s *situation) { s.h.State.Policy = "no" }, Start, RuleAllowed, false},

		{"a task", func(s *situation) { s.task() }, Start, RuleAllowed, false},
		{"hooks", func(s *situation) { s.task(); s.h.State.Setup = "its spec has hooks" }, "", RuleSetup, false},
		{"another task since", func(s *situation) { s.task(); s.h.State.Stopped = s.h.Now }, "", RuleMovedOn, false},
		{"another task runs", func(s *situation) {
			s.task()
			s.h.State.Stopped, s.h.State.Running, s.h.State.RunName = time.Time{}, true, "4712"
		}, "", RuleMovedOn, false},
		{"no task any more", func(s *situation) { s.task(); s.h.State.Stopped, s.h.State.RunName = time.Time{}, "" }, Start, RuleAllowed, false},
		{"a task out of memory", func(s *situation) { s.task(); s.e.Data.Cause.Class = "oom" }, Start, RuleAllowed, false},
		{"a task killed by who knows", func(s *situation) {
			s.task()
			s.e.Data.Cause = &event.Cause{Class: "exit.sigkill", Confidence: event.Guess, Initiator: "unknown", Say: "killed"}
		}, "", RuleUnsure, false},
		{"a task killed by who knows, always", func(s *situation) {
			s.task()
			s.label(labelRestart, wantAlways)
			s.e.Data.Cause = &event.Cause{Class: "exit.signal", Confidence: event.Guess, Initiator: "unknown", Say: "killed"}
		}, Start, RuleAllowed, false},

		{"no cause", func(s *situation) { s.e.Data.Cause = nil }, "", RuleExpected, false},
		{"completed", func(s *situation) { s.cause("exit.ok", "app", true) }, "", RuleExpected, false},
		{"host shuts down", func(s *situation) { s.cause("host.shutdown", "host", true) }, "", RuleExpected, false},
		{"host shuts down, always", func(s *situation) { s.label(labelRestart, wantAlways); s.cause("host.shutdown", "host", true) }, "", RuleExpected, false},
		{"docker stop", func(s *situation) { s.cause("user.stop", "user", true) }, "", RuleOperator, false},
		{"docker stop, always", func(s *situation) { s.label(labelRestart, wantAlways); s.cause("user.stop", "user", true) }, "", RuleOperator, false},
		{"docker kill, not expected", func(s *situation) { s.cause("user.kill", "unknown", false) }, "", RuleOperator, false},
		{"own restart", func(s *situation) { s.cause("handler.restart", "handler", true) }, "", RuleOwnAction, true},

		{"eleven minutes ago", func(s *situation) { s.e.Time = s.h.Now.Add(-11 * time.Minute) }, "", RuleTooOld, false},
		{"a recording", func(s *situation) { s.e.Data.Observed = event.ObservedReplay }, "", RuleReplay, false},
		{"found by a snapshot", func(s *situation) { s.e.Data.Observed = event.ObservedReconcile }, Start, RuleAllowed, false},
		{"a clock ahead", func(s *situation) { s.e.Time = s.h.Now.Add(time.Minute) }, Start, RuleAllowed, false},
		{"another event about the run", func(s *situation) {
			s.h.Attempts = []Attempt{{Key: keyOf(&s.e), Trigger: "e0", Task: "c1", Phase: ended}}
		}, "", RuleDuplicate, true},
		{"runs again", func(s *situation) { s.h.State.Running = true }, "", RuleMovedOn, false},
		{"another run since", func(s *situation) { s.h.State.Started = s.h.Now }, "", RuleMovedOn, false},
		{"the run's name is not known", func(s *situation) { s.e.Data.Task.Run = "t123" }, Start, RuleAllowed, false},
		{"the run's name is not known and another began", func(s *situation) { s.e.Data.Task.Run = "t123"; s.h.State.Started = s.h.Now }, "", RuleMovedOn, false},
		{"never ran", func(s *situation) { s.e.Data.Task.Run = ""; s.h.State.Started = time.Time{} }, Start, RuleAllowed, false},
		{"unhealthy and then paused", func(s *situation) { s.sick(); s.h.State.Paused = true }, "", RuleMovedOn, false},
		{"unhealthy and then stopped", func(s *situation) { s.sick(); s.h.State.Running = false }, "", RuleMovedOn, false},
		{"unhealthy and then healthy", func(s *situation) { s.sick(); s.h.State.Health = "healthy" }, "", RuleRecovered, false},

		{"three attempts", func(s *situation) { s.attempts(3, "c0", time.Minute) }, Start, RuleAllowed, false},
		{"four attempts", func(s *situation) { s.attempts(4, "c0", time.Minute) }, "", RuleBudget, false},
		{"four attempts long ago", func(s *situation) { s.attempts(4, "c0", 10*time.Minute) }, Start, RuleAllowed, false},
		{"three attempts and one that waits", func(s *situation) {
			s.attempts(3, "c0", time.Minute)
			s.h.Attempts = append(s.h.Attempts, Attempt{Task: "c2", Phase: waiting})
		}, "", RuleBudget, false},
		{"four attempts, then stable", func(s *situation) {
			s.attempts(4, "c1", 9*time.Minute)
			s.e.Data.Task.Times.Started = s.h.Now.Add(-6 * time.Minute)
		}, Start, RuleAllowed, false},
		{"four attempts on another task, this one stable", func(s *situation) {
			s.attempts(4, "c0", 9*time.Minute)
			s.e.Data.Task.Times.Started = s.h.Now.Add(-6 * time.Minute)
		}, "", RuleBudget, false},
		{"a budget of its own", func(s *situation) { s.attempts(4, "c0", time.Minute); s.label(labelBudget, "9/10m") }, Start, RuleAllowed, false},
		{"a smaller budget", func(s *situation) { s.attempts(1, "c0", time.Minute); s.label(labelBudget, "1/1h") }, "", RuleBudget, false},
		{"a budget that is none", func(s *situation) { s.label(labelBudget, "many") }, "", RuleBadLabel, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := plain()
			c.change(&s)
			d := Decide(&s.e, s.h, s.p)
			require.Equal(t, c.rule, d.Rule, d.Reason)
			require.Equal(t, c.kind, d.Kind)
			require.Equal(t, c.silent, d.Silent)
			require.NotEmpty(t, d.Reason)
			require.Equal(t, d, Decide(&s.e, s.h, s.p), "the same again")
		})
	}
}

// What would refuse for several reasons is refused for the first of them.
func TestTheOrderOfTheRules(t *testing.T) {
	s := plain()
	s.attempts(9, "c0", time.Minute)
	undo := []func(){
		func() { s.h.State.Running = false },
		func() { s.e.Time = s.h.Now },
		func() { s.cause("exit.error", "app", false) },
		func() { s.h.State.Policy = "" },
		func() { s.h.State.AutoRemove = false },
		func() { delete(s.h.State.Labels, "io.kubernetes.pod.uid") },
		func() { s.label(labelRestart, wantOnFailure) },
	}
	s.h.State.Running, s.e.Time = true, s.h.Now.Add(-time.Hour)
	s.cause("user.stop", "user", true)
	s.h.State.Policy, s.h.State.AutoRemove = "always", true
	s.label("io.kubernetes.pod.uid", "x")
	s.label(labelRestart, wantOff)
	var order []string
	for i := len(undo) - 1; i >= 0; i-- {
		order = append(order, Decide(&s.e, s.h, s.p).Rule)
		undo[i]()
	}
	order = append(order, Decide(&s.e, s.h, s.p).Rule)
	require.Equal(t, []string{RuleNotOptedIn, RuleOwner, RuleAutoRemove, RulePolicy, RuleOperator, RuleTooOld, RuleMovedOn, RuleBudget}, order)
}

func TestTheBackOffGrows(t *testing.T) {
	b := Backoff{First: time.Second, Limit: 10 * time.Second}
	var delays []time.Duration
	for n := range int64(7) {
		delays = append(delays, b.delay(n))
	}
	require.Equal(t, []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second}, delays)
	s := plain()
	s.attempts(2, "c0", time.Minute)
	d := Decide(&s.e, s.h, s.p)
	require.Equal(t, int64(3), d.Attempt)
	require.Equal(t, 2*time.Second, d.Delay)
}

func TestBudgetText(t *testing.T) {
	for text, want := range map[string]Budget{"4/10m": {4, 10 * time.Minute}, "1/1h": {1, time.Hour}, "10/90s": {10, 90 * time.Second}, " 2 / 1h30m ": {2, 90 * time.Minute}} {
		b, err := ParseBudget(text)
		require.NoError(t, err)
		require.Equal(t, want, b)
		again, err := ParseBudget(b.String())
		require.NoError(t, err)
		require.Equal(t, b, again)
	}
	require.Equal(t, "4/10m", DefaultConfig().Budget.String())
	for _, text := range []string{"", "4", "4/", "/10m", "0/10m", "-1/10m", "4/0s", "101/10m", "4/25h", "x/10m", "4/10", "4/10m/2", "99999999999999999999/1m"} {
		_, err := ParseBudget(text)
		require.Error(t, err, text)
		require.ErrorContains(t, err, "4/10m", "it says how to write one")
	}
	var b Budget
	require.NoError(t, b.UnmarshalText([]byte("7/1m")))
	out, err := b.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "7/1m", string(out))
	require.Error(t, b.UnmarshalText([]byte("?")))
}

func FuzzBudget(f *testing.F) {
	f.Add("4/10m")
	f.Add("/")
	f.Add("1/1h0m0s")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBudget(text)
		if err != nil {
			return
		}
		again, err := ParseBudget(b.String())
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}

func TestConfigFaults(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	require.Equal(t, DryRun, DefaultConfig().Mode)
	for path, change := range map[string]func(*Config){
		"mode":          func(c *Config) { c.Mode = "on" },
		"budget":        func(c *Config) { c.Budget = Budget{} },
		"stable_after":  func(c *Config) { c.StableAfter = 0 },
		"backoff.first": func(c *Config) { c.Backoff.First = 2 * c.Backoff.Limit },
		"backoff.limit": func(c *Config) { c.Backoff.Limit = 2 * time.Hour },
		"verify_after":  func(c *Config) { c.VerifyAfter = time.Hour },
		"max_age":       func(c *Config) { c.MaxAge = time.Second },
		"docker.host":   func(c *Config) { c.Docker.Host = "/var/run/docker.sock" },

		"docker.tls":         func(c *Config) { c.Docker.TLS = TLS{Cert: "cert.pem"} },
		"containerd.address": func(c *Config) { c.Containerd.Address = "tcp://10.0.0.1:99" },
	} {
		c := DefaultConfig()
		change(&c)
		faults := fault.All(c.Validate())
		require.Len(t, faults, 1, path)
		require.Equal(t, path, faults[0].Path)
	}
}

func TestOldAttemptsLeaveTheRecord(t *testing.T) {
	now := time.Now()
	r := &record{}
	for i := range 2 * maxKept {
		r.Attempts = append(r.Attempts, Attempt{Key: number(i), Phase: ended, Ended: now})
	}
	r.Attempts[0].Phase = waiting
	r.Attempts[2*maxKept-1].Ended = now.Add(-26 * time.Hour)
	r.prune(now.Add(-25 * time.Hour))
	require.Len(t, r.Attempts, maxKept, "the newest, the open ones, and none that is too old")
	require.Equal(t, waiting, r.Attempts[0].Phase)
	require.Equal(t, number(2*maxKept-2), r.Attempts[len(r.Attempts)-1].Key)
}
