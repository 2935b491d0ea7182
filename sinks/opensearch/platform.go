package opensearch

import (
	"cmp"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// platform writes into the task what its platform tells of it.
func (w *writer) platform(t *event.Task) {
	w.text("launch_type", t.Placement.LaunchType)
	w.text("capacity_provider", t.Placement.CapacityProvider)
	w.text("container_instance", t.Placement.Instance)
	w.text("platform", t.Placement.Platform)
	w.count("version", t.Version)
	w.text("started_by", t.StartedBy)
	w.text("stop_code", t.StopCode)
	w.text("stop_reason", t.StopReason)
	w.count("cpu_units", t.CPUUnits)
	w.count("memory_mib", t.MemoryMiB)
}

func (w *writer) coldStart(c *event.ColdStart) {
	if c == nil {
		return
	}
	o := w.open("cold_start")
	w.seconds("provision_s", c.Provision)
	w.seconds("pull_s", c.Pull)
	w.seconds("start_s", c.Start)
	w.seconds("total_s", c.Total)
	w.close(o)
}

// changed writes flat lists: what differs, for a filter, and each difference as one text.
func (w *writer) changed(list []event.Change) {
	if len(list) == 0 {
		return
	}
	what, say := make([]string, len(list)), make([]string, len(list))
	for i, c := range list {
		what[i], say[i] = c.What, c.What+": "+cmp.Or(c.From, "none")+" → "+cmp.Or(c.To, "none")
	}
	o := w.open("changed")
	w.list("what", what)
	w.list("say", say)
	w.close(o)
}

// serviceStatus has a name of its own: service.name is the workload on every runtime.
func (w *writer) serviceStatus(s *event.Service) {
	if s == nil {
		return
	}
	o := w.open("service_status")
	w.text("name", s.Name)
	w.text("event", s.Event)
	w.text("level", s.Level)
	w.text("reason", s.Reason)
	if s.Counts != nil {
		w.number("desired", s.Counts.Desired)
		w.number("running", s.Counts.Running)
		w.number("pending", s.Counts.Pending)
	}
	w.close(o)
}

// deployment writes into the object of the environment's name.
func (w *writer) deployment(d *event.Deployment) {
	if d == nil {
		return
	}
	w.text("id", d.ID)
	w.text("state", d.State)
	w.text("event", d.Event)
	w.text("level", d.Level)
	w.text("reason", d.Reason)
}

// node writes what the platform tells of a host; host.id is the instance at the cloud.
func (w *writer) node(h *event.Host) {
	if h == nil {
		return
	}
	o := w.open("node")
	w.text("id", h.ID)
	w.text("status", h.Status)
	w.text("agent", h.Agent)
	w.text("reason", h.Reason)
	w.list("checks", h.Checks)
	w.close(o)
}

func (w *writer) image(i *event.Image) {
	if i == nil {
		return
	}
	o := w.open("image")
	w.text("repository", i.Repository)
	w.text("tag", i.Tag)
	w.text("digest", i.Digest)
	w.text("action", i.Action)
	w.text("result", i.Result)
	w.count("critical", i.Critical)
	w.count("high", i.High)
	w.close(o)
}
