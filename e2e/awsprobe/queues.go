package awsprobe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func queueChecks() []Check {
	return []Check{
		{"sqs: a message received too often moves to the dead-letter queue", redriven},
		{"sqs: a moved message tells which queue it comes from", redriveTells},
		{"sqs: policy, redrive, key and retention can be read", attributesRead},
		{"sqs: an unknown attribute is refused", unknownAttribute},
		{"sqs: an attribute out of its range is refused", attributeRange},
		{"sqs: the same name with other attributes is refused", nameTaken},
		{"sqs: depth is counted, visible and in flight", depth},
		{"sqs: purging empties the queue", purged},
		{"sqs: purging again within a minute is refused", purgedAgain},
		{"sqs: a missing queue has a type of its own", missingQueue},
		{"sqs: a queue is not found by the URL of another region", foreignURL},
		{"sqs: a message of 1 MiB is taken", largest},
		{"sqs: a message above 1 MiB is refused", tooLarge},
		{"sqs: control characters are refused", badCharacters},
		{"sqs: limits of a receive", receiveLimits},
	}
}

func (s *Session) arn(ctx context.Context, url string) (string, error) {
	return s.attribute(ctx, url, "QueueArn")
}

func (s *Session) attribute(ctx context.Context, url, name string) (string, error) {
	out, err := s.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeName(name)}})
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return out.Attributes[name], nil
}

// dead makes a queue that moves what was received once to another, lets that happen and returns the message.
func (s *Session) dead(ctx context.Context) (arn string, m types.Message, err error) {
	dead, err := s.queue(ctx, nil)
	if err != nil {
		return "", m, err
	}
	target, err := s.arn(ctx, dead)
	if err != nil {
		return "", m, err
	}
	url, err := s.filled(ctx, map[string]string{"VisibilityTimeout": "0", "RedrivePolicy": `{"deadLetterTargetArn":"` + target + `","maxReceiveCount":"1"}`}, "poison")
	if err != nil {
		return "", m, err
	}
	if _, err := s.receive(ctx, url, 1); err != nil {
		return "", m, err
	}
	if err := s.none(ctx, url); err != nil {
		return "", m, err
	}
	got, err := s.receive(ctx, dead, 1)
	if err != nil {
		return "", m, err
	}
	arn, err = s.arn(ctx, url)
	return arn, got[0], err
}

func redriven(ctx context.Context, s *Session) error {
	_, m, err := s.dead(ctx)
	if err != nil {
		return err
	}
	return same("body", *m.Body, "poison")
}

func redriveTells(ctx context.Context, s *Session) error {
	arn, m, err := s.dead(ctx)
	if err != nil {
		return err
	}
	return same("DeadLetterQueueSourceArn", m.Attributes["DeadLetterQueueSourceArn"], arn)
}

func attributesRead(ctx context.Context, s *Session) error {
	const policy = `{"Version":"2012-10-17","Statement":[{"Sid":"rule","Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}]}`
	url, err := s.queue(ctx, map[string]string{"Policy": policy, "KmsMasterKeyId": "alias/aws/sqs", "MessageRetentionPeriod": "1209600"})
	if err != nil {
		return err
	}
	out, err := s.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		return err
	}
	if !strings.Contains(out.Attributes["Policy"], "events.amazonaws.com") {
		return fmt.Errorf("policy %q", out.Attributes["Policy"])
	}
	return errors.Join(same("retention", out.Attributes["MessageRetentionPeriod"], "1209600"), same("key", out.Attributes["KmsMasterKeyId"], "alias/aws/sqs"))
}

func unknownAttribute(ctx context.Context, s *Session) error {
	_, err := s.queue(ctx, map[string]string{"Retention": "1"})
	return refused(err, "InvalidAttributeName")
}

func attributeRange(ctx context.Context, s *Session) error {
	_, err := s.queue(ctx, map[string]string{"MessageRetentionPeriod": "59"})
	return refused(err, "InvalidAttributeValue")
}

func nameTaken(ctx context.Context, s *Session) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	name := url[strings.LastIndex(url, "/")+1:]
	_, err = s.SQS.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{"VisibilityTimeout": "7"}})
	return refused(err, "QueueAlreadyExists")
}

func depth(ctx context.Context, s *Session) error {
	url, err := s.filled(ctx, nil, "one", "two", "three")
	if err != nil {
		return err
	}
	if _, err := s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 1}); err != nil {
		return err
	}
	visible, err := s.attribute(ctx, url, "ApproximateNumberOfMessages")
	if err != nil {
		return err
	}
	flying, err := s.attribute(ctx, url, "ApproximateNumberOfMessagesNotVisible")
	if err != nil {
		return err
	}
	return errors.Join(same("visible", visible, "2"), same("in flight", flying, "1"))
}

func purged(ctx context.Context, s *Session) error {
	url, err := s.filled(ctx, nil, "one")
	if err != nil {
		return err
	}
	if _, err := s.SQS.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: &url}); err != nil {
		return err
	}
	return s.none(ctx, url)
}

func purgedAgain(ctx context.Context, s *Session) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := s.SQS.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: &url}); err != nil {
		return err
	}
	_, err = s.SQS.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: &url})
	return refused(err, "AWS.SimpleQueueService.PurgeQueueInProgress")
}

func missingQueue(ctx context.Context, s *Session) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	url += "-typo"
	_, err = s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url})
	var gone *types.QueueDoesNotExist
	if !errors.As(err, &gone) {
		return fmt.Errorf("want QueueDoesNotExist, got %w", err)
	}
	return refused(err, "AWS.SimpleQueueService.NonExistentQueue")
}

func foreignURL(ctx context.Context, s *Session) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	other := "ap-south-1"
	account, err := s.arn(ctx, url)
	if err != nil {
		return err
	}
	parts := strings.Split(account, ":")
	url = "https://sqs." + other + ".amazonaws.com/" + parts[4] + "/" + parts[5]
	_, err = s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url})
	return refused(err, "AWS.SimpleQueueService.NonExistentQueue", "InvalidAddress")
}

func (s *Session) sent(ctx context.Context, body string) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	_, err = s.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body})
	return err
}

func largest(ctx context.Context, s *Session) error {
	return s.sent(ctx, strings.Repeat("x", 1<<20))
}

func tooLarge(ctx context.Context, s *Session) error {
	return refused(s.sent(ctx, strings.Repeat("x", 1<<20+1)), "InvalidParameterValue")
}

func badCharacters(ctx context.Context, s *Session) error {
	return refused(s.sent(ctx, "bell\a"), "InvalidMessageContents")
}

func receiveLimits(ctx context.Context, s *Session) error {
	url, err := s.queue(ctx, nil)
	if err != nil {
		return err
	}
	var faults []error
	for _, in := range []sqs.ReceiveMessageInput{{MaxNumberOfMessages: 11}, {WaitTimeSeconds: 21}, {VisibilityTimeout: 43_201}} {
		in.QueueUrl = aws.String(url)
		_, err := s.SQS.ReceiveMessage(ctx, &in)
		if err := refused(err, "InvalidParameterValue"); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", strconv.Itoa(int(in.MaxNumberOfMessages+in.WaitTimeSeconds+in.VisibilityTimeout)), err))
		}
	}
	return errors.Join(faults...)
}
