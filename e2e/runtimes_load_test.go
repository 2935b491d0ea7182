package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/churn"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// spent is what a daemon spent on how many lives.
type spent struct {
	lives int
	cpu   time.Duration
}

func (s *spent) add(o spent) { s.lives, s.cpu = s.lives+o.lives, s.cpu+o.cpu }

func (s spent) perLife() time.Duration {
	return (s.cpu / time.Duration(s.lives)).Round(100 * time.Microsecond)
}

// spend makes lives and returns what the daemon spent on them, from the first order to the last end.
func spend(t *testing.T, d *harness.Docker, lives int) (spent, []churn.Life) {
	t.Helper()
	driver := &churn.Docker{Client: d.Client(), Image: d.Image, Prefix: fmt.Sprintf("load-%d", time.Now().UnixNano()), Rate: 5, Noise: 5}
	before, enough, done := d.CPU(t), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := driver.Drive(context.WithoutCancel(t.Context()), enough)
		done <- err
	}()
	eventually(t, 10*time.Minute, "enough lives are made", func() bool { return len(driver.Lives()) >= lives })
	close(enough)
	require.NoError(t, <-done)
	require.NoError(t, driver.Remains(t.Context()))
	all := spent{len(driver.Lives()), d.CPU(t) - before}
	require.NoError(t, driver.Remove(t.Context()))
	return all, driver.Lives()
}

// TestLoadOnDocker measures what a collector costs the daemon that it watches: the same churn without and
// with it, in turns.
func TestLoadOnDocker(t *testing.T) {
	turns, lives := 1, 8
	if long() {
		turns, lives = 4, 60
	}
	stand.EachDocker(t, func(t *testing.T, d *harness.Docker) {
		var alone, watched spent
		for turn := range turns {
			without, _ := spend(t, d, lives)
			w := watchHost(t, &counted{}, d.Host, &collectortest.Bucket{})
			with, made := spend(t, d, lives)
			for _, l := range made {
				eventually(t, time.Minute, "the end is told", func() bool { return len(w.stream.Of(event.TaskStopped, l.ID)) >= l.Runs })
			}
			w.stop()
			t.Logf("turn %d: %s of the daemon's CPU a life without a collector, %s with one", turn+1, without.perLife(), with.perLife())
			alone.add(without)
			watched.add(with)
		}
		assert.Positive(t, alone.cpu)
		t.Logf("%d and %d lives: %s without a collector, %s with one: %.2f times as much", alone.lives, watched.lives,
			alone.perLife(), watched.perLife(), float64(watched.perLife())/float64(alone.perLife()))
	})
}
