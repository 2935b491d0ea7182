package restart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// pollECS is the distance of two looks at what ECS is doing.
const pollECS = 10 * time.Second

// platform is ECS in one account and region.
type platform interface {
	// look reads what ECS knows of the subject. What it does not know is no error.
	look(ctx context.Context, s subject) (onECS, error)
	// call makes the call and returns the id of the deployment or task that it began. An error that wraps
	// errRefused says that nothing was begun; with any other that is not known.
	call(ctx context.Context, c *callToECS) (began string, err error)
}

// errRefused says that ECS has refused a call.
var errRefused = errors.New("refused")

// subject is a task, by its id, or a service of a cluster. The service of a task is read along.
type subject struct{ cluster, task, service string }

// callToECS is what is to be done.
type callToECS struct {
	subject
	kind  Kind
	state onECS
	// reason tells people, and this program, why a task was stopped.
	reason string
	// token makes sure that one task is run, however often the call is made.
	token     string
	startedBy string
	network   Network
}

// cloud is ECS in all accounts and regions that the handler may act in.
type cloud struct {
	cfg    ECS
	places map[place]platform
}

type place struct{ account, region string }

func newCloud(cfg ECS, deps Deps) (cloud, error) {
	c := cloud{cfg: cfg, places: map[place]platform{}}
	for _, account := range deps.ECS {
		account.AWS = cfg.as(account)
		p, err := newAccount(account, deps.AWS)
		if err != nil {
			return cloud{}, err
		}
		key := place{account.Account, account.Region}
		if _, ok := c.places[key]; !ok { // several queues of one account
			c.places[key] = p
		}
	}
	return c, nil
}

// of returns where the event's subject is; ok is false if nobody said how to get there.
func (c *cloud) of(e *event.Event) (p platform, ok bool) {
	p, ok = c.places[place{e.Data.Account, e.Data.Region}]
	if !ok {
		p, ok = c.places[place{region: e.Data.Region}]
	}
	return p, ok
}

// concerns drops what needs no look at ECS: most events.
func (c *cloud) concerns(e *event.Event) bool {
	if _, ok := c.of(e); !ok {
		return false
	}
	switch kindOnECS(e) {
	case Stop:
		return true
	case Run:
		ours := e.Data.Cause != nil && e.Data.Cause.Initiator == "handler"
		return !ours && slices.Contains(c.cfg.Families, e.Data.Workload)
	case Redeploy:
		return c.cfg.Redeploy
	}
	return false
}

// subjectOnECS is what the event is about.
func subjectOnECS(e *event.Event) subject {
	if e.Data.Task == nil {
		return subject{cluster: e.Data.Scope, service: e.Data.Service.Name}
	}
	return subject{cluster: e.Data.Scope, task: e.Data.Task.ID}
}

// stepOnECS does what the record says is next for the event.
func (h *Handler) stepOnECS(ctx context.Context, e *event.Event, r *record) error {
	p, _ := h.cloud.of(e) // it is there, or the event would not concern the handler
	a := r.of(e.ID)
	if a == nil {
		return h.claimOnECS(ctx, e, r, p)
	}
	now := time.Now()
	switch a.Phase {
	case waiting:
		if wait := a.NotBefore.Sub(now); wait > 0 {
			return again(wait, "back-off before "+string(a.Kind))
		}
		if err := h.publish(ctx, e, a, event.ActionRequested); err != nil {
			return err
		}
		return h.actOnECS(ctx, e, r, a, p)
	case acting:
		if wait := a.Lease.Sub(now); wait > 0 {
			return again(wait, "the outcome of a call is not known")
		}
		return h.actOnECS(ctx, e, r, a, p)
	case started:
		return h.verifyOnECS(ctx, e, r, a, p)
	}
	return h.tellEnd(ctx, e, a)
}

// claimOnECS decides about an event that has no attempt yet, and claims its run.
func (h *Handler) claimOnECS(ctx context.Context, e *event.Event, r *record, p platform) error {
	if g := r.GaveUp; g != nil && g.Trigger == e.ID {
		return h.tellBroken(ctx, e, g)
	}
	c, err := h.caseOf(ctx, e, r, p)
	if err != nil {
		return err
	}
	budget, err := h.purse(ctx, e)
	if err != nil {
		return err
	}
	now := c.now
	c.affordable = budget.affords(e.ID, now)
	d := decideOnECS(c)
	switch {
	case d.Wait > 0:
		return again(d.Wait, d.Reason)
	case d.Rule == RuleBreaker:
		return h.breakOnECS(ctx, e, r, c, d)
	case d.Kind == "":
		return h.refuseOnECS(ctx, e, r, c, d)
	}
	if err := h.pay(ctx, budget, e.ID, now); err != nil {
		return err
	}
	c.sicken()
	a := Attempt{
		Key: keyOf(e), Trigger: e.ID, Task: aboutOf(e), Kind: d.Kind, Phase: waiting, Number: d.Attempt, Budget: d.Budget.String(),
		Reason: d.Reason, Claimed: now, NotBefore: now.Add(d.Delay),
	}
	if h.cfg.Mode == DryRun {
		a.Phase, a.Tries, a.Tried, a.Ended, a.Outcome = ended, 1, now, now, event.ActionRequested
	}
	r.Attempts, r.GaveUp = append(r.Attempts, a), nil
	if err := h.save(ctx, r, now); err != nil {
		return err
	}
	if err := h.publish(ctx, e, &a, event.ActionRequested); err != nil || a.Phase == ended {
		return err
	}
	if d.Delay > 0 {
		return again(d.Delay, "back-off before "+string(a.Kind))
	}
	return h.actOnECS(ctx, e, r, r.of(e.ID), p)
}

// caseOf reads what is known about the event now.
func (h *Handler) caseOf(ctx context.Context, e *event.Event, r *record, p platform) (*caseOnECS, error) {
	state, err := lookAt(ctx, p, subjectOnECS(e))
	return &caseOnECS{
		e: e, kind: kindOnECS(e), now: time.Now(), state: state, attempts: r.Attempts, gaveUp: r.GaveUp, cfg: h.cloud.cfg, maxAge: h.cfg.MaxAge,
	}, err
}

func lookAt(ctx context.Context, p platform, s subject) (onECS, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	state, err := p.look(ctx, s)
	if err != nil {
		return onECS{}, fmt.Errorf("look at ECS: %w", err)
	}
	return state, nil
}
