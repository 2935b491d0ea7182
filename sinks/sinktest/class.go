package sinktest

import (
	"context"
	"errors"

	"github.com/bellbuoy/bellbuoy/sinks"
)

// Class is what an error tells the router to do.
type Class string

// The classes.
const (
	Accepted  Class = "accepted"
	Permanent Class = "permanent"
	Throttled Class = "throttled"
	Retryable Class = "retryable"
	Cancelled Class = "cancelled"
	Mixed     Class = "mixed"
)

// ClassOf returns the class of what Send returned. A *sinks.Partial whose verdicts are alike has their
// class; otherwise it is mixed.
func ClassOf(err error) Class {
	var partial *sinks.Partial
	if errors.As(err, &partial) {
		return alike(partial.Errs)
	}
	return classOfOne(err)
}

func classOfOne(err error) Class {
	var permanent *sinks.Permanent
	var throttled *sinks.Throttled
	switch {
	case err == nil:
		return Accepted
	case errors.As(err, &permanent):
		return Permanent
	case errors.As(err, &throttled):
		return Throttled
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Cancelled
	}
	return Retryable
}

func alike(errs []error) Class {
	class := Accepted
	for i, err := range errs {
		if one := classOfOne(err); i == 0 {
			class = one
		} else if one != class {
			return Mixed
		}
	}
	return class
}
