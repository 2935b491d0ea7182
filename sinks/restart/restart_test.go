package restart

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

func TestConformance(t *testing.T) {
	for _, mode := range []Mode{Off, DryRun, Act} {
		t.Run(string(mode), func(t *testing.T) {
			sinktest.Run(t, sinktest.Options{New: func(t *testing.T, _ string) sinks.Sink {
				return newWorld().handler(t, func(c *Config) { c.Mode = mode })
			}})
		})
	}
}

func TestAStoppedTaskIsStartedAndVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		e := w.stopped("a", nil)
		h := w.handler(t)
		wait, err := deliver(t.Context(), h, e)
		require.NoError(t, err)
		require.Equal(t, []string{"start a"}, w.called(), "the first action does not wait")
		require.Equal(t, DefaultConfig().VerifyAfter, wait)
		finish(t, h, e)
		require.Equal(t, []string{"requested", "started", "succeeded"}, w.told())
		require.Equal(t, []string{"start a"}, w.called())
		finish(t, h, e)
		require.Equal(t, []string{"start a"}, w.called(), "a redelivery after the end")
		last := w.last()
		require.Equal(t, e.ID, last.CausationID)
		require.Equal(t, e.Subject, last.Subject)
		state, err := w.State(t.Context(), Target{ID: "a"})
		require.NoError(t, err)
		require.Equal(t, state.Run(), last.Data.Action.Run)
		check := schematest.New(t)
		for _, p := range w.published {
			check.Event(p)
		}
	})
}

func TestAnUnhealthyTaskIsRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		e := w.unhealthy("a")
		h := w.handler(t)
		run := e.Data.Task.Run
		require.False(t, h.Acting("a", run))
		w.slow = 3 * time.Second
		done := make(chan struct{})
		go func() {
			defer close(done)
			finish(t, h, e)
		}()
		<-time.After(time.Second)
		require.True(t, h.Acting("a", run), "the stop within a restart is the handler's own")
		<-done
		require.True(t, h.Acting("a", run), "its event may be late")
		require.False(t, h.Acting("a", w.last().Data.Action.Run), "the end of the new run is not")
		<-time.After(afterStop)
		require.False(t, h.Acting("a", run))
		require.Equal(t, []string{"restart a"}, w.called())
		require.Equal(t, []string{"requested", "started", "succeeded"}, w.told())
	})
}

// The new run of an unhealthy task gets a while to turn healthy.
func TestANewRunMustTurnHealthy(t *testing.T) {
	for health, want := range map[string]string{"healthy": "succeeded", "starting": "failed", "unhealthy": "failed"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			e := w.unhealthy("a")
			h := w.handler(t)
			_, err := deliver(t.Context(), h, e)
			require.NoError(t, err)
			w.set(func() { w.tasks["a"].Health = health })
			begin := time.Now()
			finish(t, h, e)
			require.Equal(t, []string{"requested", "started", want}, w.told(), health)
			require.LessOrEqual(t, time.Since(begin), verifyTimeout+poll)
		})
	}
}

func TestARunThatDiesAgainHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.lives = func(run int) (time.Duration, int64) {
			if run < 3 {
				return time.Second, 3
			}
			return 0, 0
		}
		h := w.handler(t)
		work(t, w, h, w.stopped("a", nil))
		require.Equal(t, []string{"start a", "start a", "start a"}, w.called(), "fails twice, then runs")
		require.Equal(t, "succeeded", w.last().Type.Event())
		require.Equal(t, 2, count(w.told(), "failed"))
		require.Equal(t, int64(3), w.last().Data.Action.Attempt)
	})
}

