package main

import (
	"fmt"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// poolSize is how many different events a run publishes; each time they get another id.
const poolSize = 4096

// load is what a run publishes: the lives of compose containers, as the Docker collector tells them.
type load struct {
	pool []event.Event
	ids  []string
}

// newLoad makes up to n events. Identity is the collector's work, not the path's, so it is done here.
func newLoad(n int) *load {
	l := &load{pool: make([]event.Event, min(n, poolSize)), ids: make([]string, n)}
	for i := range l.pool {
		l.pool[i] = life(i)
	}
	start := fmt.Sprint(time.Now().UnixNano())
	for i := range l.ids {
		l.ids[i] = event.NewID("bench", start, fmt.Sprint(i))
	}
	return l
}

// event is number i, seen now.
func (l *load) event(i int) event.Event {
	e := l.pool[i%len(l.pool)]
	e.ID, e.Recorded = l.ids[i], time.Now()
	return e
}

// bodies are the events of the pool as they are on the stream, and how long they are on average.
func (l *load) bodies() (bodies [][]byte, size int, err error) {
	bodies = make([][]byte, len(l.pool))
	for i := range bodies {
		e := l.event(i)
		if bodies[i], err = event.Append(nil, &e); err != nil {
			return nil, 0, fmt.Errorf("encode an event of the load: %w", err)
		}
		size += len(bodies[i])
	}
	return bodies, size / len(bodies), nil
}

// life is event number i: four of them are one container's.
func life(i int) event.Event {
	n := i / 4
	id := fmt.Sprintf("%064x", uint64(n)*0x9e3779b97f4a7c15)
	service := fmt.Sprintf("service-%d", n%300)
	at := time.Now().UTC().Truncate(time.Microsecond)
	subject := event.SubjectOf("shop", service, id)
	e := event.Event{
		Source: event.SourceOf("prod-eu", event.Docker, "web-7"), Subject: subject, PartitionKey: subject,
		Time: at, Sequence: fmt.Sprintf("%014d-%010d", at.UnixMilli(), i+1),
		Data: event.Data{
			Site: "prod-eu", Runtime: event.Docker, Scope: "shop", Node: "web-7", Workload: service,
			Revision: "sha256:" + id[:12], Observed: event.ObservedStream,
			Labels: map[string]string{
				"com.docker.compose.project": "shop", "com.docker.compose.service": service,
				"team": fmt.Sprintf("team-%d", n%20),
			},
			Task: &event.Task{
				ID: id, Name: "shop-" + service + "-1", Run: at.Format(time.RFC3339Nano),
				Containers: []event.Container{{ID: id, Name: "shop-" + service + "-1", Image: "registry.example.com/shop/" + service + ":1.4.2"}},
				Times:      event.Times{Created: at.Add(-time.Hour)},
			},
			Native: &event.Native{TimeNano: fmt.Sprint(at.UnixNano())},
		},
	}
	live(&e, i%4)
	e.Severity = event.SeverityOf(&e)
	return e
}

// live sets what belongs to one of the four steps.
func live(e *event.Event, step int) {
	d, started := &e.Data, e.Time.Add(-59*time.Minute)
	switch step {
	case 0:
		e.Type, d.Task.State, d.Native.Action = event.TaskCreated, event.StateCreated, "create"
	case 1:
		e.Type, d.Task.State, d.Task.PreviousState, d.Native.Action = event.TaskStarted, event.StateRunning, event.StateCreated, "start"
		d.Task.Times.Started = started
	case 2:
		e.Type, d.Task.State, d.Task.PreviousState, d.Native.Action = event.TaskStopped, event.StateStopped, event.StateRunning, "die"
		code := int64(3)
		d.Task.Containers[0].ExitCode = &code
		d.Task.Times.Started, d.Task.Times.Stopped = started, e.Time
		d.Task.Log = &event.Log{Lines: []string{"listening on :8080", "connect db:5432: connection refused", "fatal: no database"}}
		d.Message = d.Workload + " stopped after 59m: exit code 3"
		d.Cause = &event.Cause{
			Class: "exit.error", Confidence: event.Fact, Initiator: "app", Say: "The process ended itself with exit code 3.",
			Evidence: []string{"exit code 3", "no stop request in the 15 s before", "no OOM flag"}, Rule: "exit-error",
		}
	case 3:
		e.Type, d.Task.State, d.Task.PreviousState, d.Native.Action = event.TaskRemoved, event.StateRemoved, event.StateStopped, "destroy"
	}
}
