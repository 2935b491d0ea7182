package ecs

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// workload is what is saved of a service, or of a family of tasks that no service runs.
type workload struct {
	Deployments []deployment `json:"d,omitempty"` // by At
	Revisions   []revision   `json:"r,omitempty"` // oldest first
	Saved       int64        `json:"z,omitempty"` // Unix seconds
}

// deployment is one of a service. Times are Unix ms.
type deployment struct {
	ID string `json:"id"`
	At int64  `json:"at"` // when it began; as long as no event of its own has told that, not later
	// Noted says that one has.
	Noted bool   `json:"n,omitempty"`
	State string `json:"s,omitempty"` // the last
	Since int64  `json:"c,omitempty"` // that this is so
	// Weighed says that the stops before all this was known were looked at again.
	Weighed bool `json:"ok,omitempty"`
}

// host is what is saved of a container instance, or of an EC2 instance that is not known to be one. Times
// are Unix ms, 0 for not so.
type host struct {
	Peer     string `json:"p,omitempty"` // its EC2 id, or its container instance ARN
	Draining int64  `json:"d,omitempty"`
	Lost     int64  `json:"l,omitempty"`
	Spot     int64  `json:"s,omitempty"`
	Weighed  bool   `json:"ok,omitempty"`
}

const (
	maxDeployments = 8
	maxRevisions   = 3
	// joinSlack is how far clocks of AWS may be apart, ms.
	joinSlack = int64(10_000)
	// hostPatience is how long after a warning the stops of a host still come from it, ms.
	hostPatience = int64(time.Hour / time.Millisecond)
)

// upsert notes what is told of a deployment at d.At, and reports whether that says something new, and whether
// stops before must be looked at again: it is one beside others.
func (w *workload) upsert(d deployment) (changed, weigh bool) {
	i := slices.IndexFunc(w.Deployments, func(o deployment) bool { return o.ID == d.ID })
	if i < 0 {
		d.Weighed = len(w.Deployments) == 0
		if d.State != "" {
			d.Since, d.Noted = d.At, begins(d.State)
		}
		w.Deployments = append(w.Deployments, d)
		w.sort()
		return true, !d.Weighed
	}
	old := w.Deployments[i]
	next := old
	switch {
	case begins(d.State) && (!old.Noted || d.At > old.At): // a rollback begins an old one again
		next.At, next.Noted = d.At, true
	case !old.Noted && d.At < old.At:
		next.At = d.At
	}
	if d.State != "" && d.At > old.Since {
		next.State, next.Since = d.State, d.At
	}
	if next.At != old.At || next.over() != old.over() {
		next.Weighed = false
	}
	w.Deployments[i] = next
	w.sort()
	return next != old, !next.Weighed
}

// over reports a deployment that came to nothing.
func (d *deployment) over() bool { return d.State == "failed" || d.State == "stopped" }

func begins(state string) bool { return state == "in_progress" || state == "rolling_back" }

func (w *workload) sort() {
	slices.SortStableFunc(w.Deployments, func(a, b deployment) int { return cmp.Compare(a.At, b.At) })
	if n := len(w.Deployments); n > maxDeployments {
		w.Deployments = slices.Delete(w.Deployments, 0, n-maxDeployments)
	}
}

// weighed notes that the stops before a deployment were looked at again.
func (w *workload) weighed(id string) bool {
	for i := range w.Deployments {
		if d := &w.Deployments[i]; d.ID == id && !d.Weighed {
			d.Weighed = true
			return true
		}
	}
	return false
}

// successor returns the deployment that was the newest when a task of another one began to stop, at in ms.
func (w *workload) successor(own string, at int64) string {
	for i := len(w.Deployments) - 1; i >= 0; i-- {
		d := &w.Deployments[i]
		if d.At > at+joinSlack || d.over() && d.Since <= at {
			continue
		}
		if d.ID == own {
			return ""
		}
		return d.ID
	}
	return ""
}

// revisionOf returns the revision that a deployment brought, if that is known.
func (w *workload) revisionOf(id string) string {
	for i := range w.Revisions {
		if w.Revisions[i].By == id {
			return w.Revisions[i].Name
		}
	}
	return ""
}

// leaving reports whether a host was going to stop its tasks at that time, ms.
func (h *host) leaving(at int64) bool { return holds(h.Draining, at) || h.takenBack(at) }

// takenBack reports whether that is because it is Spot capacity.
func (h *host) takenBack(at int64) bool { return holds(h.Spot, at) }