func TestATaskThatAlwaysDiesIsGivenUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.lives = func(int) (time.Duration, int64) { return time.Second, 3 }
		h := w.handler(t)
		begin := time.Now()
		work(t, w, h, w.stopped("a", nil))
		require.Len(t, w.called(), 4, "the budget")
		require.Equal(t, 1, count(w.told(), "gaveup"))
		require.Equal(t, 4, count(w.told(), "failed"))
		require.Greater(t, time.Since(begin), 6*time.Second, "back-off of 1, 2 and 4 s")

		again := w.stopped("b", nil)
		finish(t, h, again)
		require.Equal(t, 1, count(w.told(), "gaveup"), "another task of the workload is not told again")
		<-time.After(11 * time.Minute)
		w.set(func() { w.lives = func(int) (time.Duration, int64) { return 0, 0 } })
		finish(t, h, w.stopped("c", nil))
		require.Equal(t, "succeeded", w.last().Type.Event(), "the window has moved on")
	})
}

// work delivers an event and the stops that follow from it until nothing happens for some minutes.
func work(t *testing.T, w *world, h *Handler, e event.Event) {
	t.Helper()
	queue := []event.Event{e}
	seen := 0
	for idle := 0; len(queue) > 0 || idle < 900; idle++ {
		if len(queue) > 0 {
			idle = 0
		}
		var rest []event.Event
		for _, e := range queue {
			if wait, err := deliver(t.Context(), h, e); err != nil || wait > 0 {
				rest = append(rest, e)
			}
		}
		<-time.After(500 * time.Millisecond)
		w.set(func() {
			rest = append(rest, w.deaths[seen:]...)
			seen = len(w.deaths)
		})
		queue = rest
	}
}

func count(words []string, word string) int {
	n := 0
	for _, x := range words {
		if x == word {
			n++
		}
	}
	return n
}

func TestAStableRunForgivesTheAttemptsBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.lives = func(run int) (time.Duration, int64) {
			if run == 4 {
				return 6 * time.Minute, 3
			}
			return time.Second, 3
		}
		h := w.handler(t, func(c *Config) { c.Budget = Budget{4, time.Hour} })
		work(t, w, h, w.stopped("a", nil))
		require.Len(t, w.called(), 4+4, "four, a run of six minutes, and four more")
		require.Equal(t, 1, count(w.told(), "gaveup"))
	})
}

func TestACallThatFailsIsTriedAgainWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.failStart = errors.New("port is already allocated")
		e := w.stopped("a", nil)
		h := w.handler(t)
		finish(t, h, e)
		require.Len(t, w.called(), 4)
		require.Equal(t, []string{"requested", "started", "started", "started", "started", "failed", "gaveup"}, w.told())
		require.Contains(t, w.published[len(w.published)-2].Data.Action.Reason, "port is already allocated")

		w = newWorld()
		w.failStart = errors.New("port is already allocated")
		e, h = w.stopped("a", nil), w.handler(t)
		_, err := deliver(t.Context(), h, e)
		require.NoError(t, err)
		w.set(func() { w.failStart = nil })
		finish(t, h, e)
		require.Equal(t, "succeeded", w.last().Type.Event())
	})
}

func TestDryRunDoesNothingAndSaysWhatItWouldDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.handler(t, func(c *Config) { c.Mode = DryRun })
		e := w.stopped("a", nil)
		for range 3 {
			finish(t, h, e)
		}
		require.Empty(t, w.called())
		require.Equal(t, []string{"requested"}, w.told())
		require.Contains(t, w.last().Data.Action.Reason, "would have started")
		for i := range 5 {
			finish(t, h, w.stopped("more"+number(i), nil))
		}
		require.Equal(t, 4, count(w.told(), "requested"), "the budget counts in dry-run, too")
		require.Equal(t, 1, count(w.told(), "gaveup"))

		act := w.handler(t)
		finish(t, act, w.stopped("real", nil))
		require.Len(t, w.called(), 1, "what was only thought of does not count")
	})
}

func TestOffAndOtherNodesAndTheNotOptedInAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		e := w.stopped("a", nil)
		finish(t, w.handler(t, func(c *Config) { c.Mode = Off }), e)
		elsewhere := e
		elsewhere.Data.Node = "n2"
		finish(t, w.handler(t), elsewhere)
		finish(t, w.handler(t), w.stopped("b", map[string]string{labelRestart: ""}))
		started := e
		started.Type = event.TaskStarted
		finish(t, w.handler(t), started)
		require.Empty(t, w.told())
		require.Empty(t, w.called())
		require.Empty(t, w.values, "not even the ledger is touched")
	})
}

