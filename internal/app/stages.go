package app

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stage is a part of the program that runs until it is told to stop.
type stage struct {
	name string
	run  func(context.Context) error
}

// started is a stage at work.
type started struct {
	stage
	cancel context.CancelFunc
	done   chan error
}

// runStages starts the stages in order and waits until ctx ends or one of them fails. Then it stops
// them in reverse, each before the next, so that what feeds a stage ends before the stage does.
func runStages(ctx context.Context, stages []stage, within time.Duration) error {
	base := context.WithoutCancel(ctx)
	failed := make(chan error, len(stages))
	var running []started
	for _, s := range stages {
		stageCtx, cancel := context.WithCancel(base)
		r := started{s, cancel, make(chan error, 1)}
		running = append(running, r)
		go func() {
			err := r.run(stageCtx)
			r.done <- err
			if stageCtx.Err() == nil {
				failed <- fmt.Errorf("%s ended: %w", r.name, errors.Join(err, errEnded))
			}
		}()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, stopStages(running, within))
}

// errEnded tells an end that nobody asked for from one without an error.
var errEnded = errors.New("it must run for as long as the program does")

func stopStages(running []started, within time.Duration) error {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	var errs []error
	for i := len(running) - 1; i >= 0; i-- {
		r := running[i]
		r.cancel()
		select {
		case err := <-r.done:
			if err != nil && !errors.Is(err, context.Canceled) {
				errs = append(errs, fmt.Errorf("stop %s: %w", r.name, err))
			}
		case <-timeout.C:
			for _, rest := range running[:i] {
				rest.cancel()
			}
			return errors.Join(append(errs, fmt.Errorf("%s did not stop within %s; what it had in hand will come again", r.name, within))...)
		}
	}
	return errors.Join(errs...)
}