// holds reports whether what was said at a time still explains a stop at another one.
func holds(since, at int64) bool {
	return since > 0 && since <= at+joinSlack && at-since <= 24*hostPatience
}

// take notes what a record tells of the host and reports whether that is new, and whether stops before must be
// looked at again.
func (h *host) take(n *note, peer string) (changed, weigh bool) {
	before, at := *h, n.At.UnixMilli()
	h.Peer = cmp.Or(peer, h.Peer)
	mark := func(to *int64, so bool) {
		if so && *to == 0 {
			*to, h.Weighed = at, false
		}
	}
	mark(&h.Draining, n.Draining)
	mark(&h.Lost, n.Lost)
	mark(&h.Spot, n.Spot)
	if !n.Draining && !n.Spot && !n.Lost && n.Host != "" && at > h.Draining { // it takes tasks again
		h.Draining = 0
	}
	return *h != before, !h.Weighed && (h.Draining > 0 || h.Spot > 0 || h.Lost > 0)
}

// joined is what the rest of the world tells of a stop.
type joined struct {
	definition *definition
	service    *service
	// deployment took the task's place, and brought a revision.
	deployment, brought string
	draining, spot      bool
	host                string // EC2 id
	changed             []event.Change
}

// join gathers what is known beside the task's own record when it stops. age is how old that may be.
func (m *machine) join(ctx context.Context, r *saved, from int64, age time.Duration, ask *task) (j joined, err error) {
	key := workloadKey(r.Cluster, r.Service, r.Family)
	w, _, err := read[workload](ctx, m.shelf, key, age)
	if err != nil {
		return j, err
	}
	if r.Service != "" && isDeployment(r.StartedBy) {
		j.deployment = w.successor(r.StartedBy, from)
	}
	if r.Instance != "" {
		h, _, err := read[host](ctx, m.shelf, hostKey(r.Instance), age)
		if err != nil {
			return j, err
		}
		j.draining, j.spot, j.host = h.leaving(from), h.takenBack(from), h.Peer
	}
	if r.EC2 != "" { // no event may have told which container instance that is
		h, _, err := read[host](ctx, m.shelf, ec2Key(r.EC2), age)
		if err != nil {
			return j, err
		}
		j.draining, j.spot, j.host = j.draining || h.leaving(from), j.spot || h.takenBack(from), r.EC2
	}
	if ask != nil && m.ask != nil {
		m.inquire(ctx, r, ask, from, &j)
	}
	if r.Stop != nil {
		j.deployment = cmp.Or(j.deployment, r.Stop.Deployment)
	}
	j.brought = w.revisionOf(j.deployment)
	j.changed = w.changes(r.Revision)
	return j, nil
}

const (
	// askBound bounds what is asked of AWS for one stop.
	askBound = 2 * time.Second
	// askFresh is how old a stop may be for the present deployments of its service to have been those, ms.
	askFresh = int64(2 * time.Minute / time.Millisecond)
)

// inquire asks for what events don't tell. What does not answer in time stays unknown.
func (m *machine) inquire(ctx context.Context, r *saved, t *task, from int64, j *joined) {
	ctx, cancel := context.WithTimeout(ctx, askBound)
	defer cancel()
	if t.Definition != "" {
		if d, err := m.ask.definition(ctx, t.Definition); err == nil {
			j.definition = d
		} else {
			m.logger.Debug("task definition not known", "definition", t.Definition, "err", err)
		}
	}
	if r.Service == "" {
		return
	}
	s, err := m.ask.service(ctx, r.Cluster, r.Service)
	if err != nil || s == nil {
		m.logger.Debug("service not known", "service", r.Service, "err", err)
		return
	}
	j.service = s
	if j.deployment != "" || !isDeployment(r.StartedBy) || time.Now().UnixMilli()-from > askFresh {
		return
	}
	if s.InProgress != "" && s.InProgress != r.StartedBy {
		j.deployment = s.InProgress
	} else if len(s.Deployments) > 0 && s.Deployments[0] != r.StartedBy {
		j.deployment = s.Deployments[0]
	}
}

// namedHost is the EC2 instance that ECS names when its end is the reason of a stop, as in "Host EC2 (instance
// i-0abc) terminated", or empty.
func namedHost(reason string) string {
	_, rest, found := strings.Cut(reason, "Host EC2 (instance ")
	id, _, closed := strings.Cut(rest, ")")
	if !found || !closed {
		return ""
	}
	return id
}
