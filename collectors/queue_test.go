package collectors_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"

	"github.com/bellbuoy/bellbuoy/collectors"
)

func TestQueueKeepsTheOrderAndTheCount(t *testing.T) {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "X."})
	b := collectors.NewBacklog(1, gauge)
	q, other := collectors.NewQueue[int](b), collectors.NewQueue[int](b)
	_, ok := q.Pop()
	assert.False(t, ok)
	for i := range 3 {
		q.Push(i)
	}
	other.Push(9)
	<-q.Pushed()
	for want := range 3 {
		got, ok := q.Pop()
		assert.True(t, ok)
		assert.Equal(t, want, got)
	}
	assert.EqualValues(t, 4, b.Len(), "a popped item counts until it is done")
	q.Done()
	assert.InDelta(t, 3, testutil.ToFloat64(gauge), 0)
}

func TestBacklogIsAwaitedUntilItIsLow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := collectors.NewBacklog(1, prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "X."}))
		q := collectors.NewQueue[int](b)
		for i := range 3 {
			q.Push(i)
		}
		ended, stop := context.WithCancel(t.Context())
		stop()
		b.Await(ended) // it returns although nothing was done

		var wg sync.WaitGroup
		returned := false
		wg.Go(func() { b.Await(t.Context()); returned = true })
		q.Done()
		synctest.Wait()
		assert.False(t, returned)
		q.Done()
		wg.Wait()
		assert.True(t, returned)
	})
}
