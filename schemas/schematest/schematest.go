// Package schematest gives tests the golden events of the contract and the check that every emitted
// event must pass.
//
// It is imported by tests only. Golden returns one frozen event of every type in the order of the
// registry; a Checker fails the test that handed it an event that is not valid, and may be used by many
// goroutines.
package schematest

import (
	"testing"

	"github.com/bellbuoy/bellbuoy/schemas"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Golden returns one event of every type.
func Golden(t testing.TB) []event.Event {
	t.Helper()
	var all []event.Event
	for _, info := range event.Types() {
		text, err := schemas.Example(info.Name())
		if err != nil {
			t.Fatal(err)
		}
		e, err := event.Decode(text)
		if err != nil {
			t.Fatalf("golden event %s: %v", info.Name(), err)
		}
		all = append(all, e)
	}
	return all
}

// Checker holds the compiled schemas for the life of a test.
type Checker struct {
	t testing.TB
	v *schemas.Validator
}

// New compiles the schemas.
func New(t testing.TB) *Checker {
	t.Helper()
	v, err := schemas.New()
	if err != nil {
		t.Fatal(err)
	}
	return &Checker{t: t, v: v}
}

// Encoded fails the test unless the bytes are an event that fits its schema.
func (c *Checker) Encoded(encoded []byte) {
	c.t.Helper()
	if err := c.v.Validate(encoded); err != nil {
		c.t.Errorf("%v\nin %s", err, encoded)
	}
}

// Event fails the test unless the event encodes to what fits its schema and the contract for producers.
func (c *Checker) Event(e event.Event) {
	c.t.Helper()
	if err := event.Validate(&e); err != nil {
		c.t.Error(err)
	}
	encoded, err := event.Append(nil, &e)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.Encoded(encoded)
}

// Valid checks one event by a Checker of its own; make a Checker for more than a few.
func Valid(t testing.TB, e event.Event) {
	t.Helper()
	New(t).Event(e)
}
