package notice

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// platformHeadline says what a platform tells of a service, deployment, host or image, or "" if e is about none.
func platformHeadline(e *event.Event) string {
	d := &e.Data
	switch {
	case d.Service != nil:
		return serviceHeadline(d.Service)
	case d.Deployment != nil:
		s := Workload(e) + ": deployment " + clean(d.Deployment.ID) + " " + strings.ReplaceAll(clean(d.Deployment.State), "_", " ")
		return s + because(d.Deployment.Reason)
	case d.Host != nil:
		return hostHeadline(d.Host)
	case d.Image != nil:
		return imageHeadline(d.Image)
	}
	return ""
}

func serviceHeadline(s *event.Service) string {
	if c := s.Counts; c != nil && c.Running < c.Desired {
		return fmt.Sprintf("%s runs %d of %s", clean(s.Name), c.Running, plural(c.Desired, "task")) + because(s.Reason)
	}
	return clean(s.Name) + ": " + clean(s.Event) + because(s.Reason)
}

func hostHeadline(h *event.Host) string {
	s := "host " + clean(cmp.Or(h.Instance, h.ID))
	if h.Status != "" {
		s += " is " + clean(h.Status)
	}
	if h.Agent != "" {
		s += ", agent " + clean(h.Agent)
	}
	return s + because(cmp.Or(h.Reason, strings.Join(h.Checks, ", ")))
}

func imageHeadline(i *event.Image) string {
	name := clean(i.Repository)
	if i.Tag != "" {
		name += ":" + clean(i.Tag)
	}
	s := "image " + name + ": " + strings.TrimSpace(clean(i.Action)+" "+clean(i.Result))
	if i.Critical > 0 || i.High > 0 {
		s += fmt.Sprintf(", %d critical and %d high findings", i.Critical, i.High)
	}
	return s
}

func because(reason string) string {
	if reason = strings.TrimRight(clean(reason), " ."); reason == "" {
		return ""
	}
	return ": " + reason
}

// platform adds what the headline of a platform's event has no room for.
func (n *Notice) platform(e *event.Event) {
	d := &e.Data
	more := func(label, text string) {
		if !strings.Contains(n.Headline, strings.TrimRight(clean(text), " .")) {
			n.add(label, text)
		}
	}
	if s := d.Service; s != nil {
		more("Told", s.Event)
		more("Reason", s.Reason)
	}
	if p := d.Deployment; p != nil {
		more("Told", p.Event)
		more("Reason", p.Reason)
	}
	if h := d.Host; h != nil {
		more("Reason", h.Reason)
		more("Checks", strings.Join(h.Checks, ", "))
	}
	if i := d.Image; i != nil {
		more("Digest", i.Digest)
	}
}
