package sns

import (
	"context"
	"errors"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/smithy-go"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// maxEntries is how many messages one call may have.
const maxEntries = 10

// errNoResult is the verdict on an entry that the answer does not mention: it counts as not sent.
var errNoResult = errors.New("the answer of SNS says nothing about the message")

// publish sends the messages in order and writes each one's verdict to errs. After a call that failed for
// a reason that holds for the next call, too, the rest is not tried.
func (s *Sink) publish(ctx context.Context, batch []event.Event, out []outgoing, errs []error) {
	for n := 0; len(out) > 0; out = out[n:] {
		n = fitting(out, s.effective().MaxMessageBytes)
		err := s.call(ctx, batch, out[:n], errs)
		if isContent(err) && n > 1 {
			// One bad entry must not hold up the others.
			n, err = s.singly(ctx, batch, out[:n], errs)
		}
		if err != nil && !isContent(err) {
			for _, o := range out[n:] {
				errs[o.index] = err
			}
			return
		}
	}
}

// singly sends each message with a call of its own, until one fails for another reason than its content.
// It returns how many were tried and the last error.
func (s *Sink) singly(ctx context.Context, batch []event.Event, out []outgoing, errs []error) (tried int, err error) {
	for i := range out {
		if err = s.call(ctx, batch, out[i:i+1], errs); err != nil && !isContent(err) {
			return i + 1, err
		}
	}
	return len(out), err
}

// fitting counts the first messages that fit one call: at most ten, and together within the limit.
func fitting(out []outgoing, limit int) int {
	size := 0
	for i := range out {
		size += out[i].size()
		if i == maxEntries || i > 0 && size > limit {
			return i
		}
	}
	return len(out)
}

// call publishes with one request. It returns the error of the call as a whole, which is then the verdict
// of each message, too.
func (s *Sink) call(ctx context.Context, batch []event.Event, out []outgoing, errs []error) error {
	in := &awssns.PublishBatchInput{TopicArn: aws.String(s.cfg.TopicARN)}
	for i := range out {
		in.PublishBatchRequestEntries = append(in.PublishBatchRequestEntries, entry(strconv.Itoa(i), &out[i].message))
	}
	answer, err := s.client.PublishBatch(ctx, in)
	if err != nil {
		err = s.judge(ctx, err)
		for _, o := range out {
			errs[o.index] = err
		}
		return err
	}
	for _, o := range out {
		errs[o.index] = errNoResult
	}
	for _, ok := range answer.Successful {
		if o, found := pick(out, ok.Id); found {
			errs[o.index] = nil
			e := &batch[o.index]
			s.mark(ctx, e.ID, aws.ToString(ok.MessageId))
			s.mark(ctx, e.Data.Supersedes, aws.ToString(ok.MessageId))
		}
	}
	for _, failed := range answer.Failed {
		if o, found := pick(out, failed.Id); found {
			errs[o.index] = s.judge(ctx, &smithy.GenericAPIError{Code: aws.ToString(failed.Code), Message: aws.ToString(failed.Message)})
		}
	}
	return nil
}

func entry(id string, m *message) types.PublishBatchRequestEntry {
	e := types.PublishBatchRequestEntry{Id: &id, Message: &m.body, Subject: &m.subject, MessageAttributes: m.attributes}
	if m.group != "" {
		e.MessageGroupId, e.MessageDeduplicationId = &m.group, &m.dedup
	}
	return e
}

func pick(out []outgoing, id *string) (outgoing, bool) {
	i, err := strconv.Atoi(aws.ToString(id))
	if err != nil || i < 0 || i >= len(out) {
		return outgoing{}, false
	}
	return out[i], true
}

// isContent says whether the call was refused for what is in it, not for the topic it names.
func isContent(err error) bool {
	var permanent *sinks.Permanent
	return errors.As(err, &permanent) && permanent.Reason != reasonNoTopic
}
