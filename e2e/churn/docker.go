package churn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
)

// Docker makes container lives on a Docker daemon, and volumes whose events turn the daemon's log over.
type Docker struct {
	Client *client.Client
	Image  string
	Prefix string  // of the names of all that is made
	Rate   float64 // lives a second that are asked for
	Noise  float64 // volumes a second, two events each
	// Gate, if set, is waited for before every life and volume.
	Gate func(context.Context) error

	mu      sync.Mutex // guards what follows
	lives   []Life
	left    []Life // that are not counted any more
	volumes int
}

// Drive makes lives and noise until enough is closed, and returns how many lives a second it made.
func (d *Docker) Drive(ctx context.Context, enough <-chan struct{}) (float64, error) {
	begun := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return drive(ctx, enough, d.Rate, d.live) })
	group.Go(func() error { return d.noise(ctx, enough) })
	err := group.Wait()
	return float64(len(d.Lives())) / time.Since(begun).Seconds(), err
}

func (d *Docker) gate(ctx context.Context) error {
	if d.Gate == nil {
		return nil
	}
	return d.Gate(ctx)
}

// live makes one container: two in five stay, every other of these is started again when it fails.
func (d *Docker) live(ctx context.Context, i int) error {
	if err := d.gate(ctx); err != nil {
		return err
	}
	l := Life{Kept: rand.IntN(5) < 2, Code: rand.IntN(4), Runs: 1}
	host := container.HostConfig{NetworkMode: "none", AutoRemove: !l.Kept}
	if l.Kept && rand.IntN(2) == 0 {
		host.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 2}
		if l.Code != 0 {
			l.Runs = 3
		}
	}
	created, err := d.Client.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:       fmt.Sprintf("%s-%d", d.Prefix, i),
		Config:     &container.Config{Image: d.Image, Cmd: []string{"sh", "-c", "sleep 0.05; exit " + strconv.Itoa(l.Code)}},
		HostConfig: &host,
	})
	if err != nil {
		return fmt.Errorf("create container: %w", err)
	}
	l.ID = created.ID
	d.mu.Lock()
	d.lives = append(d.lives, l)
	d.mu.Unlock()
	if _, err := d.Client.ContainerStart(ctx, l.ID, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	return nil
}

func (d *Docker) noise(ctx context.Context, enough <-chan struct{}) error {
	if d.Noise == 0 {
		return nil
	}
	tick := time.NewTicker(time.Duration(float64(time.Second) / d.Noise))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-enough:
			return nil
		case <-tick.C:
		}
		if err := errors.Join(d.gate(ctx), d.Volume(ctx)); err != nil {
			return err
		}
	}
}

// Volume makes two events.
func (d *Docker) Volume(ctx context.Context) error {
	d.mu.Lock()
	d.volumes++
	name := fmt.Sprintf("%s-v%d", d.Prefix, d.volumes)
	d.mu.Unlock()
	if _, err := d.Client.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name}); err != nil {
		return fmt.Errorf("create volume: %w", err)
	}
	if _, err := d.Client.VolumeRemove(ctx, name, client.VolumeRemoveOptions{}); err != nil {
		return fmt.Errorf("remove volume: %w", err)
	}
	return nil
}

// Ring is how many events a Docker daemon remembers.
const Ring = 256

// Flush makes so many events that the daemon forgets all that it has told before.
func (d *Docker) Flush(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(drivers)
	for range Ring/2 + 8 {
		group.Go(func() error { return d.Volume(ctx) })
	}
	return group.Wait()
}

// Lives returns what has been made.
func (d *Docker) Lives() []Life {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Life(nil), d.lives...)
}

// Made returns all that has been made, also what is not counted any more.
func (d *Docker) Made() []Life {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append(append([]Life(nil), d.lives...), d.left...)
}

// Remains waits until every life has ended. Lives that the daemon itself failed to start again are not
// counted any more.
func (d *Docker) Remains(ctx context.Context) error {
	var lives, left []Life
	for _, l := range d.Lives() {
		whole, err := d.remains(ctx, l)
		switch {
		case err != nil:
			return err
		case whole:
			lives = append(lives, l)
		default:
			left = append(left, l)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lives, d.left = lives, left
	return nil
}

func (d *Docker) remains(ctx context.Context, l Life) (whole bool, err error) {
	for {
		r, err := d.Client.ContainerInspect(ctx, l.ID, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) && !l.Kept {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("inspect container: %w", err)
		}
		s := r.Container.State
		if l.Kept && !s.Running && !s.Restarting {
			if s.Error != "" {
				return false, nil
			}
			if r.Container.RestartCount == l.Runs-1 {
				return true, nil
			}
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("wait for the end of %s, %s, started %d times again: %w", r.Container.Name, s.Status, r.Container.RestartCount, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Remove removes what is left.
func (d *Docker) Remove(ctx context.Context) error {
	var errs []error
	for _, l := range d.Made() {
		_, err := d.Client.ContainerRemove(ctx, l.ID, client.ContainerRemoveOptions{Force: true})
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			errs = append(errs, fmt.Errorf("remove container: %w", err))
		}
	}
	return errors.Join(errs...)
}
