package ecs

import "errors"

// poison is why a body can never become an event.
type poison struct {
	// Class is undecodable, transformed or oversize.
	Class string
	// Reason is a sentence that says where and what.
	Reason string
}

func (p *poison) Error() string { return p.Reason }

// poisonOf returns the class and the reason of a body that could not be read.
func poisonOf(err error) (class, reason string) {
	var p *poison
	if errors.As(err, &p) {
		return p.Class, p.Reason
	}
	return classUndecodable, err.Error()
}
