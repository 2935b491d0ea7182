package sinktest

import (
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Sample is an event with a name for a golden file.
type Sample struct {
	Name  string
	Event event.Event
}

// Events returns the sample events, new ones at each call.
func Events() []event.Event {
	samples := Samples()
	events := make([]event.Event, len(samples))
	for i := range samples {
		events[i] = samples[i].Event
	}
	return events
}

// Alerts returns the unexpected stops among the sample events.
func Alerts() []event.Event {
	var alerts []event.Event
	for _, e := range Events() {
		if e.Type == event.TaskStopped && !e.Data.Cause.Expected {
			alerts = append(alerts, e)
		}
	}
	return alerts
}

// Samples returns one event of each way to end, one of each other kind, and some that are hard to show.
func Samples() []Sample {
	samples := append(stops(), others()...)
	for i := range samples {
		seal(&samples[i])
	}
	return samples
}

// happened is when every sample happened.
func happened() time.Time { return time.Date(2026, 11, 24, 2, 14, 7, 123e6, time.UTC) }

// seal sets what follows from the rest.
func seal(s *Sample) {
	e := &s.Event
	d := &e.Data
	if d.Site == "" {
		d.Site = "prod-eu"
	}
	if d.Observed == "" {
		d.Observed = event.ObservedStream
	}
	task := ""
	if d.Task != nil {
		task = d.Task.ID
	}
	e.ID = event.NewID("sample", s.Name)
	e.Source = event.SourceOf(d.Site, d.Runtime, d.Node)
	e.Subject = event.SubjectOf(d.Scope, d.Workload, task)
	e.PartitionKey = e.Subject
	e.Time, e.Recorded = happened(), happened().Add(12*time.Millisecond)
	e.Sequence = "00001795486447-0000000001"
	e.Severity = event.SeverityOf(e)
}

const containerID = "4f2c9d0f6a1b4f2c9d0f6a1b4f2c9d0f6a1b4f2c9d0f6a1b4f2c9d0f6a1b4f2c"

// stopped is a Docker stop of workload pay that ran for 4 s, changed by edit.
func stopped(name string, cause event.Cause, edit func(*event.Data, *event.Container)) Sample {
	container := event.Container{ID: containerID, Name: "shop-pay-1", Image: "registry.example/pay:1.4.2", ImageDigest: "sha256:" + containerID}
	d := event.Data{
		Runtime: event.Docker, Scope: "shop", Node: "web-7", Workload: "pay", Revision: "sha256:" + containerID, Owner: "team-payments",
		Labels: map[string]string{"team": "payments"},
		Cause:  &cause,
		Task: &event.Task{
			ID: containerID, Name: "shop-pay-1", Run: "1", State: event.StateStopped, PreviousState: event.StateRunning,
			Times: event.Times{Started: happened().Add(-4 * time.Second), Stopped: happened()},
			Log:   &event.Log{Lines: []string{"listening on :8080", "boom"}},
		},
	}
	if edit != nil {
		edit(&d, &container)
	}
	d.Task.Containers = append([]event.Container{container}, d.Task.Containers...)
	return Sample{name, event.Event{Type: event.TaskStopped, Data: d}}
}

func code(n int64) *int64 { return &n }

func exitError() event.Cause {
	return event.Cause{
		Class: "exit.error", Confidence: event.Fact, Initiator: "app", Say: "the program ended with exit code 3",
		Evidence: []string{"exit code 3", "no stop was requested"}, Rule: "exit-error",
	}
}

func stops() []Sample {
	return []Sample{
		stopped("exit-error", exitError(), func(_ *event.Data, c *event.Container) {
			c.ExitCode, c.Restarts, c.RestartPolicy = code(3), 2, "on-failure:3"
		}),
		stopped("oom-fact", event.Cause{
			Class: "oom", Confidence: event.Fact, Initiator: "host", Say: "the kernel killed it because it reached its memory limit",
			Evidence: []string{"OOMKilled is set", "an oom event came before", "exit code 137"},
		}, func(d *event.Data, c *event.Container) {
			c.ExitCode, c.Signal, c.OOMKilled = code(137), "SIGKILL", true
			d.Task.Times.Started = happened().Add(-27 * time.Hour)
		}),
		stopped("sigkill-guess", event.Cause{
			Class: "exit.sigkill", Confidence: event.Guess, Initiator: "unknown", Say: "something killed it with SIGKILL",
			Evidence: []string{"exit code 137", "no OOM flag", "no stop was requested through Docker"},
		}, func(_ *event.Data, c *event.Container) { c.ExitCode, c.Signal = code(137), "SIGKILL" }),
		stopped("start-error", event.Cause{
			Class: "start.command", Confidence: event.Fact, Initiator: "runtime", Say: "its command was not found in the image",
			Evidence: []string{"exit code 127", "the runtime reported an error"},
		}, func(d *event.Data, c *event.Container) {
			c.ExitCode, c.Reason = code(127), `exec: "serve": executable file not found in $PATH`
			d.Task.Times.Started = time.Time{}
			d.Task.Log = &event.Log{None: "the container never ran"}
		}),
		stopped("lost", event.Cause{
			Class: "host.lost", Confidence: event.Likely, Initiator: "host", Say: "the host was lost while it ran",
			Evidence: []string{"the engine is gone since 02:13:50"},
		}, func(d *event.Data, _ *event.Container) { d.Task.Log, d.Observed = nil, event.ObservedReconcile }),
		stopped("unhealthy-stop", event.Cause{
			Class: "health.container", Confidence: event.Likely, Initiator: "runtime", Say: "it was stopped because its health probe failed",
			Evidence: []string{"3 failed probes in a row"},
		}, func(_ *event.Data, c *event.Container) {
			c.ExitCode, c.Signal, c.Health, c.HealthOutput = code(143), "SIGTERM", "unhealthy", "curl: (7) connection refused"
		}),
		stopped("expected-stop", event.Cause{
			Class: "user.stop", Confidence: event.Fact, Initiator: "user", Expected: true, Say: "somebody stopped it",
			Evidence: []string{"a stop was requested 2 s before"},
		}, func(_ *event.Data, c *event.Container) { c.ExitCode, c.Signal = code(143), "SIGTERM" }),
		stopped("drill", exitError(), func(d *event.Data, c *event.Container) { d.Observed, c.ExitCode = event.ObservedDrill, code(3) }),
		ecsStop(), ecsPull(), ecsReplaced(), multiByte(), hostile(), huge(),
	}
}

// ecsTask is a stop of a task on Fargate with two containers, changed by edit.
func ecsTask(name string, cause event.Cause, edit func(*event.Data, *event.Container)) Sample {
	return stopped(name, cause, func(d *event.Data, c *event.Container) {
		*c = event.Container{Name: "app", Image: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:7", Essential: &[]bool{true}[0]}
		d.Runtime, d.Scope, d.Node, d.Workload, d.Revision = event.ECS, "prod", "", "web", "web:42"
		d.Account, d.Region = "123456789012", "eu-west-1"
		d.Task.ID, d.Task.Name, d.Task.Log = "0f6a1b4f2c9d4b7ea1", "", nil
		d.Task.Containers = []event.Container{{Name: "envoy", Image: "envoy:1.30"}}
		d.Task.Placement = event.Placement{LaunchType: "FARGATE", Zone: "eu-west-1b", Platform: "Linux 1.4.0"}
		d.Task.Version, d.Task.StartedBy = 9, "ecs-svc/6829"
		edit(d, c)
	})
}

func ecsStop() Sample {
	return ecsTask("ecs-two-containers", event.Cause{
		Class: "exit.error", Confidence: event.Fact, Initiator: "app", Say: "exit code 1 after 4s in container app",
		Evidence: []string{
			"stop code EssentialContainerExited", "the platform said: Essential container in task exited",
			"container app (essential): exit code 1", "container envoy (not essential): exit code 137 (SIGKILL)",
		},
		Rule: "exit.error", Container: "app", Next: "read the log of the container that ended first",
	}, func(d *event.Data, c *event.Container) {
		c.ExitCode = code(1)
		d.Task.Containers[0].ExitCode, d.Task.Containers[0].Signal = code(137), "SIGKILL"
		d.Task.StopCode, d.Task.StopReason = "EssentialContainerExited", "Essential container in task exited"
		d.Changed = []event.Change{{What: "image app", From: "web:6", To: "web:7"}}
	})
}

func ecsPull() Sample {
	const said = "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref web:7: web:7: not found"
	return ecsTask("ecs-pull", event.Cause{
		Class: "start.image.notfound", Confidence: event.Fact, Initiator: "runtime", Say: "could not start: image web:7 does not exist in its registry",
		Evidence: []string{"stop code TaskFailedToStart", "the platform said: Task failed to start", "container app: no exit code; " + said},
		Rule:     "start.image.notfound", Container: "app", Token: "CannotPullContainerError",
		Next: "check the tag or digest, whether it was pushed, and the lifecycle policy of the repository",
	}, func(d *event.Data, c *event.Container) {
		c.Reason, d.Task.Times.Started = said, time.Time{}
		d.Task.StopCode, d.Task.StopReason = "TaskFailedToStart", "Task failed to start"
	})
}

func ecsReplaced() Sample {
	return ecsTask("ecs-replaced", event.Cause{
		Class: "deploy.replaced", Confidence: event.Likely, Initiator: "scheduler", InitiatorName: "ecs-svc/6830", Expected: true,
		Say:      "replaced in a deploy of its service; it did not end within its stop timeout and was killed (exit code 137)",
		Evidence: []string{"stop code ServiceSchedulerInitiated", "container app: exit code 137 (SIGKILL)"},
		Rule:     "deploy.replaced", Next: "nothing, while the deployment goes on",
	}, func(d *event.Data, c *event.Container) {
		c.ExitCode, c.Signal = code(137), "SIGKILL"
		d.Task.StopCode, d.Task.StopReason = "ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/6829)"
	})
}

func multiByte() Sample {
	return stopped("multi-byte", exitError(), func(d *event.Data, c *event.Container) {
		c.ExitCode = code(3)
		d.Workload, d.Scope, d.Task.Name, d.Node = "зарплата-💶", "магазин", "зарплата", "büro-1"
		d.Task.Log.Lines = []string{"Ошибка: нет соединения", "データベースに接続できません", "👩‍🚒 fire"}
	})
}

// hostile tries to control the terminal, to forge lines and to reorder what is read.
func hostile() Sample {
	return stopped("hostile", exitError(), func(d *event.Data, c *event.Container) {
		c.ExitCode = code(3)
		c.Name, c.Image = "a b';rm -rf /", "img\r\nSubject: forged"
		d.Workload, d.Task.Name = "pay\n[prod] all good", "-x; $(reboot)"
		d.Cause.Say = "it \x1b[2J\x1b]0;owned\x07ended\u202e gnorw"
		d.Cause.Evidence = []string{"\x1b[31mred\x1b[0m", "bell \a and NUL \x00", "tab\tand\u2028line", "bad \xff\xfe bytes"}
		d.Task.Log.Lines = []string{"\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\", "\u009b31m8-bit", "progress 10%\rprogress 99%"}
	})
}

// huge has more of everything than a person reads.
func huge() Sample {
	return stopped("huge", exitError(), func(d *event.Data, c *event.Container) {
		c.ExitCode = code(3)
		c.Image = strings.Repeat("deep/", 100) + "image:1"
		d.Labels = map[string]string{"long": strings.Repeat("v", 4000)}
		d.Task.Log.Lines = nil
		for range 200 {
			d.Task.Log.Lines = append(d.Task.Log.Lines, strings.Repeat("日本語 log ", 20))
		}
		d.Task.Log.Cut = true
		d.Truncated = []string{"labels", "task.log"}
	})
}