// An amended event that finds an operator behind the stop takes the claim back while it waits.
func TestAnAmendedEventTakesAWaitingClaimBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		h := w.handler(t)
		finish(t, h, w.stopped("first", nil))
		e := w.stopped("a", nil)
		wait, err := deliver(t.Context(), h, e)
		require.NoError(t, err)
		require.Positive(t, wait, "the second action waits")
		amended := e
		amended.ID, amended.Data.Supersedes = "amended", e.ID
		amended.Data.Cause = &event.Cause{Class: "user.stop", Initiator: "user", Expected: true, Say: "stopped by request"}
		finish(t, h, amended)
		finish(t, h, e)
		require.Equal(t, []string{"start first"}, w.called())
		require.Equal(t, RuleOperator, w.last().Data.Action.Rule)
		require.Equal(t, "denied", w.last().Type.Event())

		late := w.stopped("b", nil)
		finish(t, h, late)
		amended.ID, amended.Data.Supersedes, amended.Data.Task = "amended b", late.ID, late.Data.Task
		told := len(w.told())
		finish(t, h, amended)
		require.Len(t, w.told(), told, "what was done is done, and not denied afterwards")
	})
}

func TestWhatHappensWhileTheBackOffRuns(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*State)
		rule   string
	}{
		"started by hand":  {func(s *State) { s.Running, s.Started = true, time.Now() }, RuleMovedOn},
		"started and died": {func(s *State) { s.Started = time.Now() }, RuleMovedOn},
		"removed":          {func(s *State) { s.Found = false }, RuleGone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				h := w.handler(t)
				finish(t, h, w.stopped("first", nil))
				e := w.stopped("a", nil)
				_, err := deliver(t.Context(), h, e)
				require.NoError(t, err)
				w.set(func() { c.change(w.tasks["a"]) })
				finish(t, h, e)
				require.Equal(t, []string{"start first"}, w.called())
				require.Equal(t, c.rule, w.last().Data.Action.Rule)
			})
		})
	}
}

// A router that hangs in a call keeps its claim for the lease; nobody acts beside it.
func TestNobodyActsBesideASilentHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.slow = 50 * time.Second
		e := w.stopped("a", nil)
		first, second := w.handler(t), w.handler(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := deliver(t.Context(), first, e)
			require.NoError(t, err)
		}()
		<-time.After(time.Second)
		wait, err := deliver(t.Context(), second, e)
		require.NoError(t, err)
		require.InDelta(t, (lease - time.Second).Seconds(), wait.Seconds(), 1)
		<-done
		finish(t, second, e)
		require.Equal(t, []string{"start a"}, w.called())
		require.Equal(t, "succeeded", w.last().Type.Event())
	})
}

// A router that was held up between its claim and its call for longer than the lease does not call any
// more: another one may have, and the run it began may have ended.
func TestAHolderThatWasHeldUpDoesNotCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.lives = func(int) (time.Duration, int64) { return 20 * time.Second, 3 }
		e := w.stopped("a", nil)
		publishes := 0
		w.op = func(ctx context.Context, name string) (before, after error) {
			if name == "publish" && ctx.Value(fuseKey{}) != nil {
				if publishes++; publishes == 2 { // requested has been told, now started
					<-time.After(lease + time.Minute)
				}
			}
			return nil, nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := deliver(context.WithValue(t.Context(), fuseKey{}, "held up"), w.handler(t), e)
			require.NoError(t, err)
		}()
		<-time.After(lease + time.Second)
		finish(t, w.handler(t), e)
		<-done
		require.Equal(t, []string{"start a"}, w.called())
		require.Equal(t, map[string]int{e.ID: 1}, w.effective)
	})
}

