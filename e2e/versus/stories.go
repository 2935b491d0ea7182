package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// How long the stories take, when both programs are killed, and how long is waited for what comes late, as told.
const (
	length = 32 * time.Minute
	killed = 16 * time.Minute
	settle = 12 * time.Minute
)

// step is something that happens to a task.
type step struct {
	at    time.Duration
	typ   event.Type
	task  string
	rev   string
	class string
	ok    bool // it was wanted
}

// story is what happens to one workload, or to all workloads of a host.
type story struct {
	id, name string
	host     bool // several workloads on a host of their own
	steps    []step
	back     time.Duration // when all was well again for good, 0 for never or no problem
}

func up(at time.Duration, task string) step { return step{at: at, typ: event.TaskStarted, task: task} }

func down(at time.Duration, task string) step {
	return step{at: at, typ: event.TaskStopped, task: task, class: "exit.error"}
}

func wanted(at time.Duration, task, class string) step {
	return step{at: at, typ: event.TaskStopped, task: task, class: class, ok: true}
}

const (
	sec    = time.Second
	minute = time.Minute
)

// loop crashes a task n times, and starts it again after each.
func loop(from, every, pause time.Duration, n int) []step {
	steps := []step{up(0, "a")}
	for i := range n {
		at := from + time.Duration(i)*every
		steps = append(steps, down(at, "a"), up(at+pause, "a"))
	}
	return steps
}

// many are so many tasks, named by letters.
func many(n int, do func(task string, i int) []step) []step {
	var steps []step
	for i := range n {
		steps = append(steps, do(string(rune('a'+i)), i)...)
	}
	return steps
}

func stories() []story {
	list := []story{
		{name: "a task crashes once and is back in 10 s", steps: loop(minute, minute, 10*sec, 1), back: minute + 10*sec},
		{name: "a crash loop of 20 in 10 minutes", steps: loop(minute, 30*sec, 10*sec, 20), back: 10*minute + 40*sec},
		{name: "a crash loop of 200 in 30 minutes", steps: loop(30*sec, 9*sec, 4*sec, 200), back: 30*minute + 25*sec},
		{name: "a job ends with 0", steps: []step{up(0, "a"), wanted(2*minute, "a", "exit.ok")}},
		{name: "a user stops a service", steps: []step{up(0, "a"), wanted(2*minute, "a", "user.stop")}},
		{name: "a rolling deploy of 10 tasks", steps: many(10, func(task string, i int) []step {
			at := minute + time.Duration(i)*20*sec
			return []step{up(0, task), {at: at, typ: event.TaskStarted, task: task + "2", rev: "r2"}, wanted(at+5*sec, task, "deploy.replaced")}
		})},
		{name: "a scale-in from 5 to 2", steps: append(many(5, func(task string, _ int) []step { return []step{up(0, task)} }),
			wanted(minute, "c", "scheduler.scaling"), wanted(minute, "d", "scheduler.scaling"), wanted(minute, "e", "scheduler.scaling"))},
		{name: "1 of 3 replicas crashes, replaced in 10 s", steps: append(many(3, func(task string, _ int) []step { return []step{up(0, task)} }),
			down(2*minute, "a"), up(2*minute+10*sec, "d"))},
		{name: "1 of 3 replicas crashes, replaced in 10 minutes", steps: append(many(3, func(task string, _ int) []step { return []step{up(0, task)} }),
			down(2*minute, "a"), up(12*minute, "d")), back: 12 * minute},
		{name: "all 3 replicas crash, back in 12 minutes", steps: append(many(3, func(task string, i int) []step {
			return []step{up(0, task), down(2*minute+time.Duration(i)*40*sec, task)}
		}), up(14*minute, "d"), up(14*minute, "e"), up(14*minute, "f")), back: 14 * minute},
		{name: "flapping: a crash each 5 minutes, five times", steps: loop(minute, 5*minute, 20*sec, 5), back: 21*minute + 20*sec},
		{name: "20 replicas crash one by one, each back in 30 s", steps: many(20, func(task string, i int) []step {
			at := minute + time.Duration(i)*15*sec
			return []step{up(0, task), down(at, task), up(at+30*sec, task)}
		}), back: 6*minute + 15*sec},
		{name: "a host with 10 workloads is lost, back in 3 minutes", host: true, steps: many(10, func(task string, _ int) []step {
			return []step{up(0, task), {at: 2 * minute, typ: event.TaskStopped, task: task, class: "host.lost"}, up(5*minute, task+"2")}
		}), back: 5 * minute},
		{name: "a bad deploy crashes 3 times, the next revision is good", steps: []step{
			up(0, "a"), wanted(minute, "a", "deploy.replaced"),
			{at: minute + 5*sec, typ: event.TaskStarted, task: "b", rev: "r2"},
			{at: 2 * minute, typ: event.TaskStopped, task: "b", rev: "r2", class: "exit.error"},
			{at: 2*minute + 10*sec, typ: event.TaskStarted, task: "b", rev: "r2"},
			{at: 3 * minute, typ: event.TaskStopped, task: "b", rev: "r2", class: "exit.error"},
			{at: 3*minute + 10*sec, typ: event.TaskStarted, task: "b", rev: "r2"},
			{at: 4 * minute, typ: event.TaskStopped, task: "b", rev: "r2", class: "exit.error"},
			{at: 6 * minute, typ: event.TaskStarted, task: "c", rev: "r3"},
		}, back: 6 * minute},
		{name: "down and stays down", steps: []step{up(0, "a"), down(minute, "a")}},
		{name: "unhealthy for 5 minutes", steps: []step{
			up(0, "a"), {at: minute, typ: event.TaskUnhealthy, task: "a"}, {at: 6 * minute, typ: event.TaskHealthy, task: "a"},
		}, back: 6 * minute},
		{name: "unhealthy for 20 s", steps: []step{
			up(0, "a"), {at: minute, typ: event.TaskUnhealthy, task: "a"}, {at: minute + 20*sec, typ: event.TaskHealthy, task: "a"},
		}},
		{name: "a start fails, and succeeds 4 minutes later", steps: []step{
			{at: minute, typ: event.TaskStopped, task: "a", class: "start.image"}, up(5*minute, "a"),
		}, back: 5 * minute},
		{name: "down for 2 minutes, twice in half an hour", steps: append(loop(minute, 20*minute, 2*minute, 2), up(0, "a")), back: 23 * minute},
		{name: "down before the kill, back while both are away", steps: []step{up(0, "a"), down(10*minute, "a"), up(killed+5*sec, "a")}, back: killed + 5*sec},
	}
	for i := range list {
		list[i].id = fmt.Sprintf("s%02d", i+1)
		slices.SortStableFunc(list[i].steps, func(a, b step) int { return int(a.at - b.at) })
	}
	return list
}

