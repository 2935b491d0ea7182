package awsprobe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// queue makes a queue.
func (s *Session) queue(ctx context.Context, attributes map[string]string) (url string, err error) {
	out, err := s.SQS.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(s.name()), Attributes: attributes})
	if err != nil {
		return "", fmt.Errorf("create queue: %w", err)
	}
	s.later(func(ctx context.Context) {
		_, _ = s.SQS.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: out.QueueUrl})
	})
	return *out.QueueUrl, nil
}

// filled makes a queue with messages.
func (s *Session) filled(ctx context.Context, attributes map[string]string, bodies ...string) (url string, err error) {
	url, err = s.queue(ctx, attributes)
	for _, body := range bodies {
		if err == nil {
			_, err = s.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(body)})
		}
	}
	return url, err
}

// receive takes messages until there are n, for some seconds.
func (s *Session) receive(ctx context.Context, url string, n int) ([]types.Message, error) {
	var all []types.Message
	for end := time.Now().Add(3 * time.Second); len(all) < n && time.Now().Before(end); {
		out, err := s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}, MessageAttributeNames: []string{"All"},
		})
		if err != nil {
			return nil, err
		}
		all = append(all, out.Messages...)
	}
	return all, same("messages", len(all), n)
}

// none fails when there is something to receive now.
func (s *Session) none(ctx context.Context, url string) error {
	out, err := s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10})
	if err != nil {
		return err
	}
	return same("messages", len(out.Messages), 0)
}

func (s *Session) show(ctx context.Context, url string, handle *string, seconds int32) error {
	_, err := s.SQS.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: handle, VisibilityTimeout: seconds})
	return err
}

func (s *Session) remove(ctx context.Context, url string, handle *string) error {
	_, err := s.SQS.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: handle})
	return err
}

func messageChecks() []Check {
	return []Check{
		{"sqs: a message tells how often it was received and when it was sent", messageTells},
		{"sqs: attributes come only to who asks", attributesOnRequest},
		{"sqs: a received message is hidden and comes again with another handle", redelivered},
		{"sqs: an earlier receive's handle deletes nothing", oldHandle},
		{"sqs: deleting again is no error", deletedAgain},
		{"sqs: a made-up handle is refused", madeUpHandle},
		{"sqs: visibility 0 shows a message at once", shownAtOnce},
		{"sqs: visibility can be extended", extended},
		{"sqs: the visibility of a visible message can't be changed", notInFlight},
		{"sqs: a long poll wakes on arrival", longPollWakes},
		{"sqs: a long poll of an empty queue waits", longPollWaits},
		{"sqs: a delayed message comes later", delayed},
	}
}

func messageTells(ctx context.Context, s *Session) error {
	began := time.Now().Add(-time.Minute)
	url, err := s.filled(ctx, nil, "one")
	if err != nil {
		return err
	}
	got, err := s.receive(ctx, url, 1)
	if err != nil {
		return err
	}
	sent, err := strconv.ParseInt(got[0].Attributes["SentTimestamp"], 10, 64)
	if err != nil || time.UnixMilli(sent).Before(began) {
		return fmt.Errorf("SentTimestamp %q", got[0].Attributes["SentTimestamp"])
	}
	return errors.Join(same("count", got[0].Attributes["ApproximateReceiveCount"], "1"), same("body", *got[0].Body, "one"))
}

func attributesOnRequest(ctx context.Context, s *Session) error {
	url, err := s.filled(ctx, nil, "one")
	if err != nil {
		return err
	}
	out, err := s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 1})
	if err != nil || len(out.Messages) != 1 {
		return fmt.Errorf("no message: %w", err)
	}
	return same("attributes", len(out.Messages[0].Attributes), 0)
}

