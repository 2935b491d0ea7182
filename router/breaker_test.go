package router

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBreakerLetsOneProbeThroughAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker()
		probe, err := b.enter(t.Context())
		require.NoError(t, err)
		assert.False(t, probe, "closed: everybody passes")

		b.failed(errors.New("down"), 0)
		ctx, cancel := context.WithCancel(t.Context())
		var probes atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if probe, err := b.enter(ctx); err == nil && probe {
					probes.Add(1)
				}
			})
		}
		<-time.After(time.Minute) // virtual time
		synctest.Wait()
		assert.EqualValues(t, 1, probes.Load())

		b.passed()
		synctest.Wait()
		wg.Wait()
		cancel()
		open, _, why := b.state()
		assert.False(t, open)
		require.NoError(t, why)
	})
}

func TestBreakerWaitsLongerEachTimeAndAsLongAsTheTargetAsks(t *testing.T) {
	b := newBreaker()
	first := b.failed(errors.New("down"), 0)
	var last time.Duration
	for range 12 {
		last = b.failed(errors.New("down"), 0)
	}
	assert.Less(t, first, time.Second)
	assert.InDelta(t, 30, last.Seconds(), 6.1)
	assert.Equal(t, time.Hour, b.failed(errors.New("throttled"), time.Hour))

	b.passed()
	assert.Less(t, b.failed(errors.New("down"), 0), time.Second, "a success starts the series again")
}

func TestBreakerEndsWithItsContext(t *testing.T) {
	b := newBreaker()
	b.failed(errors.New("down"), time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.enter(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
