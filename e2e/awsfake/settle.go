package awsfake

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

const longestVisibility = 12 * time.Hour

// discard deletes what a handle is for. A handle of an earlier receive, or of a deleted message, is taken
// and has no effect, as documented.
func (q *Queue) discard(handle *string) error {
	if handle == nil {
		return refuse("MissingParameter", "The request must contain the parameter ReceiptHandle.")
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	m, err := q.held(*handle)
	if err != nil {
		return err
	}
	if m != nil {
		q.drop(m)
		q.deleted++
	}
	return nil
}

// extend hides a message for another while, or shows it.
func (q *Queue) extend(handle *string, seconds int32) error {
	if handle == nil {
		return refuse("MissingParameter", "The request must contain the parameter ReceiptHandle.")
	}
	if seconds < 0 || seconds > 43_200 {
		return refuse("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between 0 and 43200.", seconds)
	}
	now, d := q.aws.Now(), time.Duration(seconds)*time.Second
	q.mu.Lock()
	defer q.mu.Unlock()
	q.show(now)
	m, err := q.held(*handle)
	switch {
	case err != nil:
		return err
	case m == nil:
		return refuse("InvalidParameterValue", "Value %s for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.", *handle)
	case m.at < 0:
		return refuse("MessageNotInflight", "The message referred to isn't in flight.")
	case now.Add(d).Sub(m.taken) > longestVisibility:
		return refuse("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds].", seconds)
	}
	q.hide(m, now.Add(d))
	q.tell()
	return nil
}

func (a *AWS) sqsDeleteMessage(_ context.Context, in *sqs.DeleteMessageInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, q.discard(in.ReceiptHandle)
}

func (a *AWS) sqsDeleteBatch(_ context.Context, in *sqs.DeleteMessageBatchInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkEntries(in.Entries, func(e *types.DeleteMessageBatchRequestEntry) *string { return e.Id }); err != nil {
		return nil, err
	}
	out := &sqs.DeleteMessageBatchOutput{Successful: []types.DeleteMessageBatchResultEntry{}, Failed: []types.BatchResultErrorEntry{}}
	for _, e := range in.Entries {
		if err := q.discard(e.ReceiptHandle); err != nil {
			out.Failed = append(out.Failed, failed(e.Id, err))
			continue
		}
		out.Successful = append(out.Successful, types.DeleteMessageBatchResultEntry{Id: e.Id})
	}
	return out, nil
}

func (a *AWS) sqsVisibility(_ context.Context, in *sqs.ChangeMessageVisibilityInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, q.extend(in.ReceiptHandle, in.VisibilityTimeout)
}

func (a *AWS) sqsVisibilityBatch(_ context.Context, in *sqs.ChangeMessageVisibilityBatchInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkEntries(in.Entries, func(e *types.ChangeMessageVisibilityBatchRequestEntry) *string { return e.Id }); err != nil {
		return nil, err
	}
	out := &sqs.ChangeMessageVisibilityBatchOutput{Successful: []types.ChangeMessageVisibilityBatchResultEntry{}, Failed: []types.BatchResultErrorEntry{}}
	for _, e := range in.Entries {
		if err := q.extend(e.ReceiptHandle, e.VisibilityTimeout); err != nil {
			out.Failed = append(out.Failed, failed(e.Id, err))
			continue
		}
		out.Successful = append(out.Successful, types.ChangeMessageVisibilityBatchResultEntry{Id: e.Id})
	}
	return out, nil
}