// twice receives a message two times.
func (s *Session) twice(ctx context.Context) (url string, first, second types.Message, err error) {
	url, err = s.filled(ctx, map[string]string{"VisibilityTimeout": "1"}, "one")
	if err != nil {
		return "", first, second, err
	}
	got, err := s.receive(ctx, url, 1)
	if err != nil {
		return "", first, second, err
	}
	if err := s.none(ctx, url); err != nil {
		return "", first, second, err
	}
	again, err := s.receive(ctx, url, 1)
	if err != nil {
		return "", first, second, err
	}
	return url, got[0], again[0], nil
}

func redelivered(ctx context.Context, s *Session) error {
	_, first, second, err := s.twice(ctx)
	if err != nil {
		return err
	}
	if *first.ReceiptHandle == *second.ReceiptHandle {
		return errors.New("the same handle")
	}
	return same("count", second.Attributes["ApproximateReceiveCount"], "2")
}

func oldHandle(ctx context.Context, s *Session) error {
	url, first, second, err := s.twice(ctx)
	if err != nil {
		return err
	}
	if err := s.remove(ctx, url, first.ReceiptHandle); err != nil {
		return err
	}
	if err := s.show(ctx, url, second.ReceiptHandle, 0); err != nil {
		return err
	}
	_, err = s.receive(ctx, url, 1)
	return err
}

func deletedAgain(ctx context.Context, s *Session) error {
	url, err := s.filled(ctx, nil, "one")
	if err != nil {
		return err
	}
	got, err := s.receive(ctx, url, 1)
	if err != nil {
		return err
	}
	return errors.Join(s.remove(ctx, url, got[0].ReceiptHandle), s.remove(ctx, url, got[0].ReceiptHandle))
}

func madeUpHandle(ctx context.Context, s *Session) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	return refused(s.remove(ctx, url, aws.String("made up")), "ReceiptHandleIsInvalid")
}

func shownAtOnce(ctx context.Context, s *Session) error {
	url, err := s.filled(ctx, nil, "one")
	if err != nil {
		return err
	}
	got, err := s.receive(ctx, url, 1)
	if err != nil {
		return err
	}
	if err := s.show(ctx, url, got[0].ReceiptHandle, 0); err != nil {
		return err
	}
	_, err = s.receive(ctx, url, 1)
	return err
}

func extended(ctx context.Context, s *Session) error {
	url, err := s.filled(ctx, map[string]string{"VisibilityTimeout": "1"}, "one")
	if err != nil {
		return err
	}
	got, err := s.receive(ctx, url, 1)
	if err != nil {
		return err
	}
	if err := s.show(ctx, url, got[0].ReceiptHandle, 60); err != nil {
		return err
	}
	out, err := s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 2})
	if err != nil {
		return err
	}
	return same("messages after the first timeout", len(out.Messages), 0)
}

func notInFlight(ctx context.Context, s *Session) error {
	url, err := s.filled(ctx, nil, "one")
	if err != nil {
		return err
	}
	got, err := s.receive(ctx, url, 1)
	if err != nil {
		return err
	}
	if err := s.show(ctx, url, got[0].ReceiptHandle, 0); err != nil {
		return err
	}
	return refused(s.show(ctx, url, got[0].ReceiptHandle, 60), "AWS.SimpleQueueService.MessageNotInflight", "InvalidParameterValue")
}

func longPollWakes(ctx context.Context, s *Session) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	late := time.AfterFunc(500*time.Millisecond, func() {
		_, err := s.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("one")})
		sent <- err
	})
	defer late.Stop()
	began := time.Now()
	out, err := s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 10})
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	if took := time.Since(began); took > 8*time.Second {
		return fmt.Errorf("it took %s", took)
	}
	return same("messages", len(out.Messages), 1)
}

func longPollWaits(ctx context.Context, s *Session) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err = s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 1}); err != nil {
		return err
	}
	if took := time.Since(began); took < 900*time.Millisecond {
		return fmt.Errorf("it took %s", took)
	}
	return nil
}

func delayed(ctx context.Context, s *Session) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := s.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("one"), DelaySeconds: 1}); err != nil {
		return err
	}
	if err := s.none(ctx, url); err != nil {
		return err
	}
	_, err = s.receive(ctx, url, 1)
	return err
}
