package awsfake

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// receive waits for messages, for wait or what the queue says, and hides them for timeout or what the queue says.
func (q *Queue) receive(ctx context.Context, n int, wait, timeout time.Duration) ([]message, error) {
	q.mu.Lock()
	wait, timeout = cmp.Or(wait, q.wait), cmp.Or(timeout, q.visibility)
	q.mu.Unlock()
	end := time.NewTimer(wait)
	defer end.Stop()
	for over := wait == 0; ; {
		got, news, err := q.look(n, timeout, wait > 0)
		if err != nil || len(got) > 0 || over {
			return got, err
		}
		if over, err = q.await(ctx, news, end); err != nil {
			return nil, err // nobody is there to receive
		}
	}
}

// look takes what is there, as copies; news is closed when there may be more.
func (q *Queue) look(n int, timeout time.Duration, long bool) (got []message, news <-chan struct{}, err error) {
	now := q.aws.Now()
	q.mu.Lock()
	full := len(q.hidden)-q.delayed >= q.aws.o.InFlight
	switch {
	case q.gone:
		err = refuse("QueueDoesNotExist", "The specified queue does not exist.")
	case full && !long: // A long poll is not refused, it gets nothing.
		err = &refusal{status: 403, code: "OverLimit", message: "The maximum number of in flight messages is reached."}
	}
	var dead []*message
	if err == nil && !full {
		var taken []*message
		taken, dead = q.take(n, now, timeout)
		for _, m := range taken {
			got = append(got, *m)
		}
	}
	news = q.news
	deadARN := q.deadARN
	q.mu.Unlock()
	for _, m := range dead {
		q.aws.bury(m, q.ARN, deadARN)
	}
	return got, news, err
}

// await waits for news, for a hidden message to become visible or for the end, when it returns true.
func (q *Queue) await(ctx context.Context, news <-chan struct{}, end *time.Timer) (over bool, err error) {
	next := time.NewTimer(time.Hour)
	defer next.Stop()
	q.mu.Lock()
	if len(q.hidden) > 0 {
		next.Reset(max(q.hidden[0].visible.Sub(q.aws.Now()), 0))
	}
	q.mu.Unlock()
	select {
	case <-news:
		return false, nil
	case <-next.C:
		return false, nil
	case <-end.C:
		return true, nil
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// bury moves a message to the dead-letter queue, or loses it if there is none.
func (a *AWS) bury(m *message, from, to string) {
	a.mu.Lock()
	dead := a.queues[to[strings.LastIndex(to, ":")+1:]]
	a.mu.Unlock()
	if dead == nil {
		return
	}
	m.from, m.receives, m.first = from, 0, time.Time{}
	dead.add(m, 0)
}

// shown is what a receiver is told of its messages: the attributes that it asked for.
func (q *Queue) shown(got []message, in *sqs.ReceiveMessageInput) []types.Message {
	asked := in.MessageSystemAttributeNames
	for _, old := range in.AttributeNames { //nolint:staticcheck // Callers may still ask by the old name.
		asked = append(asked, types.MessageSystemAttributeName(old))
	}
	wanted := func(name types.MessageSystemAttributeName) bool {
		return slices.Contains(asked, "All") || slices.Contains(asked, name)
	}
	var out []types.Message
	for i := range got {
		m := &got[i]
		all := map[types.MessageSystemAttributeName]string{
			"ApproximateReceiveCount":          strconv.Itoa(m.receives),
			"SentTimestamp":                    strconv.FormatInt(m.sent.UnixMilli(), 10),
			"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.first.UnixMilli(), 10),
			"SenderId":                         "AIDAEXAMPLE",
		}
		if m.from != "" {
			all["DeadLetterQueueSourceArn"] = m.from
		}
		told := map[string]string{}
		for name, value := range all {
			if wanted(name) {
				told[string(name)] = value
			}
		}
		out = append(out, types.Message{
			MessageId: &m.id, Body: &m.body, MD5OfBody: &m.sum, ReceiptHandle: m.handle(q.name),
			Attributes: told, MessageAttributes: m.asked(in.MessageAttributeNames),
		})
	}
	return out
}

// asked are the message attributes that a receiver named, by name, "prefix.*" or "All".
func (m *message) asked(names []string) map[string]types.MessageAttributeValue {
	told := map[string]types.MessageAttributeValue{}
	for name, value := range m.attributes {
		if slices.ContainsFunc(names, func(n string) bool {
			prefix, wild := strings.CutSuffix(n, ".*")
			return n == "All" || n == ".*" || n == name || wild && strings.HasPrefix(name, prefix+".")
		}) {
			told[name] = value
		}
	}
	return told
}
