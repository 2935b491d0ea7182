package ecs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	ID    string `json:"id"`
	State string `json:"s,omitempty"`
	At    int64  `json:"at"` // when it began
	// Weighed says that the stops before it became known were looked at again.
	Weighed bool `json:"ok,omitempty"`
	// Noted says that an event of its own told when it began, not its first task.
	Noted bool `json:"n,omitempty"`
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

// upsert notes a deployment and reports whether that says something new, and whether stops before must be
// looked at again: it is one beside others.
func (w *workload) upsert(d deployment) (changed, weigh bool) {
	i := slices.IndexFunc(w.Deployments, func(o deployment) bool { return o.ID == d.ID })
	if i < 0 {
		d.Weighed = len(w.Deployments) == 0
		w.Deployments = append(w.Deployments, d)
		w.sort()
		return true, !d.Weighed
	}
	old := &w.Deployments[i]
	switch {
	case d.Noted && begins(d.State) && (!old.Noted || d.At > old.At): // a rollback begins an old one again
		again := old.Noted || d.At > old.At
		*old = deployment{d.ID, d.State, d.At, old.Weighed && !again, true}
	case d.Noted && d.State != old.State && !begins(d.State):
		old.State, d = d.State, *old
	case !d.Noted && !old.Noted && d.At < old.At:
		old.At = d.At
	default:
		return false, !old.Weighed
	}
	weigh = !old.Weighed
	w.sort()
	return true, weigh
}

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
		if d.At > at+joinSlack || d.State == "failed" || d.State == "stopped" {
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
func (h *host) leaving(at int64) bool {
	for _, since := range []int64{h.Draining, h.Spot} {
		if since > 0 && since <= at+joinSlack && at-since <= 24*hostPatience {
			return true
		}
	}
	return false
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

// shelf keeps what is saved of workloads and hosts at hand. It is safe for concurrent use.
type shelf struct {
	store Store

	mu    sync.Mutex // guards what follows
	items map[string]shelved
}

type shelved struct {
	value    any // *workload or *host, never changed
	revision uint64
	read     time.Time
}

const (
	maxShelved = 20_000
	// fresh is how old what is at hand may be where another collector may have noted something since.
	fresh = 2 * time.Second
)

func newShelf(s Store) *shelf { return &shelf{store: s, items: map[string]shelved{}} }

// at returns what is at hand if it is not older than age.
func (s *shelf) at(key string, age time.Duration) (shelved, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item, ok := s.items[key]
	return item, ok && (age < 0 || time.Since(item.read) <= age)
}

func (s *shelf) keep(key string, item shelved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.items[key]; !ok && len(s.items) >= maxShelved {
		for old := range s.items { // any: it is read again
			delete(s.items, old)
			break
		}
	}
	s.items[key] = item
}

func (s *shelf) drop(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.items, key)
}

// read returns what is saved under a key, not older than age; a negative one takes what is at hand. It must not
// be changed.
func read[T any](ctx context.Context, s *shelf, key string, age time.Duration) (*T, uint64, error) {
	if item, ok := s.at(key, age); ok {
		if v, ok := item.value.(*T); ok {
			return v, item.revision, nil
		}
	}
	value, rev, err := s.store.Get(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	v := new(T)
	if rev > 0 {
		if err := json.Unmarshal(value, v); err != nil {
			return nil, 0, fmt.Errorf("decode %s: %w", key, err)
		}
	}
	s.keep(key, shelved{v, rev, time.Now()})
	return v, rev, nil
}

// errContended is retried by whoever handles the message again.
var errContended = errors.New("another writer is always first")

const maxTries = 16

// update changes what is saved under a key. change gets a copy of its own and reports whether it changed it.
func update[T any](ctx context.Context, s *shelf, key string, change func(*T) bool) error {
	age := time.Duration(-1)
	for range maxTries {
		old, rev, err := read[T](ctx, s, key, age)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(old)
		if err != nil {
			return err
		}
		v := new(T)
		if err := json.Unmarshal(raw, v); err != nil {
			return err
		}
		if !change(v) {
			return nil
		}
		if w, ok := any(v).(*workload); ok {
			w.Saved = time.Now().Unix()
		}
		if raw, err = json.Marshal(v); err != nil {
			return err
		}
		next, won, err := s.store.Put(ctx, key, raw, rev)
		if err != nil {
			s.drop(key)
			return err
		}
		if won {
			s.keep(key, shelved{v, next, time.Now()})
			return nil
		}
		s.drop(key)
	}
	return fmt.Errorf("write %s: %w", key, errContended)
}

// learn notes the deployment and the revision that a task shows. It returns the deployment because of which
// stops before must be looked at again.
func (m *machine) learn(ctx context.Context, f *fact) (weigh string, err error) {
	t := f.task
	service := groupService(t.Group)
	key := workloadKey(t.Cluster, service, familyOf(t.Definition))
	shown := revisionOf(&f.event.Data, t.StartedBy)
	change := func(w *workload) bool {
		changed := w.show(shown)
		if service != "" && isDeployment(t.StartedBy) {
			c, again := w.upsert(deployment{ID: t.StartedBy, At: t.Created.UnixMilli()})
			if changed = changed || c; again {
				weigh = t.StartedBy
			}
		}
		return changed
	}
	w, _, err := read[workload](ctx, m.shelf, key, -1)
	if err != nil {
		return "", err
	}
	// Nearly always nothing is new, and a copy shows it.
	try := workload{Deployments: slices.Clone(w.Deployments), Revisions: slices.Clone(w.Revisions)}
	if !change(&try) {
		return weigh, nil
	}
	weigh = ""
	return weigh, update(ctx, m.shelf, key, change)
}

func isDeployment(startedBy string) bool { return strings.HasPrefix(startedBy, "ecs-svc/") }

// noted takes what a record tells about tasks other than its own.
func (m *machine) noted(ctx context.Context, n *note, tell teller) error {
	switch {
	case n.Deployment != "":
		weigh := false
		err := update(ctx, m.shelf, workloadKey(n.Cluster, n.Service, ""), func(w *workload) (changed bool) {
			changed, weigh = w.upsert(deployment{ID: n.Deployment, State: n.State, At: n.At.UnixMilli(), Noted: true})
			return changed
		})
		if err != nil || !weigh {
			return err
		}
		return m.weighDeployment(ctx, n.Cluster, n.Service, n.Deployment, tell)
	case n.Host != "" || n.EC2 != "":
		return m.notedHost(ctx, n, tell)
	case n.Task != "":
		return m.notedRequest(ctx, n, tell)
	}
	return nil
}

// weighDeployment looks again at the stops of a service that were told before one of its deployments was known.
func (m *machine) weighDeployment(ctx context.Context, cluster, service, id string, tell teller) error {
	err := m.weigh(ctx, cluster, func(r *saved) bool {
		return r.Service == service && r.StartedBy != id && isDeployment(r.StartedBy)
	}, tell)
	if err != nil {
		return err
	}
	return update(ctx, m.shelf, workloadKey(cluster, service, ""), func(w *workload) bool { return w.weighed(id) })
}

func (m *machine) notedHost(ctx context.Context, n *note, tell teller) error {
	weigh := false
	instance, ec2 := n.Host, n.EC2
	if instance == "" {
		known, _, err := read[host](ctx, m.shelf, ec2Key(ec2), fresh)
		if err != nil {
			return err
		}
		instance = known.Peer
	}
	set := func(key, peer string) error {
		return update(ctx, m.shelf, key, func(h *host) bool {
			changed, again := h.take(n, peer)
			weigh = weigh || again
			return changed
		})
	}
	if ec2 != "" {
		if err := set(ec2Key(ec2), instance); err != nil {
			return err
		}
	}
	if instance == "" {
		return nil
	}
	weigh = false
	if err := m.inheritSpot(ctx, instance, ec2); err != nil {
		return err
	}
	if err := set(hostKey(instance), ec2); err != nil || !weigh {
		return err
	}
	if err := m.weigh(ctx, clusterOf(instance, n.Cluster), func(r *saved) bool { return r.Instance == instance }, tell); err != nil {
		return err
	}
	return update(ctx, m.shelf, hostKey(instance), func(h *host) bool {
		changed := !h.Weighed
		h.Weighed = true
		return changed
	})
}

// inheritSpot gives a container instance the warning that its EC2 instance got before they were known to be one.
func (m *machine) inheritSpot(ctx context.Context, instance, ec2 string) error {
	if ec2 == "" {
		return nil
	}
	known, _, err := read[host](ctx, m.shelf, ec2Key(ec2), fresh)
	if err != nil || known.Spot == 0 {
		return err
	}
	spot := known.Spot
	return update(ctx, m.shelf, hostKey(instance), func(h *host) bool {
		if h.Spot > 0 {
			return false
		}
		h.Spot, h.Weighed = spot, false
		return true
	})
}

// clusterOf is the cluster of a container instance; of an ARN of the old form only a note can tell it.
func clusterOf(instance, otherwise string) string {
	a := splitARN(instance)
	if name, _, found := strings.Cut(a.rest, "/"); found {
		prefix, _, _ := strings.Cut(instance, ":container-instance/")
		return prefix + ":cluster/" + name
	}
	return otherwise
}

// notedRequest notes who asked a task to stop. Its end may have been told before.
func (m *machine) notedRequest(ctx context.Context, n *note, tell teller) error {
	asked := request{n.Requester, n.Reason, n.At.UnixMilli()}
	return m.change(ctx, taskKey(n.Cluster, n.Task), tell, func(ctx context.Context, e *entry) (bool, error) {
		r := e.saved
		if r.Asked != nil && r.Asked.At >= asked.At && r.Asked.By != "" {
			return true, nil
		}
		r.Asked = &asked
		r.ARN, r.Cluster = cmp.Or(r.ARN, n.Task), cmp.Or(r.Cluster, n.Cluster)
		return m.reconsider(ctx, e, r, true, tell)
	})
}

// joined is what the rest of the world tells of a stop.
type joined struct {
	definition *definition
	service    *service
	// deployment took the task's place, and brought a revision.
	deployment, brought string
	draining            bool
	host                string // EC2 id
	changed             []event.Change
}

// join gathers what is known beside the task's own record when it stops.
func (m *machine) join(ctx context.Context, r *saved, from int64, ask *task) (j joined, err error) {
	key := workloadKey(r.Cluster, r.Service, r.Family)
	w, _, err := read[workload](ctx, m.shelf, key, fresh)
	if err != nil {
		return j, err
	}
	if r.Service != "" && isDeployment(r.StartedBy) {
		j.deployment = w.successor(r.StartedBy, from)
	}
	if r.Instance != "" {
		h, _, err := read[host](ctx, m.shelf, hostKey(r.Instance), fresh)
		if err != nil {
			return j, err
		}
		j.draining, j.host = h.leaving(from), h.Peer
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
