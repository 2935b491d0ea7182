package awsprobe

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func batchChecks() []Check {
	return []Check{
		{"sqs: a delete batch has a verdict for each entry", deleteVerdicts},
		{"sqs: a visibility batch has a verdict for each entry", visibilityVerdicts},
		{"sqs: a batch of ten is taken, of eleven refused", batchSize},
		{"sqs: an empty batch is refused", emptyBatch},
		{"sqs: a batch with an id twice is refused", idTwice},
		{"sqs: a send batch above 1 MiB in all is refused", batchTooLong},
	}
}

func deleteVerdicts(ctx context.Context, s *Session) error {
	url, err := s.filled(ctx, nil, "one")
	if err != nil {
		return err
	}
	got, err := s.receive(ctx, url, 1)
	if err != nil {
		return err
	}
	out, err := s.SQS.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: []types.DeleteMessageBatchRequestEntry{
		{Id: aws.String("good"), ReceiptHandle: got[0].ReceiptHandle},
		{Id: aws.String("bad"), ReceiptHandle: aws.String("made up")},
	}})
	if err != nil {
		return err
	}
	if err := errors.Join(same("successful", len(out.Successful), 1), same("failed", len(out.Failed), 1)); err != nil {
		return err
	}
	return errors.Join(same("id", *out.Failed[0].Id, "bad"), same("code", *out.Failed[0].Code, "ReceiptHandleIsInvalid"))
}

func visibilityVerdicts(ctx context.Context, s *Session) error {
	url, err := s.filled(ctx, nil, "one")
	if err != nil {
		return err
	}
	got, err := s.receive(ctx, url, 1)
	if err != nil {
		return err
	}
	out, err := s.SQS.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: []types.ChangeMessageVisibilityBatchRequestEntry{
		{Id: aws.String("good"), ReceiptHandle: got[0].ReceiptHandle, VisibilityTimeout: 60},
		{Id: aws.String("bad"), ReceiptHandle: aws.String("made up"), VisibilityTimeout: 60},
	}})
	if err != nil {
		return err
	}
	return errors.Join(same("successful", len(out.Successful), 1), same("failed", len(out.Failed), 1))
}

// batch sends n messages of some size in one batch.
func (s *Session) batch(ctx context.Context, n, size int, id func(int) string) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	in := &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: []types.SendMessageBatchRequestEntry{}}
	for i := range n {
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(id(i)), MessageBody: aws.String(strings.Repeat("x", size))})
	}
	out, err := s.SQS.SendMessageBatch(ctx, in)
	if err != nil {
		return err
	}
	return same("successful", len(out.Successful), n)
}

func batchSize(ctx context.Context, s *Session) error {
	if err := s.batch(ctx, 10, 1, strconv.Itoa); err != nil {
		return err
	}
	return refused(s.batch(ctx, 11, 1, strconv.Itoa), "AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
}

func emptyBatch(ctx context.Context, s *Session) error {
	return refused(s.batch(ctx, 0, 1, strconv.Itoa), "AWS.SimpleQueueService.EmptyBatchRequest")
}

func idTwice(ctx context.Context, s *Session) error {
	return refused(s.batch(ctx, 2, 1, func(int) string { return "same" }), "AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
}

func batchTooLong(ctx context.Context, s *Session) error {
	return refused(s.batch(ctx, 2, 600<<10, strconv.Itoa), "AWS.SimpleQueueService.BatchRequestTooLong")
}
