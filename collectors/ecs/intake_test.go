package ecs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func words(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("t%d/%d", i, 1)
	}
	return out
}

func TestMessageIsDeletedOnceItIsOnTheStream(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.send(words(35)...)
		r.send("note")
		r.start()
		after(time.Second)
		r.send("t1/1")
		after(time.Second)
		assert.Len(t, r.stream.Events(), 36)
		assert.Zero(t, r.queue.Len())
		assert.True(t, r.reporter.Last().Connected)
		assert.Equal(t, "Amazon ECS eu-west-1 of 123456789012", r.reporter.Last().Engine)
		assert.InDelta(t, 37, r.value("received_messages_total"), 0)
		assert.InDelta(t, 36, r.value("published_events_total"), 0)
		assert.InDelta(t, 1, r.value("duplicate_messages_total"), 0)
		assert.Zero(t, r.value("held_messages"))
		after(10 * time.Second)
		r.send("late/1")
		after(0)
		assert.Len(t, r.stream.Events(), 37, "a long poll is open")
		assert.Nil(t, r.restored.Load(), "nothing was restored")
	})
}

func TestOldestMessageIsMeasuredByOurClock(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.send("a/1")
		after(90 * time.Second)
		r.machine.before = func(ctx context.Context, _ *fact) error { <-time.After(time.Second); return ctx.Err() }
		r.start()
		after(0)
		assert.InDelta(t, 90, r.value("oldest_message_seconds"), 1)
		assert.InDelta(t, 1, r.value("held_messages"), 0)
		after(25 * time.Second)
		assert.Zero(t, r.value("oldest_message_seconds"), "the queue is empty")
		r.stream.Refuse(true)
		r.send("b/1")
		after(100 * time.Second)
		assert.InDelta(t, 85, r.value("oldest_message_seconds"), 15, "it ages while the gate is closed")
	})
}

// While the stream takes nothing, no message is received again and again, so the redrive policy of five
// receives moves none.
func TestGateKeepsGoodMessagesOutOfTheDeadLetterQueue(t *testing.T) {
	for _, away := range []time.Duration{60 * time.Second, time.Hour, 13 * time.Hour} {
		t.Run(away.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.stream.Refuse(true)
				r.send(words(200)...)
				r.start()
				after(7 * time.Second)
				assert.InDelta(t, 1, r.value("gate_closed"), 0)
				assert.False(t, r.reporter.Last().Connected)
				require.ErrorContains(t, r.reporter.Last().Err, "the stream takes no events: no acknowledgement within 5s")
				calls := r.aws.Count("sqs:ReceiveMessage")
				after(away - 7*time.Second)
				assert.LessOrEqual(t, r.aws.Count("sqs:ReceiveMessage")-calls, 4, "who was in a long poll comes back once")
				assert.LessOrEqual(t, r.queue.InFlight(), 1)

				r.stream.Refuse(false)
				after(40 * time.Second)
				assert.Len(t, r.stream.Events(), 200)
				assert.Zero(t, r.queue.Len())
				assert.Zero(t, r.dead.Sent())
				assert.LessOrEqual(t, r.queue.MostReceived(), 3)
				assert.Zero(t, r.value("gate_closed"))
				assert.True(t, r.reporter.Last().Connected)
				assert.GreaterOrEqual(t, r.value("publish_refusals_total"), 1.0)
				gap := r.restored.Load()
				require.NotNil(t, gap)
				assert.InDelta(t, away.Seconds(), gap.To.Sub(gap.From).Seconds(), 45)
				assert.Contains(t, gap.Reason, "the stream takes no events")
			})
		})
	}
}

func TestBucketThatIsAwayClosesTheGate(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.machine.before = func(ctx context.Context, _ *fact) error {
			_, _, err := r.bucket.Get(ctx, "task")
			return err
		}
		r.bucket.away.Store(true)
		r.send(words(50)...)
		r.start()
		after(10 * time.Minute)
		assert.ErrorContains(t, r.reporter.Last().Err, "the bucket of versions does not answer: no responders")
		assert.LessOrEqual(t, r.queue.MostReceived(), 2)
		r.bucket.away.Store(false)
		after(time.Minute)
		assert.Len(t, r.stream.Events(), 50)
		assert.Zero(t, r.dead.Sent())
	})
}

