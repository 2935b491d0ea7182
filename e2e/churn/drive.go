package churn

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Life is one container that a driver made.
type Life struct {
	ID   string
	Kept bool // it stays after its end
	Code int  // that each of its runs ends with
	Runs int
}

const drivers = 8

// drive calls live with one number after another, at a rate, until enough is closed, and waits for all of
// them. The first error ends it.
func drive(ctx context.Context, enough <-chan struct{}, rate float64, live func(context.Context, int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs := make(chan int)
	errs := make(chan error, drivers)
	var wg sync.WaitGroup
	for range drivers {
		wg.Go(func() {
			for i := range jobs {
				if err := live(ctx, i); err != nil {
					cancel()
					errs <- err
					return
				}
			}
		})
	}
	pace(ctx, enough, rate, jobs)
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// pace hands out numbers at a rate; a receiver that is late is not hurried.
func pace(ctx context.Context, enough <-chan struct{}, rate float64, jobs chan<- int) {
	defer close(jobs)
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-enough:
			return
		case <-tick.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-enough:
			return
		case jobs <- i:
		}
	}
}
