package sns

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
)

// Check tries the topic with the sink's real rights and delivers nothing. It needs sns:Publish, as Send
// does: it publishes a message whose subject is longer than SNS allows and wants to see that refused, and
// nothing else refused before it. If the identity also has sns:GetTopicAttributes, the topic's size limit
// is compared with max_message_bytes.
func (s *Sink) Check(ctx context.Context) error {
	if err := s.probe(ctx); err != nil {
		return err
	}
	answer, err := s.client.GetTopicAttributes(ctx, &awssns.GetTopicAttributesInput{TopicArn: aws.String(s.cfg.TopicARN)})
	if err != nil {
		if err = s.judge(ctx, err); codeOf(err) == "" || remedies[codeOf(err)].hint != allowPublish {
			return err
		}
		return nil // May not look; publishing is what counts.
	}
	return s.compare(answer.Attributes)
}

const (
	probeText = "bellbuoy check: this message was meant to be refused"
	probeLong = 101
)

func (s *Sink) probe(ctx context.Context) error {
	in := &awssns.PublishInput{TopicArn: aws.String(s.cfg.TopicARN), Message: aws.String(probeText), Subject: aws.String(strings.Repeat("-", probeLong))}
	if s.cfg.fifo() {
		in.MessageGroupId, in.MessageDeduplicationId = aws.String("bellbuoy.check"), aws.String("bellbuoy.check")
	}
	_, err := s.client.Publish(ctx, in)
	if err == nil {
		return nil // A stand-in for SNS that is not as strict.
	}
	judged := s.judge(ctx, err)
	code := codeOf(judged)
	switch message := judged.Error(); {
	case remedies[code].permanent != reasonInvalid:
		return judged
	case strings.Contains(message, "TopicArn") || strings.Contains(message, "Topic Arn"):
		return fmt.Errorf("region %s does not know the topic: %w; %s", s.cfg.Region, judged, checkTopic)
	}
	return nil
}

// codeOf returns the code of a judged error, or "".
func codeOf(err error) string {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

// learn asks for the topic's own size limit, before the first message that could exceed it. Without the right to ask, or without an answer, that of the config holds.
func (s *Sink) learn(ctx context.Context) {
	answer, err := s.client.GetTopicAttributes(ctx, &awssns.GetTopicAttributesInput{TopicArn: aws.String(s.cfg.TopicARN)})
	if err != nil {
		if codeOf(s.judge(ctx, err)) != "" { // it answers, and says no
			s.limit.Store(-1)
		}
		return
	}
	limit, err := strconv.Atoi(answer.Attributes["MaximumMessageSize"])
	if err != nil || limit < minMessageBytes {
		limit = -1
	}
	s.limit.Store(int64(limit))
}

// effective is the config with the smaller of its limit and the topic's.
func (s *Sink) effective() Config {
	cfg := s.cfg
	if limit := s.limit.Load(); limit > 0 {
		cfg.MaxMessageBytes = min(cfg.MaxMessageBytes, int(limit))
	}
	return cfg
}

func (s *Sink) compare(topic map[string]string) error {
	if limit, err := strconv.Atoi(topic["MaximumMessageSize"]); err == nil && limit < s.cfg.MaxMessageBytes {
		return fmt.Errorf("topic %s takes messages of %d bytes and max_message_bytes is %d; lower max_message_bytes or raise the topic's MaximumMessageSize", s.cfg.TopicARN, limit, s.cfg.MaxMessageBytes)
	}
	return nil
}