// A message that fails by itself must not stop the others.
func TestOneBadMessageDoesNotCloseTheGate(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.machine.before = func(_ context.Context, f *fact) error {
			if f.event.Data.Task.ID == "t7" {
				return errors.New("a defect")
			}
			return nil
		}
		r.send(words(20)...)
		r.start()
		after(time.Second)
		assert.Len(t, r.stream.Events(), 19)
		assert.Zero(t, r.value("gate_closed"))
		assert.True(t, r.reporter.Last().Connected)
		after(time.Hour)
		assert.Equal(t, 1, r.dead.Sent(), "in the end the redrive policy has it")
		assert.InDelta(t, maxReceives, r.value("message_failures_total"), 0)
	})
}

func TestPoisonIsQuarantinedAndDeleted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.send("bad", "bare", "odd", "good/1", "bad/"+strings.Repeat("x", 300<<10)+` password=hunter2hunter2`)
		r.start()
		after(time.Second)
		assert.Zero(t, r.queue.Len())
		assert.Len(t, r.stream.Events(), 1)
		classes := map[string]int{}
		for id, l := range r.letters.all() {
			classes[l.Class]++
			assert.Equal(t, id, l.ID)
			assert.Equal(t, "ecs", l.Collector)
			assert.Equal(t, r.queue.URL, l.Source)
			assert.LessOrEqual(t, len(l.Body), maxBody+64)
			assert.NotContains(t, string(l.Body), "hunter2")
		}
		assert.Equal(t, map[string]int{"undecodable": 2, "transformed": 1, "invalid": 1}, classes)
		assert.InDelta(t, 4, r.value("poison_messages_total"), 0)
		assert.InDelta(t, 2, r.value("poison_messages_total", "undecodable"), 0)
		assert.Zero(t, r.value("gate_closed"))
	})
}

func TestQuarantineThatRefusesLosesNoPoison(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.letters.refuse(errors.New("no space"))
		r.send("bad")
		r.start()
		after(time.Minute)
		assert.InDelta(t, 1, r.value("gate_closed"), 0)
		assert.ErrorContains(t, r.reporter.Last().Err, "no space")
		assert.Equal(t, 1, r.queue.Len())
		r.letters.refuse(nil)
		after(time.Minute)
		assert.Zero(t, r.queue.Len())
		assert.Zero(t, r.dead.Len())
		assert.Len(t, r.letters.all(), 1)
		assert.InDelta(t, 1, r.value("poison_messages_total"), 0)
	})
}

func TestHeartbeatKeepsASlowMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.machine.before = func(ctx context.Context, _ *fact) error {
			select {
			case <-time.After(100 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r.send("slow/1", "slow2/1")
		r.start()
		after(101 * time.Second)
		assert.Len(t, r.stream.Events(), 2)
		assert.Zero(t, r.queue.Len())
		assert.Equal(t, 1, r.queue.MostReceived())
		assert.InDelta(t, 6, r.value("extended_messages_total"), 0)
	})
}

func TestOneTaskInOrderAndNotesFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var mu sync.Mutex
		var order []string
		r.machine.before = func(_ context.Context, f *fact) error {
			mu.Lock()
			defer mu.Unlock()
			if f.note != nil {
				order = append(order, "note")
			} else {
				order = append(order, fmt.Sprint(f.task.Version))
			}
			return nil
		}
		r.send("t/3", "t/1", "note", "t/2")
		r.start()
		after(time.Second)
		assert.Equal(t, []string{"note", "1", "2", "3"}, order)
	})
}

