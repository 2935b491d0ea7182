package restart

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Ledger keeps the claims and the budgets; it must survive a restart and be the same for every router.
type Ledger interface {
	// Get returns the value and its revision, or revision 0 if there is none.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Put writes if the key still has this revision (0: does not exist) and returns the new one. won is
	// false if another writer was first.
	Put(ctx context.Context, key string, value []byte, revision uint64) (next uint64, won bool, err error)
}

// Phase is how far an attempt is.
type Phase string

// The phases. The claim is made with waiting; every later one is entered by compare-and-set.
const (
	waiting Phase = "waiting" // for its back-off
	acting  Phase = "acting"  // the call may have been made
	started Phase = "started" // the new run is being watched
	ended   Phase = "ended"
)

// Attempt is the record of one action, from the claim to its end.
type Attempt struct {
	// Key names the run and the kind of action: there is one attempt per key.
	Key     string `json:"key"`
	Trigger string `json:"trigger"` // id of the event
	Task    string `json:"task"`    // id, or the service
	Kind    Kind   `json:"kind"`
	Phase   Phase  `json:"phase"`
	Number  int64  `json:"number"`
	Budget  string `json:"budget"`
	Reason  string `json:"reason"`

	Claimed   time.Time `json:"claimed"`
	NotBefore time.Time `json:"not_before,omitzero"`
	// Tries counts the calls, Tried is when the last was made, and until Lease no other may be.
	Tries int64     `json:"tries,omitzero"`
	Tried time.Time `json:"tried,omitzero"`
	Lease time.Time `json:"lease,omitzero"`
	// NewRun is the run that the action started, Begun when that was seen.
	NewRun string    `json:"new_run,omitzero"`
	Begun  time.Time `json:"begun,omitzero"`

	Ended   time.Time  `json:"ended,omitzero"`
	Outcome event.Type `json:"outcome,omitzero"`
	Rule    string     `json:"rule,omitzero"`
	Says    string     `json:"says,omitzero"`
	// Forgiven attempts do not count against the budget.
	Forgiven bool `json:"forgiven,omitzero"`

	// Follows is the id of the event that told of another task's success, of which this is a consequence.
	// Such an attempt counts for that task's budget alone.
	Follows string `json:"follows,omitzero"`
	// After are the tasks that follow this one, while they do; Followed says that all is done.
	After    []follower `json:"after,omitzero"`
	Followed bool       `json:"followed,omitzero"`

	// Before is the deployment that a service had before the call.
	Before string `json:"before,omitzero"`
	// Refused counts the calls that ECS has clearly refused: the next one may be another one.
	Refused int64 `json:"refused,omitzero"`
	// Sick is the first trouble of a service, or of what the action ran, after the end.
	Sick time.Time `json:"sick,omitzero"`

	told bool // that the call is made, by this process and for the last one
}

// gaveUp remembers that the end of the budget was told, and what was said.
type gaveUp struct {
	Trigger string    `json:"trigger"`
	Kind    Kind      `json:"kind"`
	At      time.Time `json:"at"`
	Actions int64     `json:"actions"`
	Budget  string    `json:"budget"`
	Says    string    `json:"says"`
	// Seen is the last trouble of a service since.
	Seen time.Time `json:"seen,omitzero"`
}

// record is what the ledger holds per workload: claim and budget change in one write.
type record struct {
	Attempts []Attempt `json:"attempts"`
	GaveUp   *gaveUp   `json:"gave_up,omitzero"`

	key      string
	revision uint64
	// was are the attempts as they were read or saved last, encoded, by trigger.
	was       map[string]string
	gaveUpWas *gaveUp
}

// errRaced says that another writer was first; what was read is outdated.
var errRaced = errors.New("the record was changed meanwhile")

// keyOf names the run of the event and what can be done about it.
func keyOf(e *event.Event) string {
	run := e.ID // of a service, and of what never began, the occurrence stands for the run
	if t := e.Data.Task; t != nil && t.Run != "" {
		run = t.Run
	}
	return aboutOf(e) + "/" + run + "/" + string(kindOf(e))
}

// aboutOf names what the event is about: the id of its task, or its service.
func aboutOf(e *event.Event) string {
	if e.Data.Task == nil {
		return "service:" + e.Data.Scope + "/" + e.Data.Workload
	}
	return e.Data.Task.ID
}

// bucketKey is where the record of the event's workload is. The modes keep separate books, so that what
// was only thought of does not count.
func bucketKey(mode Mode, e *event.Event) string {
	d := &e.Data
	key := "restart." + string(mode) + "." + event.Token(d.Site) + "." + event.Token(string(d.Runtime)) + "." +
		event.Token(d.Scope) + "." + event.Token(d.Workload)
	if d.Account != "" {
		key += "." + event.Token(d.Account) + "." + event.Token(d.Region)
	}
	return key
}

func (h *Handler) load(ctx context.Context, e *event.Event) (*record, error) {
	return h.read(ctx, bucketKey(h.cfg.Mode, e))
}

func (h *Handler) read(ctx context.Context, key string) (*record, error) {
	value, revision, err := h.ledger.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read restart ledger: %w", err)
	}
	r := &record{key: key, revision: revision}
	if len(value) > 0 {
		if err := json.Unmarshal(value, r); err != nil {
			return nil, fmt.Errorf("read restart ledger entry %s: %w", key, err)
		}
	}
	return r, r.remember()
}

// save writes the record, without what is too old to matter, or returns errRaced. What other tasks of the
// workload have written meanwhile is kept, if only attempts that are still as they were read have changed here.
func (h *Handler) save(ctx context.Context, r *record, now time.Time) error {
	for range maxRaces {
		r.prune(now.Add(-h.horizon()))
		value, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode restart ledger entry: %w", err)
		}
		next, won, err := h.ledger.Put(ctx, r.key, value, r.revision)
		if err != nil {
			return fmt.Errorf("write restart ledger: %w", err)
		}
		if won {
			r.revision = next
			return r.remember()
		}
		fresh, err := h.read(ctx, r.key)
		if err != nil {
			return err
		}
		if !r.rebase(fresh) {
			return errRaced
		}
	}
	return errRaced
}

// keep is how long an ended attempt can count against a budget.
const keep = maxWindow + time.Hour

// maxKept bounds a record; it is above every budget.
const maxKept = maxActions + 20

// horizon is how long an ended attempt is kept: as long as an event about its run may still be acted on,
// and as long as it counts.
func (h *Handler) horizon() time.Duration { return max(2*h.cfg.MaxAge, keep) }

func (r *record) prune(before time.Time) {
	over := len(r.Attempts) - maxKept
	kept := make([]Attempt, 0, len(r.Attempts))
	for i, a := range r.Attempts {
		if a.Phase != ended || i >= over && a.Ended.After(before) {
			kept = append(kept, a)
		}
	}
	r.Attempts = kept
}

// of returns the attempt that the event has claimed, or nil.
func (r *record) of(trigger string) *Attempt {
	for i := range r.Attempts {
		if r.Attempts[i].Trigger == trigger {
			return &r.Attempts[i]
		}
	}
	return nil
}

// about returns the attempt with this key, whatever its trigger, or nil.
func (r *record) about(key string) *Attempt {
	for i := range r.Attempts {
		if r.Attempts[i].Key == key {
			return &r.Attempts[i]
		}
	}
	return nil
}

// open returns an attempt on the task that has not ended, or nil.
func (r *record) open(task string) *Attempt {
	for i := range r.Attempts {
		if a := &r.Attempts[i]; a.Task == task && a.Phase != ended {
			return a
		}
	}
	return nil
}
