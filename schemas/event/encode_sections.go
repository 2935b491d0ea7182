package event

// Like those of encode.go, these functions mirror the json tags.

func (w *writer) changes(list []Change) {
	if list == nil {
		return
	}
	w.name("changed")
	w.b = append(w.b, '[')
	for i := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.openObject()
		w.text("what", list[i].What)
		w.optText("from", list[i].From)
		w.optText("to", list[i].To)
		w.closeObject()
	}
	w.b = append(w.b, ']')
}

func (w *writer) service(s *Service) {
	if s == nil {
		return
	}
	w.name("service")
	w.openObject()
	w.text("name", s.Name)
	w.text("event", s.Event)
	w.optText("level", s.Level)
	w.optText("reason", s.Reason)
	if c := s.Counts; c != nil {
		w.name("counts")
		w.openObject()
		w.number("desired", c.Desired)
		w.number("running", c.Running)
		w.number("pending", c.Pending)
		w.closeObject()
	}
	w.closeObject()
}

func (w *writer) deployment(d *Deployment) {
	if d == nil {
		return
	}
	w.name("deployment")
	w.openObject()
	w.text("id", d.ID)
	w.text("state", d.State)
	w.text("event", d.Event)
	w.optText("level", d.Level)
	w.optText("reason", d.Reason)
	w.closeObject()
}

func (w *writer) host(h *Host) {
	if h == nil {
		return
	}
	w.name("host")
	w.openObject()
	w.text("id", h.ID)
	w.optText("instance", h.Instance)
	w.optText("status", h.Status)
	w.optText("agent", h.Agent)
	w.optText("reason", h.Reason)
	w.optList("checks", h.Checks)
	w.closeObject()
}

func (w *writer) image(i *Image) {
	if i == nil {
		return
	}
	w.name("image")
	w.openObject()
	w.text("repository", i.Repository)
	w.optText("tag", i.Tag)
	w.optText("digest", i.Digest)
	w.optText("action", i.Action)
	w.optText("result", i.Result)
	w.optNumber("critical", i.Critical)
	w.optNumber("high", i.High)
	w.closeObject()
}
