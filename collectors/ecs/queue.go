package ecs

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// queueAPI is what the intake asks SQS for; *sqs.Client is one.
type queueAPI interface {
	ReceiveMessage(ctx context.Context, in *sqs.ReceiveMessageInput, o ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(ctx context.Context, in *sqs.DeleteMessageBatchInput, o ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibilityBatch(ctx context.Context, in *sqs.ChangeMessageVisibilityBatchInput, o ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error)
}

const (
	batchSize = 10 // the most that SQS takes or gives at a time
	// longPoll is the longest that SQS waits for a message.
	longPoll = 20 * time.Second
	// shortPoll is for an answer soon. 0 would not be sent at all, and mean the queue's own time.
	shortPoll = time.Second
	// visibility is how long a received message is nobody else's; it is extended at half of that.
	visibility = 60 * time.Second
	// callBound bounds one call with all its tries.
	callBound = 15 * time.Second
)

// message is one received message, until it is deleted or given back.
type message struct {
	id, receipt, body string
	sent              time.Time // by SQS's clock
	// receives is how often it was received, this time included.
	receives int
	// fact is what it tells; if nothing, letter says why.
	fact   *fact
	letter *Letter
	// told counts the events that the stream acknowledged; outcome and why are how that ended.
	told    int
	outcome outcome
	why     error
}

// queue is one SQS queue.
type queue struct {
	api     queueAPI
	url     string
	name    string // in errors: "queue events"
	metrics *intakeMetrics

	mu   sync.Mutex // guards held
	held map[*message]struct{}
}

// inHand notes what was taken and what was let go, and shows how much is held and how old the oldest of it is
// by our clock.
func (q *queue) inHand(taken, gone []*message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held == nil {
		q.held = map[*message]struct{}{}
	}
	for _, m := range taken {
		q.held[m] = struct{}{}
	}
	for _, m := range gone {
		delete(q.held, m)
	}
	oldest := time.Duration(0)
	for m := range q.held {
		oldest = max(oldest, time.Since(m.sent))
	}
	q.metrics.held.Set(float64(len(q.held)))
	q.metrics.oldest.Set(oldest.Seconds())
}

// receive returns up to ten messages, or none after wait. It tries once, without the client's own retries: the
// poll loop waits and tells.
func (q *queue) receive(ctx context.Context, wait time.Duration) ([]*message, error) {
	answer, err := q.api.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &q.url, MaxNumberOfMessages: batchSize,
		WaitTimeSeconds: seconds(wait), VisibilityTimeout: seconds(visibility),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{
			types.MessageSystemAttributeNameSentTimestamp, types.MessageSystemAttributeNameApproximateReceiveCount,
		},
	}, tryOnce)
	if err != nil {
		r := refused("sqs:ReceiveMessage", q.name, err)
		if ctx.Err() == nil {
			q.metrics.receiveFailed(r.reason)
		}
		return nil, r
	}
	messages := messagesOf(answer.Messages)
	q.metrics.received.Add(float64(len(messages)))
	q.inHand(messages, nil)
	return messages, nil
}

func tryOnce(o *sqs.Options) { o.Retryer = aws.NopRetryer{} }

func messagesOf(answer []types.Message) []*message {
	out := make([]*message, 0, len(answer))
	for i := range answer {
		m := &answer[i]
		// Attributes of SQS are text; one that is missing or odd is worth no message.
		sent, err := strconv.ParseInt(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64)
		if err != nil {
			sent = time.Now().UnixMilli()
		}
		receives, _ := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
		out = append(out, &message{
			id: aws.ToString(m.MessageId), receipt: aws.ToString(m.ReceiptHandle), body: aws.ToString(m.Body),
			sent: time.UnixMilli(sent), receives: receives,
		})
	}
	return out
}

// remove deletes settled messages and returns why that did not work, if for any. Those come again and tell
// nothing new.
func (q *queue) remove(ctx context.Context, settled []*message) error {
	if len(settled) == 0 {
		return nil
	}
	defer q.inHand(nil, settled)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callBound)
	defer cancel()
	entries := make([]types.DeleteMessageBatchRequestEntry, len(settled))
	for i, m := range settled {
		entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &m.receipt}
	}
	answer, err := q.api.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: entries})
	if err != nil {
		q.metrics.undeleted.Add(float64(len(settled)))
		return refused("sqs:DeleteMessage", q.name, err)
	}
	// An entry in neither list of the answer was not deleted either.
	if left := len(settled) - len(answer.Successful); left > 0 {
		q.metrics.undeleted.Add(float64(left))
		return partial("sqs:DeleteMessage", q.name, left, len(settled), answer.Failed)
	}
	return nil
}

// hide makes messages invisible for so long from now on; what it costs if that fails is another receive.
func (q *queue) hide(ctx context.Context, messages []*message, d time.Duration) error {
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callBound)
	defer cancel()
	entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(messages))
	for i, m := range messages {
		entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &m.receipt, VisibilityTimeout: seconds(d),
		}
	}
	answer, err := q.api.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.url, Entries: entries})
	if err != nil {
		return refused("sqs:ChangeMessageVisibility", q.name, err)
	}
	if left := len(messages) - len(answer.Successful); left > 0 {
		return partial("sqs:ChangeMessageVisibility", q.name, left, len(messages), answer.Failed)
	}
	return nil
}

func seconds(d time.Duration) int32 { return int32(d / time.Second) }