func TestEventsOfOneTaskKeepTheirOrderAndOthersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.slow = 10 * time.Second
		h := w.handler(t, func(c *Config) { c.Budget = Budget{100, time.Minute}; c.Backoff.First = 100 * time.Millisecond })
		var batch []event.Event
		for i := range 8 {
			e := w.stopped("t"+number(i), nil)
			e.Data.Workload = "w" + number(i)
			batch = append(batch, e)
		}
		begin := time.Now()
		var partial *sinks.Partial
		require.ErrorAs(t, h.Send(t.Context(), batch), &partial)
		require.Len(t, partial.Errs, 8)
		require.Less(t, time.Since(begin), 11*time.Second, "eight calls beside each other")
		require.Len(t, w.called(), 8)
	})
}

// Tasks of one workload share a record. That another one's action writes to it does not make anybody wait
// for a lease.
func TestTasksOfOneWorkloadDoNotHoldEachOtherUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.slow = 3 * time.Second
		h := w.handler(t, func(c *Config) { c.Backoff = Backoff{100 * time.Millisecond, 100 * time.Millisecond} })
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 4 {
			e := w.stopped("t"+number(i), nil)
			wg.Go(func() {
				<-time.After(time.Duration(i) * 700 * time.Millisecond)
				finish(t, h, e)
			})
		}
		wg.Wait()
		require.Len(t, w.called(), 4)
		require.Equal(t, 4, count(w.told(), "succeeded"))
		require.Less(t, time.Since(begin), 30*time.Second)
	})
}

func TestFailuresOfOthersAreRetryable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		e := w.stopped("a", nil)
		h := w.handler(t)
		w.failState = errors.New("daemon is away")
		_, err := deliver(t.Context(), h, e)
		require.ErrorContains(t, err, "daemon is away")
		require.Empty(t, w.told())
		w.failState, w.refuse = nil, errors.New("stream is full")
		_, err = deliver(t.Context(), h, e)
		require.ErrorContains(t, err, "stream is full")
		require.Empty(t, w.called(), "the claim is told before anything is done")
		w.refuse = nil
		finish(t, h, e)
		require.Equal(t, []string{"requested", "started", "succeeded"}, w.told())

		w.values[bucketKey(Act, &e)] = []byte("{")
		_, err = deliver(t.Context(), h, e)
		require.ErrorContains(t, err, "read restart ledger entry")
	})
}

func TestTheCounterHasEveryEvent(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := newMetrics("healer", reg)
	require.NoError(t, err)
	again, err := newMetrics("healer", reg)
	require.NoError(t, err)
	require.Equal(t, m, again)
	require.Equal(t, 6, testutil.CollectAndCount(m.actions))
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	cfg := DefaultConfig()
	_, err := New(cfg, Deps{Name: "healer"})
	require.ErrorContains(t, err, "publisher and a ledger")
	cfg.Mode = "on"
	_, err = New(cfg, Deps{})
	require.ErrorContains(t, err, "mode")
	cfg.Mode = Off
	h, err := New(cfg, Deps{})
	require.NoError(t, err)
	require.NoError(t, h.Send(context.Background(), sinktest.Events()))
	require.NoError(t, h.Close())
}

func TestActionEventsAreTheSameHoweverOftenTheyAreTold(t *testing.T) {
	e := newWorld().stopped("a", nil)
	a := Attempt{Trigger: e.ID, Kind: Start, Claimed: e.Time, Tried: e.Time.Add(time.Second), Tries: 1, Ended: e.Time.Add(2 * time.Second)}
	var ids []string
	for _, typ := range []event.Type{event.ActionRequested, event.ActionStarted, event.ActionSucceeded, event.ActionFailed, event.ActionDenied, event.ActionGaveUp} {
		first := actionEvent("healer", Act, &e, &a, typ, time.Now())
		second := actionEvent("healer", Act, &e, &a, typ, time.Now().Add(time.Hour))
		require.Equal(t, first.ID, second.ID)
		require.Equal(t, first.Time, second.Time)
		require.NotContains(t, ids, first.ID)
		ids = append(ids, first.ID)
	}
	retried := a
	retried.Tries = 2
	require.NotContains(t, ids, actionEvent("healer", Act, &e, &retried, event.ActionStarted, time.Now()).ID)
}
