package awsprobe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func stsChecks() []Check {
	return []Check{
		{"sts: a role is assumed for a time", roleAssumed},
		{"sts: what is no role is refused", noRole},
		{"sts: a session of less than 15 minutes is refused", shortSession},
		{"sts: the caller is told who it is", whoAmI},
	}
}

func (s *Session) assume(ctx context.Context, role string, seconds int32) (*sts.AssumeRoleOutput, error) {
	return s.STS.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("bellbuoy"), DurationSeconds: &seconds})
}

func roleAssumed(ctx context.Context, s *Session) error {
	out, err := s.assume(ctx, s.role, 900)
	if err != nil {
		return err
	}
	if out.Credentials.Expiration == nil || aws.ToString(out.Credentials.SessionToken) == "" {
		return errors.New("no session")
	}
	return nil
}

func noRole(ctx context.Context, s *Session) error {
	_, err := s.assume(ctx, "arn:aws:iam::123456789012:user/somebody", 900)
	return refused(err, "ValidationError", "AccessDenied")
}

func shortSession(ctx context.Context, s *Session) error {
	_, err := s.assume(ctx, s.role, 899)
	return refused(err, "ValidationError")
}

func whoAmI(ctx context.Context, s *Session) error {
	out, err := s.STS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return err
	}
	if len(aws.ToString(out.Account)) != 12 || !strings.Contains(aws.ToString(out.Arn), *out.Account) {
		return fmt.Errorf("account %q, ARN %q", aws.ToString(out.Account), aws.ToString(out.Arn))
	}
	return nil
}

func topicChecks() []Check {
	return []Check{
		{"sns: a missing topic is told", missingTopic},
		{"sns: a message above 256 KiB is refused", longMessage},
		{"sns: a subject of 100 characters is refused", longSubject},
		{"sns: a subject of two lines is refused", brokenSubject},
		{"sns: an empty attribute is refused", emptyAttribute},
		{"sns: a batch has a verdict for each entry", publishVerdicts},
		{"sns: a batch above 256 KiB in all is refused", publishTooLong},
	}
}

// topic makes a topic.
func (s *Session) topic(ctx context.Context) (*string, error) {
	out, err := s.SNS.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String(s.name())})
	if err != nil {
		return nil, fmt.Errorf("create topic: %w", err)
	}
	s.later(func(ctx context.Context) {
		_, _ = s.SNS.DeleteTopic(ctx, &sns.DeleteTopicInput{TopicArn: out.TopicArn})
	})
	return out.TopicArn, nil
}

// published publishes to a new topic.
func (s *Session) published(ctx context.Context, in *sns.PublishInput) (err error) {
	if in.TopicArn, err = s.topic(ctx); err != nil {
		return err
	}
	_, err = s.SNS.Publish(ctx, in)
	return err
}

func missingTopic(ctx context.Context, s *Session) error {
	topic, err := s.topic(ctx)
	if err != nil {
		return err
	}
	_, err = s.SNS.Publish(ctx, &sns.PublishInput{TopicArn: aws.String(*topic + "-typo"), Message: aws.String("one")})
	return refused(err, "NotFound")
}

func longMessage(ctx context.Context, s *Session) error {
	return refused(s.published(ctx, &sns.PublishInput{Message: aws.String(strings.Repeat("x", 256<<10+1))}), "InvalidParameter")
}

func longSubject(ctx context.Context, s *Session) error {
	return refused(s.published(ctx, &sns.PublishInput{Message: aws.String("one"), Subject: aws.String(strings.Repeat("x", 101))}), "InvalidParameter")
}

func brokenSubject(ctx context.Context, s *Session) error {
	return refused(s.published(ctx, &sns.PublishInput{Message: aws.String("one"), Subject: aws.String("two\nlines")}), "InvalidParameter")
}

func emptyAttribute(ctx context.Context, s *Session) error {
	return refused(s.published(ctx, &sns.PublishInput{Message: aws.String("one"), MessageAttributes: map[string]types.MessageAttributeValue{
		"site": {DataType: aws.String("String"), StringValue: aws.String("")},
	}}), "ParameterValueInvalid", "InvalidParameterValue")
}

func publishVerdicts(ctx context.Context, s *Session) error {
	topic, err := s.topic(ctx)
	if err != nil {
		return err
	}
	out, err := s.SNS.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: topic, PublishBatchRequestEntries: []types.PublishBatchRequestEntry{
		{Id: aws.String("good"), Message: aws.String("one")},
		{Id: aws.String("bad"), Message: aws.String("two"), Subject: aws.String("two\nlines")},
	}})
	if err != nil {
		return err
	}
	return errors.Join(same("successful", len(out.Successful), 1), same("failed", len(out.Failed), 1))
}

func publishTooLong(ctx context.Context, s *Session) error {
	topic, err := s.topic(ctx)
	if err != nil {
		return err
	}
	_, err = s.SNS.PublishBatch(ctx, &sns.PublishBatchInput{TopicArn: topic, PublishBatchRequestEntries: []types.PublishBatchRequestEntry{
		{Id: aws.String("one"), Message: aws.String(strings.Repeat("x", 150<<10))},
		{Id: aws.String("two"), Message: aws.String(strings.Repeat("x", 150<<10))},
	}})
	return refused(err, "BatchRequestTooLong")
}
