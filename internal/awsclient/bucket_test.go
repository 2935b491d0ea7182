package awsclient

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBucketKeepsItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(10, 50)
		begun := time.Now()
		for range 150 {
			require.NoError(t, b.Wait(t.Context()))
		}
		assert.InDelta(t, 10, time.Since(begun).Seconds(), 0.2, "50 at once, then 10 a second")
	})
}

func TestBucketGivesNothingWhileAWSThrottles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(10, 50)
		var pauses []time.Duration
		for range 8 {
			pauses = append(pauses, b.Throttled())
			assert.Equal(t, pauses[len(pauses)-1], b.Throttled(), "a call that was on its way changes nothing")
			begun := time.Now()
			require.NoError(t, b.Wait(t.Context()))
			assert.Equal(t, pauses[len(pauses)-1], time.Since(begun))
		}
		s := time.Second
		assert.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s}, pauses)
		<-time.After(time.Millisecond)
		b.Answered()
		assert.Equal(t, s, b.Throttled(), "an answer ends the row")
	})
}

func TestBucketRefusesAtOnceWhatWouldBeTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(1, 1)
		require.NoError(t, b.Wait(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		begun := time.Now()
		require.ErrorIs(t, b.Wait(ctx), ErrBusy)
		b.Throttled()
		require.ErrorIs(t, b.Wait(ctx), ErrBusy)
		assert.Zero(t, time.Since(begun))
		cancel()
		require.ErrorIs(t, b.Wait(ctx), context.Canceled)
	})
}

func TestBucketsAreSharedByName(t *testing.T) {
	t.Parallel()
	l := &Loader{}
	assert.Same(t, l.Bucket("a", 1, 1), l.Bucket("a", 9, 9))
	assert.NotSame(t, l.Bucket("a", 1, 1), l.Bucket("b", 1, 1))
}

// Who waits for a turn when AWS begins to throttle does not get it meanwhile.
func TestBucketHoldsWhoWaitsAlready(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBucket(10, 1)
		require.NoError(t, b.Wait(t.Context()))
		begun := time.Now()
		var mu sync.Mutex
		var given []time.Duration
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if assert.NoError(t, b.Wait(t.Context())) {
					mu.Lock()
					defer mu.Unlock()
					given = append(given, time.Since(begun))
				}
			})
		}
		<-time.After(250 * time.Millisecond)
		pause := b.Throttled()
		all.Wait()
		require.Len(t, given, 20)
		for _, at := range given {
			assert.False(t, at > 250*time.Millisecond && at < 250*time.Millisecond+pause, "given after %s", at)
		}
	})
}
