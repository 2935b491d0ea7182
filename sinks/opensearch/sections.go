package opensearch

import (
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func (w *writer) cause(c *event.Cause) {
	if c == nil {
		return
	}
	o := w.open("cause")
	w.text("class", c.Class)
	family, _, _ := strings.Cut(c.Class, ".")
	w.text("family", family)
	w.text("confidence", string(c.Confidence))
	w.text("initiator", c.Initiator)
	w.text("initiator_name", c.InitiatorName)
	w.flag("expected", c.Expected)
	w.text("say", c.Say)
	w.list("evidence", c.Evidence)
	w.text("rule", c.Rule)
	w.text("container", c.Container)
	w.text("token", c.Token)
	w.text("next", c.Next)
	w.close(o)
}

func (w *writer) log(l *event.Log) {
	if l == nil {
		return
	}
	o := w.open("log")
	w.lines("tail", l.Lines)
	w.flag("cut", l.Cut)
	w.text("none", l.None)
	w.close(o)
}

func (w *writer) action(a *event.Action) {
	if a == nil {
		return
	}
	o := w.open("action")
	w.text("id", a.ID)
	w.text("handler", a.Handler)
	w.text("mode", a.Mode)
	w.text("kind", a.Kind)
	w.text("reason", a.Reason)
	w.text("rule", a.Rule)
	w.count("attempt", a.Attempt)
	w.text("budget", a.Budget)
	w.text("run", a.Run)
	w.close(o)
}

func (w *writer) incident(i *event.Incident) {
	if i == nil {
		return
	}
	o := w.open("incident")
	w.text("id", i.ID)
	w.text("state", i.State)
	w.number("transition", i.Transition)
	w.text("family", i.Family)
	w.text("title", i.Title)
	w.text("reason", i.Reason)
	w.count("stops", i.Stops)
	w.count("restarts", i.Restarts)
	w.count("flaps", i.Flaps)
	w.list("tasks", i.Tasks)
	w.count("task_count", i.TaskCount)
	w.list("nodes", i.Nodes)
	w.count("running", i.Running)
	w.count("desired", i.Desired)
	w.list("causes", i.Causes)
	w.list("done", i.Done)
	w.list("recent", i.Recent)
	w.when("healthy_at", i.Healthy)
	w.when("opened_at", i.Opened)
	w.when("last_at", i.Last)
	w.when("resolved_at", i.Resolved)
	w.count("downtime_ms", i.DowntimeMS)
	w.text("recovery", i.Recovery)
	w.text("silenced", i.Silenced)
	w.text("within", i.Within)
	w.count("escalation_s", i.Escalation)
	w.close(o)
}

func (w *writer) collector(c *event.Collector) {
	if c == nil {
		return
	}
	o := w.open("collector")
	w.text("name", c.Name)
	w.text("engine", c.Engine)
	w.text("version", c.Version)
	w.when("from", c.From)
	w.when("to", c.To)
	w.between("gap_ms", c.From, c.To)
	w.text("reason", c.Reason)
	w.count("reconciled", c.Reconciled)
	w.count("unknown_codes", c.UnknownCodes)
	w.count("unseen_runs", c.UnseenRuns)
	w.list("unknown", c.Unknown)
	w.count("containers", c.Containers)
	w.count("workloads", c.Workloads)
	w.text("peer", c.Peer)
	w.close(o)
}

func (w *writer) native(n *event.Native) {
	if n == nil {
		return
	}
	o := w.open("native")
	w.text("action", n.Action)
	w.text("time_nano", n.TimeNano)
	w.text("record", n.Record)
	w.close(o)
}
