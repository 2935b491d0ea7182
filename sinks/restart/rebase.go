package restart

import (
	"fmt"

	"github.com/go-json-experiment/json"
)

// remember notes how the attempts are in the ledger.
func (r *record) remember() error {
	r.was = make(map[string]string, len(r.Attempts))
	for i := range r.Attempts {
		text, err := json.Marshal(&r.Attempts[i])
		if err != nil {
			return fmt.Errorf("encode restart attempt: %w", err)
		}
		r.was[r.Attempts[i].Trigger] = string(text)
	}
	r.gaveUpWas = r.GaveUp
	return nil
}

// rebase puts what was changed here onto what another writer has made of the record. It refuses, and leaves
// r as it is, if there is a claim or nothing but a refusal, which may be decided otherwise now, and if a
// changed attempt was changed there, too.
func (r *record) rebase(fresh *record) bool {
	changed := r.changed()
	if len(changed) == 0 {
		return false
	}
	for _, a := range changed {
		was, known := r.was[a.Trigger]
		if !known || fresh.was[a.Trigger] != was {
			return false
		}
	}
	for _, a := range changed {
		*fresh.of(a.Trigger) = a
	}
	if r.GaveUp == r.gaveUpWas {
		r.GaveUp = fresh.GaveUp
	}
	r.Attempts, r.revision, r.was, r.gaveUpWas = fresh.Attempts, fresh.revision, fresh.was, fresh.GaveUp
	return true
}

// changed are the attempts that are not as they are in the ledger.
func (r *record) changed() []Attempt {
	var out []Attempt
	for i := range r.Attempts {
		a := r.Attempts[i]
		if text, err := json.Marshal(&a); err != nil || string(text) != r.was[a.Trigger] {
			out = append(out, a)
		}
	}
	return out
}

// holds tells whether the attempt is in the ledger as it was saved here.
func (r *record) holds(trigger string, fresh *record) bool {
	was, known := fresh.was[trigger]
	return known && was == r.was[trigger]
}
