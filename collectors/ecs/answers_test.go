package ecs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
)

// oracle answers questions in virtual time, and keeps what it was asked.
type oracle struct {
	takes time.Duration
	log   bytes.Buffer
	*answers[string]

	mu    sync.Mutex // guards what follows
	err   error
	heard [][]string
}

func newOracle(change func(*answers[string])) *oracle {
	o := &oracle{takes: 100 * time.Millisecond}
	a := &answers[string]{find: o.find, together: 10, most: 100, age: time.Minute, logger: slog.New(slog.NewTextHandler(&o.log, nil))}
	if change != nil {
		change(a)
	}
	o.answers = newAnswers(a)
	return o
}

func (o *oracle) find(ctx context.Context, group string, names []string) (map[string]*string, error) {
	o.mu.Lock()
	o.heard = append(o.heard, slices.Clone(names))
	err := o.err
	o.mu.Unlock()
	select {
	case <-time.After(o.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	found := map[string]*string{}
	for _, name := range names {
		value := group + "/" + name
		found[name] = &value
	}
	return found, nil
}

func (o *oracle) fails(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *oracle) times() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.heard)
}

func TestAnswersHoldForTheirAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOracle(nil)
		for _, wait := range []time.Duration{0, 59 * time.Second, 2 * time.Second} {
			<-time.After(wait)
			got, err := o.get(t.Context(), "prod", "web")
			require.NoError(t, err)
			assert.Equal(t, "prod/web", *got)
		}
		assert.Equal(t, 2, o.times())
		assert.Empty(t, o.groups)
		assert.Empty(t, o.asked)
	})
}

func TestQuestionsAreGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOracle(nil)
		var all sync.WaitGroup
		for i := range 250 {
			group, name := fmt.Sprint("cluster-", i%2), fmt.Sprint("web-", i/2%25)
			all.Go(func() {
				got, err := o.get(t.Context(), group, name)
				if assert.NoError(t, err) {
					assert.Equal(t, group+"/"+name, *got)
				}
			})
		}
		all.Wait()
		assert.Equal(t, 6, o.times(), "25 names in each of two groups, ten at a time")
	})
}

func TestRefusalHoldsForTheGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOracle(nil)
		o.fails(&refusal{reason: reasonDenied, said: "not allowed"})
		for i := range 20 {
			_, err := o.get(t.Context(), "prod", fmt.Sprint("web-", i))
			require.EqualError(t, err, "not allowed")
		}
		assert.Equal(t, 1, o.times())
		<-time.After(deniedFor)
		_, err := o.get(t.Context(), "prod", "web")
		require.Error(t, err)
		assert.Equal(t, 2, o.times(), "it may be allowed by now")
		assert.Equal(t, 1, bytes.Count(o.log.Bytes(), []byte("\n")), "and is told once")
		_, err = o.get(t.Context(), "other", "web")
		require.Error(t, err)
		assert.Equal(t, 2, bytes.Count(o.log.Bytes(), []byte("\n")), "for each group")

		o.fails(nil)
		<-time.After(deniedFor)
		_, err = o.get(t.Context(), "prod", "web")
		require.NoError(t, err)
		o.fails(&refusal{reason: reasonDenied, said: "not allowed"})
		_, err = o.get(t.Context(), "prod", "again")
		require.Error(t, err)
		assert.Equal(t, 3, bytes.Count(o.log.Bytes(), []byte("\n")), "it changed meanwhile")
	})
}

func TestHowLongFailuresHold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err       error
		one, more int // how often it is asked for one thing, and for another of its group besides, in silentFor
	}{
		"does not answer": {&refusal{reason: reasonNetwork, said: "x"}, 1, 0},
		"credentials":     {&refusal{reason: reasonCredentials, said: "x"}, 1, 0},
		"unknown":         {&refusal{reason: reasonOther, said: "x"}, 1, 1},
		"no turn":         {awsclient.ErrBusy, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOracle(nil)
				o.fails(tt.err)
				for range 3 {
					_, err := o.get(t.Context(), "prod", "web")
					require.ErrorIs(t, err, tt.err)
				}
				assert.Equal(t, tt.one, o.times())
				_, err := o.get(t.Context(), "prod", "api")
				require.ErrorIs(t, err, tt.err)
				assert.Equal(t, tt.one+tt.more, o.times())
				o.fails(nil)
				<-time.After(silentFor)
				_, err = o.get(t.Context(), "prod", "web")
				require.NoError(t, err)
			})
		})
	}
}

func TestLastingAnswersOutliveTheirAge(t *testing.T) {
	t.Parallel()
	for _, lasting := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o := newOracle(func(a *answers[string]) { a.lasting = lasting })
			_, err := o.get(t.Context(), "", "web:1")
			require.NoError(t, err)
			<-time.After(time.Hour)
			for _, reason := range []string{reasonOther, reasonNetwork, reasonDenied} {
				o.fails(&refusal{reason: reason, said: "x"})
				for range 2 { // the second is not asked
					got, err := o.get(t.Context(), "", "web:1")
					if !lasting {
						require.Error(t, err)
						continue
					}
					require.NoError(t, err)
					assert.Equal(t, "/web:1", *got)
				}
				<-time.After(deniedFor)
			}
		})
	}
}

func TestSilenceIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOracle(nil)
		o.takes = time.Hour
		begun := time.Now()
		for i := range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), askBound)
			_, err := o.get(ctx, "prod", fmt.Sprint("web-", i))
			cancel()
			require.ErrorIs(t, err, errNoAnswer)
		}
		assert.Equal(t, askBound, time.Since(begun))
		// One who has hardly any time left does not make the others go without.
		<-time.After(silentFor)
		o.takes = 100 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := o.get(ctx, "prod", "web")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = o.get(t.Context(), "prod", "web")
		require.NoError(t, err)
	})
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOracle(func(a *answers[string]) { a.together = 1 })
		o.takes = 0
		for i := range 1000 {
			_, err := o.get(t.Context(), fmt.Sprint("cluster-", i%7), fmt.Sprint(i))
			require.NoError(t, err)
		}
		assert.Len(t, o.known, 100)
		assert.Empty(t, o.groups)
		before := o.times()
		_, err := o.get(t.Context(), fmt.Sprint("cluster-", 999%7), "999")
		require.NoError(t, err)
		assert.Equal(t, before, o.times(), "the newest is kept")
	})
}

func TestWhoWaitsLeavesInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOracle(nil)
		o.takes = time.Minute
		var all sync.WaitGroup
		defer all.Wait()
		all.Go(func() {
			_, err := o.get(t.Context(), "prod", "web")
			assert.NoError(t, err)
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("late"))
		defer cancel()
		begun := time.Now()
		_, err := o.get(ctx, "prod", "web")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(begun))
		assert.Equal(t, 1, o.times())
	})
}