func TestEndWithABatchInHand(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		started := make(chan struct{}, 10)
		r.machine.before = func(ctx context.Context, f *fact) error {
			started <- struct{}{}
			wait := 3 * time.Second
			if f.event.Data.Task.ID == "stuck" {
				wait = time.Hour
			}
			select {
			case <-time.After(wait):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r.send("a/1", "b/1", "stuck/1")
		r.start()
		<-started
		begun := time.Now()
		r.end()
		assert.Equal(t, finishBound, time.Since(begun))
		assert.Len(t, r.stream.Events(), 2, "what was in hand is finished")
		assert.Equal(t, 1, r.queue.Visible(), "the rest can be received at once by another")
		assert.Zero(t, r.value("held_messages"))
	})
}

func TestEndWhileTheGateIsClosed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.stream.Refuse(true)
		r.send(words(30)...)
		r.start()
		after(20 * time.Second)
		begun := time.Now()
		r.end()
		assert.LessOrEqual(t, time.Since(begun), finishBound)
		after(2 * time.Second)
		assert.Equal(t, 30, r.queue.Visible())
	})
}

func TestDeletesThatFailMakeDuplicates(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var n atomic.Int64
		// Every third entry is refused: here the batch is done for the others, and the answer says so.
		r.trouble.on("DeleteMessageBatch", func(w http.ResponseWriter, req *http.Request) bool {
			if n.Add(1) > 2 {
				return false
			}
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			_, _ = io.WriteString(w, `{"Successful":[],"Failed":[{"Id":"0","SenderFault":false,"Code":"InternalError","Message":"try again"}]}`)
			return true
		})
		r.send(words(20)...)
		r.start()
		after(2 * time.Minute)
		assert.Len(t, r.stream.Events(), 20)
		assert.Zero(t, r.queue.Len())
		assert.InDelta(t, 20, r.value("delete_failures_total"), 0)
		assert.InDelta(t, 20, r.value("duplicate_messages_total"), 0)
	})
}

func TestRefusedReceivesAreToldAndPass(t *testing.T) {
	for _, c := range []struct {
		status            int
		code, reason      string
		says, doesNotTell string
	}{
		{403, "AccessDenied", reasonDenied, "allow sqs:ReceiveMessage on queue events", ""},
		{403, "ExpiredToken", reasonCredentials, "whether they have expired", "hunter2"},
		{403, "InvalidClientTokenId", reasonCredentials, "refuses the credentials", "hunter2"},
		{403, "RequestExpired", reasonClock, "set this machine's clock", "hunter2"},
		{400, "KmsAccessDenied", reasonKey, "allow kms:Decrypt", ""},
		{400, "KMS.DisabledException", reasonKey, "check that the key is enabled", ""},
		{400, "QueueDoesNotExist", reasonNoQueue, "check queue_url", ""},
		{400, "KmsThrottled", reasonThrottled, "KmsThrottled", ""},
		{403, "OverLimit", reasonThrottled, "OverLimit", ""},
		{503, "ServiceUnavailable", reasonServer, "ServiceUnavailable", ""},
		{400, "UnsupportedOperation", reasonOther, "UnsupportedOperation", ""},
	} {
		t.Run(c.code, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.start()
				after(30 * time.Second)
				require.True(t, r.reporter.Last().Connected)
				r.trouble.on("ReceiveMessage", refuse(c.status, c.code, "secret=hunter2hunter2"))
				r.send("a/1")
				after(2 * time.Minute)
				last := r.reporter.Last()
				require.False(t, last.Connected)
				require.ErrorContains(t, last.Err, c.says)
				require.ErrorContains(t, last.Err, "sqs:ReceiveMessage of queue events: ")
				assert.NotContains(t, last.Err.Error(), "hunter2hunter2")
				assert.Positive(t, r.value("receive_errors_total", c.reason))
				assert.InDelta(t, r.value("receive_errors_total"), r.value("receive_errors_total", c.reason), 0)
				r.trouble.on("ReceiveMessage", nil)
				after(30 * time.Second)
				assert.True(t, r.reporter.Last().Connected)
				assert.Len(t, r.stream.Events(), 1)
				assert.InDelta(t, 125, r.restored.Load().To.Sub(r.restored.Load().From).Seconds(), 45)
			})
		})
	}
}

func TestQueueDeletedAndMadeAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.send("a/1")
		r.start()
		after(time.Second)
		r.queue.Delete()
		after(time.Minute)
		require.ErrorContains(t, r.reporter.Last().Err, "check queue_url, and that the queue was not deleted")
		after(time.Minute)
		again := r.aws.CreateQueue("events", nil)
		again.Send("b/1")
		after(time.Minute)
		assert.True(t, r.reporter.Last().Connected)
		assert.Len(t, r.stream.Events(), 2)
	})
}

// One lost connection in the middle of a day is not blindness.
func TestOneFailedReceiveIsNotBlindness(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.start()
		after(time.Second)
		var once atomic.Bool
		r.trouble.on("ReceiveMessage", func(w http.ResponseWriter, req *http.Request) bool {
			return once.CompareAndSwap(false, true) && refuse(503, "ServiceUnavailable", "")(w, req)
		})
		after(time.Minute)
		assert.True(t, once.Load())
		assert.True(t, r.reporter.Last().Connected)
		assert.Nil(t, r.restored.Load())
	})
}

func TestGateTurns(t *testing.T) {
	t.Parallel()
	g := newGate()
	require.NoError(t, g.pass(t.Context()))
	closing := g.closing()
	assert.True(t, g.shut())
	assert.False(t, g.shut(), "one has to open it")
	<-closing
	<-g.closing()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.pass(ctx), context.Canceled)
	passed := make(chan error)
	go func() { passed <- g.pass(t.Context()) }()
	g.open()
	require.NoError(t, <-passed)
}

func TestSafeBody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"command":["a","b"],"x":1}`:                                         `{"command":[[redacted]],"x":1}`,
		`{"environment": [{"name":"K","value":"v]\"]"}],"y":["k"]}`:           `{"environment": [[redacted]],"y":["k"]}`,
		`{"environment":[{"name":"K","value":"v\\"},[1]],"y":2`:               `{"environment":[[redacted]],"y":2`,
		`{"Message":"{\"environment\":[{\"value\":\"a\\\"]\"}],\"y\":2}"}`:    `{"Message":"{\"environment\":[[redacted]],\"y\":2}"}`,
		`{"environment":[{"name":"K","val`:                                    `{"environment":[[redacted]`,
		`command: none, {"command":[ "x" ], "command":["y"]}`:                 `command: none, {"command":[[redacted]], "command":[[redacted]]}`,
		"line one\nAWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLE": "line one\nAWS_SECRET_ACCESS_KEY=[redacted]",
	} {
		assert.Equal(t, want, string(safeBody(body)))
	}
	long := string(safeBody(strings.Repeat("é", 200<<10)))
	assert.True(t, strings.HasSuffix(long, "…(cut, 409600 bytes)"), long[len(long)-40:])
	assert.Less(t, len(long), maxBody+64)
}

func TestRefusalsOfTheNetwork(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := http.Get(server.URL) //nolint:noctx // it fails
	r := refused("sqs:ReceiveMessage", "queue events", fmt.Errorf("operation error, RequestID 1: %w", err))
	assert.Equal(t, reasonNetwork, r.reason)
	assert.NotContains(t, r.Error(), "RequestID")
	assert.Contains(t, r.Error(), "connection refused")
	assert.False(t, r.definite())
	r = refused("sqs:ReceiveMessage", "queue events", fmt.Errorf("x: %w", context.DeadlineExceeded))
	assert.Equal(t, "sqs:ReceiveMessage of queue events: no answer in time", r.Error())
	require.ErrorIs(t, r, context.DeadlineExceeded)
	invalid := fmt.Errorf("%w: x", event.ErrInvalid)
	class, _ := poisonOf(invalid)
	assert.Equal(t, classUndecodable, class)
}
