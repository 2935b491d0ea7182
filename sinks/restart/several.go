package restart

import (
	"context"
	"errors"
)

// several are the restarters of the daemons of one runtime. A task is with the one that knows it.
type several []Restarter

var (
	_ Restarter = several(nil)
	_ Supporter = several(nil)
)

// State asks one daemon after the other. One that can't be asked is an error only if no other knows the
// task: it may be with that one.
func (s several) State(ctx context.Context, t Target) (State, error) {
	_, state, err := s.with(ctx, t)
	return state, err
}

func (s several) with(ctx context.Context, t Target) (Restarter, State, error) {
	var errs []error
	for _, r := range s {
		state, err := r.State(ctx, t)
		if err == nil && state.Found {
			return r, state, nil
		}
		errs = append(errs, err)
	}
	return nil, State{}, errors.Join(errs...)
}

// Start starts the task where it is.
func (s several) Start(ctx context.Context, t Target) error {
	return s.at(ctx, t, Restarter.Start)
}

// Restart restarts the task where it is.
func (s several) Restart(ctx context.Context, t Target) error {
	return s.at(ctx, t, Restarter.Restart)
}

func (s several) at(ctx context.Context, t Target, call func(Restarter, context.Context, Target) error) error {
	r, _, err := s.with(ctx, t)
	switch {
	case err != nil:
		return err
	case r == nil:
		return errors.New("no daemon knows the task")
	}
	return call(r, ctx, t)
}

// Dependants are with the daemon of the task.
func (s several) Dependants(ctx context.Context, t Target) ([]Dependant, error) {
	r, _, err := s.with(ctx, t)
	if supporter, ok := r.(Supporter); ok {
		return supporter.Dependants(ctx, t)
	}
	return nil, err
}
