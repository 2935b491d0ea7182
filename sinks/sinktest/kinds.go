package sinktest

import (
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// others are events that are no stops.
func others() []Sample {
	samples := taskChanges()
	samples = append(samples, collectorChanges()...)
	samples = append(samples, platformChanges()...)
	return append(samples, derived()...)
}

func change(name string, t event.Type, state event.State, edit func(*event.Data, *event.Container)) Sample {
	container := event.Container{ID: containerID, Name: "shop-pay-1", Image: "registry.example/pay:1.4.2"}
	d := event.Data{
		Runtime: event.Docker, Scope: "shop", Node: "web-7", Workload: "pay",
		Task: &event.Task{ID: containerID, Name: "shop-pay-1", State: state, Times: event.Times{Started: happened().Add(-time.Hour)}},
	}
	if edit != nil {
		edit(&d, &container)
	}
	d.Task.Containers = []event.Container{container}
	return Sample{name, event.Event{Type: t, Data: d}}
}

func taskChanges() []Sample {
	return []Sample{
		change("started", event.TaskStarted, event.StateRunning, nil),
		change("unhealthy", event.TaskUnhealthy, event.StateUnhealthy, func(_ *event.Data, c *event.Container) {
			c.Health, c.HealthOutput = "unhealthy", "curl: (7) connection refused"
		}),
		change("oom", event.TaskOOM, event.StateRunning, func(_ *event.Data, c *event.Container) { c.OOMKilled = true }),
	}
}

func collectorChanges() []Sample {
	about := func(name string, t event.Type, c event.Collector, message string) Sample {
		c.Name, c.Version = "docker", "28.5.1"
		return Sample{name, event.Event{Type: t, Data: event.Data{Runtime: event.Docker, Node: "web-7", Collector: &c, Message: message}}}
	}
	return []Sample{
		about("collector-started", event.CollectorStarted, event.Collector{Containers: 14, Workloads: 11}, "Docker 28.5.1, 14 containers, 11 workloads"),
		about("gap", event.CollectorGap, event.Collector{
			From: happened().Add(-42 * time.Second), To: happened(), Reason: "the daemon restarted", Reconciled: 3,
			Unknown: []string{"containers that were started and removed within the gap"},
		}, ""),
		about("conflict", event.CollectorConflict, event.Collector{Peer: "web-8", Reason: "both claim engine A"}, ""),
	}
}

// platformChanges are what ECS tells of other things than tasks.
func platformChanges() []Sample {
	about := func(name string, t event.Type, edit func(*event.Data)) Sample {
		d := event.Data{
			Runtime: event.ECS, Scope: "prod", Workload: "web", Account: "123456789012", Region: "eu-west-1",
			Native: &event.Native{Action: "ECS Service Action"},
		}
		edit(&d)
		return Sample{name, event.Event{Type: t, Data: d}}
	}
	return []Sample{
		about("service-impaired", event.ServiceUpdated, func(d *event.Data) {
			d.Service = &event.Service{Name: "web", Event: "SERVICE_TASK_START_IMPAIRED", Level: "WARN"}
		}),
		about("service-below", event.ServiceUpdated, func(d *event.Data) {
			d.Service = &event.Service{Name: "web", Event: "below_desired", Counts: &event.Counts{Desired: 5, Running: 2, Pending: 1}}
		}),
		about("deployment-failed", event.DeploymentUpdated, func(d *event.Data) {
			d.Deployment = &event.Deployment{
				ID: "ecs-svc/6829", State: "failed", Event: "SERVICE_DEPLOYMENT_FAILED", Level: "ERROR",
				Reason: "ECS deployment circuit breaker: task failed to start.",
			}
		}),
		about("host-impaired", event.NodeUpdated, func(d *event.Data) {
			d.Workload, d.Node = "", "i-0abc"
			d.Host = &event.Host{ID: "0f6a", Instance: "i-0abc", Status: "IMPAIRED", Agent: "connected", Checks: []string{"DAEMON IMPAIRED: it stopped"}}
		}),
		about("image-scanned", event.ImageScanned, func(d *event.Data) {
			d.Workload = ""
			d.Image = &event.Image{Repository: "shop/web", Tag: "7", Digest: "sha256:" + containerID, Action: "SCAN", Result: "COMPLETE", Critical: 2, High: 5}
		}),
	}
}

func derived() []Sample {
	pay := event.Data{Runtime: event.Docker, Scope: "shop", Node: "web-7", Workload: "pay"}
	with := func(name string, t event.Type, edit func(*event.Data)) Sample {
		d := pay
		edit(&d)
		return Sample{name, event.Event{Type: t, Data: d}}
	}
	return []Sample{
		with("incident-opened", event.IncidentOpened, func(d *event.Data) {
			cause := exitError()
			d.Cause = &cause
			d.Incident = &event.Incident{
				ID: "inc-1", State: "open", Transition: 1, Family: "exit", Title: "pay keeps stopping with exit code 3", Stops: 4,
				Tasks: []string{"a", "b", "c", "d", "e", "f", "g"}, Opened: happened().Add(-3 * time.Minute),
			}
		}),
		with("incident-again", event.IncidentUpdated, func(d *event.Data) {
			cause := exitError()
			d.Cause = &cause
			d.Changed = []event.Change{{What: "image", From: "shop/pay:1.4", To: "shop/pay:1.5"}}
			d.Incident = &event.Incident{
				ID: "inc-2", State: "open", Transition: 4, Family: "exit", Title: "pay keeps stopping: exit code 3", Reason: "again",
				Stops: 31, Restarts: 30, Flaps: 2, Tasks: []string{"a", "b"}, TaskCount: 12, Nodes: []string{"web-7", "web-8", "web-9"},
				Running: 8, Desired: 20, Causes: []string{"exit.error (29)", "oom.limit (2)"}, Opened: happened().Add(-3 * time.Hour), Last: happened(),
				Healthy: happened().Add(-4 * time.Hour), Recent: []string{"revision 7 → 8 began to run 12m0s before"},
				Done: []string{"02:01:07 Bellbuoy: restart succeeded"},
			}
		}),
		with("incident-resolved", event.IncidentResolved, func(d *event.Data) {
			d.Incident = &event.Incident{
				ID: "inc-1", State: "resolved", Transition: 3, Family: "exit", Title: "pay keeps stopping with exit code 3", Stops: 4,
				Opened: happened().Add(-252 * time.Second), Resolved: happened(), DowntimeMS: 252_000, Recovery: "revision 9 runs after 3 starts",
			}
		}),
		with("action-denied", event.ActionDenied, func(d *event.Data) {
			d.Action = &event.Action{ID: "act-1", Handler: "healer", Mode: "act", Kind: "restart", Reason: "an operator stopped it", Rule: "operator_stop"}
		}),
		with("action-gaveup", event.ActionGaveUp, func(d *event.Data) {
			d.Action = &event.Action{
				ID: "act-2", Handler: "healer", Mode: "act", Kind: "restart", Reason: "4 restarts within 10 minutes did not help",
				Rule: "budget", Attempt: 4, Budget: "4/10m",
			}
		}),
		with("native", event.NativePassed, func(d *event.Data) { d.Native = &event.Native{Action: "ECS Service Action", Record: "{}"} }),
	}
}
