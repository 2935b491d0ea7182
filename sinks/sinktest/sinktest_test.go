package sinktest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

func TestClassOf(t *testing.T) {
	permanent := &sinks.Permanent{Reason: "x", Err: errors.New("x")}
	for name, c := range map[string]struct {
		err  error
		want Class
	}{
		"nil":           {nil, Accepted},
		"plain":         {errors.New("x"), Retryable},
		"permanent":     {fmt.Errorf("send: %w", permanent), Permanent},
		"throttled":     {&sinks.Throttled{Err: errors.New("x")}, Throttled},
		"cancelled":     {fmt.Errorf("send: %w", context.Canceled), Cancelled},
		"alike":         {&sinks.Partial{Errs: []error{permanent, permanent}}, Permanent},
		"mixed":         {&sinks.Partial{Errs: []error{nil, permanent}}, Mixed},
		"none rejected": {&sinks.Partial{Errs: []error{nil, nil}}, Accepted},
	} {
		assert.Equal(t, c.want, ClassOf(c.err), name)
	}
}

// The samples are events of the contract, except for those that carry bytes that are not UTF-8.
func TestSamples(t *testing.T) {
	names, ids := map[string]bool{}, map[string]bool{}
	for _, s := range Samples() {
		names[s.Name], ids[s.Event.ID] = true, true
		_, err := event.Append(nil, &s.Event)
		require.NoError(t, err, s.Name)
		assert.NoError(t, event.Validate(&s.Event), s.Name)
	}
	assert.Len(t, names, len(Samples()))
	assert.Len(t, ids, len(Samples()))
	assert.Len(t, Alerts(), 12)
}
