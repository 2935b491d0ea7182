package awsfake

import (
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

var entryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// checkEntries holds the ids of a batch against the rules of all batches.
func checkEntries[E any](entries []E, id func(*E) *string) error {
	if len(entries) == 0 {
		return refuse("EmptyBatchRequest", "There should be at least one entry in the request.")
	}
	if len(entries) > 10 {
		return refuse("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent %d.", len(entries))
	}
	seen := map[string]bool{}
	for i := range entries {
		name := id(&entries[i])
		switch {
		case name == nil || !entryID.MatchString(*name):
			return refuse("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		case seen[*name]:
			return refuse("BatchEntryIdsNotDistinct", "Id %s repeated.", *name)
		}
		seen[*name] = true
	}
	return nil
}

// failed is an entry's error.
func failed(id *string, err error) types.BatchResultErrorEntry {
	said := &refusal{code: "InternalError", message: err.Error()}
	errors.As(err, &said)
	code := QueryCode(said.code)
	return types.BatchResultErrorEntry{Id: id, Code: &code, Message: &said.message, SenderFault: true}
}

func (a *AWS) sqsSend(_ context.Context, in *sqs.SendMessageInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	m, err := q.post(in.MessageBody, in.MessageAttributes, in.DelaySeconds)
	if err != nil {
		return nil, err
	}
	return &sqs.SendMessageOutput{MessageId: &m.id, MD5OfMessageBody: &m.sum}, nil
}

func (a *AWS) sqsSendBatch(_ context.Context, in *sqs.SendMessageBatchInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := checkEntries(in.Entries, func(e *types.SendMessageBatchRequestEntry) *string { return e.Id }); err != nil {
		return nil, err
	}
	total := 0
	for _, e := range in.Entries {
		if e.MessageBody != nil {
			total += len(*e.MessageBody) + sizeOf(e.MessageAttributes)
		}
	}
	if total > 1<<20 {
		return nil, refuse("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", 1<<20, total)
	}
	out := &sqs.SendMessageBatchOutput{Successful: []types.SendMessageBatchResultEntry{}, Failed: []types.BatchResultErrorEntry{}}
	for _, e := range in.Entries {
		m, err := q.post(e.MessageBody, e.MessageAttributes, e.DelaySeconds)
		if err != nil {
			out.Failed = append(out.Failed, failed(e.Id, err))
			continue
		}
		out.Successful = append(out.Successful, types.SendMessageBatchResultEntry{Id: e.Id, MessageId: &m.id, MD5OfMessageBody: &m.sum})
	}
	return out, nil
}

// post checks and takes a message.
func (q *Queue) post(body *string, attributes map[string]types.MessageAttributeValue, delay int32) (*message, error) {
	q.mu.Lock()
	limit, wait := q.maxSize, q.delay
	q.mu.Unlock()
	switch {
	case body == nil || *body == "":
		return nil, refuse("MissingParameter", "The request must contain the parameter MessageBody.")
	case len(*body)+sizeOf(attributes) > limit:
		return nil, refuse("InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", limit)
	case !legal(*body):
		return nil, refuse("InvalidMessageContents", "Invalid characters found.")
	case len(attributes) > 10:
		return nil, refuse("InvalidParameterValue", "Number of message attributes [%d] exceeds the allowed maximum [10].", len(attributes))
	case delay < 0 || delay > 900:
		return nil, refuse("InvalidParameterValue", "Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", delay)
	}
	for name, value := range attributes {
		if value.DataType == nil || *value.DataType == "" || value.StringValue != nil && *value.StringValue == "" {
			return nil, refuse("InvalidParameterValue", "The message attribute '%s' must contain a non-empty value and a type.", name)
		}
	}
	if delay > 0 {
		wait = time.Duration(delay) * time.Second
	}
	m := &message{body: *body, sum: sumOf(*body), attributes: attributes}
	q.add(m, wait)
	return m, nil
}

func sizeOf(attributes map[string]types.MessageAttributeValue) int {
	n := 0
	for name, value := range attributes {
		n += len(name) + len(value.BinaryValue)
		for _, s := range []*string{value.DataType, value.StringValue} {
			if s != nil {
				n += len(*s)
			}
		}
	}
	return n
}