// workload is what a task belongs to.
func (s *story) workload(task string) string {
	if s.host {
		return s.id + "-" + strings.TrimSuffix(task, "2")
	}
	return s.id
}

// event is a step as the stream has it.
func (s *story) event(st *step, n int) event.Event {
	now := time.Now().UTC()
	w := s.workload(st.task)
	e := event.Event{
		ID: event.NewID("versus", s.id, fmt.Sprint(n), now.String()), Type: st.typ, Time: now, Recorded: now, Source: event.SourceOf("versus", event.Docker, s.id),
		Subject: event.SubjectOf("versus", w, st.task), PartitionKey: w,
		Data: event.Data{
			Site: "versus", Runtime: event.Docker, Scope: "versus", Node: "host-" + s.id, Workload: w, Revision: "r1", Observed: event.ObservedStream,
			Task: &event.Task{ID: s.id + st.task, Name: s.id + st.task, Run: fmt.Sprint(n), State: event.StateRunning, Containers: []event.Container{{ID: "c", Name: "app"}}},
		},
	}
	if st.rev != "" {
		e.Data.Revision = st.rev
	}
	if st.typ == event.TaskStopped {
		e.Data.Task.State = event.StateStopped
		e.Data.Task.Run = ""
		e.Data.Cause = &event.Cause{Class: st.class, Confidence: event.Fact, Initiator: "app", Expected: st.ok, Say: st.class, Rule: "versus"}
	}
	e.Severity = event.SeverityOf(&e)
	return e
}

// play tells a story to both.
func (s *story) play(ctx context.Context, begin time.Time, bells *bellbuoy, alerts *alertmanager) error {
	for n := range s.steps {
		st := &s.steps[n]
		if err := backoff.Sleep(ctx, time.Until(begin.Add(fast(st.at)))); err != nil {
			return err
		}
		e := s.event(st, n)
		if err := bells.publish(ctx, e); err != nil {
			return err
		}
		alerts.take(ctx, &e)
	}
	return nil
}
