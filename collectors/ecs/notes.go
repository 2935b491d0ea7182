package ecs

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

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
			changed, weigh = w.upsert(deployment{ID: n.Deployment, State: n.State, At: n.At.UnixMilli()})
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

// spotNotice is how long after its warning EC2 lets a Spot instance run, two minutes, with a margin. Most warnings are
// about instances that run no task of ECS at all, and a look at all stops is dear.
const spotNotice = time.Minute

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
		if !weigh || time.Since(n.At) < spotNotice { // no task has ended by it yet
			return nil
		}
		if err := m.weigh(ctx, "", func(r *saved) bool { return r.EC2 == ec2 }, tell); err != nil {
			return err
		}
		return update(ctx, m.shelf, ec2Key(ec2), (*host).weighed)
	}
	weigh = false
	if err := m.inheritSpot(ctx, instance, ec2); err != nil {
		return err
	}
	if err := set(hostKey(instance), ec2); err != nil || !weigh {
		return err
	}
	if err := m.weigh(ctx, cmp.Or(clusterIn(instance), n.Cluster), func(r *saved) bool { return r.Instance == instance }, tell); err != nil {
		return err
	}
	return update(ctx, m.shelf, hostKey(instance), (*host).weighed)
}

// weighed notes that the stops before a host was known to leave were looked at again.
func (h *host) weighed() bool {
	changed := !h.Weighed
	h.Weighed = true
	return changed
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
		return m.reconsider(ctx, e, r, tell)
	})
}
