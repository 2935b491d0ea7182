// Package fault is how a component tells which field of its config is wrong.
//
// Validate methods return faults joined by errors.Join; the config loader turns each path into a file,
// line and column. A fault never contains a secret's value.
package fault

import "fmt"

// Fault is one wrong field.
type Fault struct {
	// Path is the field's place below the component, such as "logs.lines"; empty is the component itself.
	Path string
	// Problem says what is wrong and what to do.
	Problem string
}

// At returns a fault of the field at path.
func At(path, format string, args ...any) error {
	return &Fault{Path: path, Problem: fmt.Sprintf(format, args...)}
}

func (f *Fault) Error() string {
	if f.Path == "" {
		return f.Problem
	}
	return f.Path + ": " + f.Problem
}

// All returns the faults in err, which may be nil, one error or a join of them. An error that is no
// fault becomes one without a path.
func All(err error) []*Fault {
	switch e := err.(type) { //nolint:errorlint // walks the tree itself
	case nil:
		return nil
	case *Fault:
		return []*Fault{e}
	case interface{ Unwrap() []error }:
		var faults []*Fault
		for _, inner := range e.Unwrap() {
			faults = append(faults, All(inner)...)
		}
		return faults
	}
	return []*Fault{{Problem: err.Error()}}
}
