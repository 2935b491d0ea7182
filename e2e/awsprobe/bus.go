package awsprobe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func busChecks() []Check {
	return []Check{
		{"events: a rule delivers an event to a queue", ruleDelivers},
		{"events: a delivered event tells its account", eventTellsAccount},
		{"events: a rule delivers an ECS event", ruleDeliversECS},
		{"events: a rule leaves out what its pattern does not match", ruleLeavesOut},
		{"events: a pattern reaches into a list of objects", ruleReachesIn},
		{"events: a disabled rule delivers nothing", disabledRule},
	}
}

// A source of one's own: AWS takes aws.* from its services only.
const ownSource = "org.bellbuoy.probe"

// rule makes a rule on the default bus that delivers to a new queue.
func (s *Session) rule(ctx context.Context, pattern string) (name, url string, err error) {
	name = s.name()
	out, err := s.Bus.PutRule(ctx, &eventbridge.PutRuleInput{Name: &name, EventPattern: &pattern})
	if err != nil {
		return "", "", fmt.Errorf("put rule: %w", err)
	}
	s.later(func(ctx context.Context) {
		_, _ = s.Bus.RemoveTargets(ctx, &eventbridge.RemoveTargetsInput{Rule: &name, Ids: []string{"queue"}})
		_, _ = s.Bus.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: &name})
	})
	if url, err = s.queue(ctx, nil); err != nil {
		return "", "", err
	}
	arn, err := s.arn(ctx, url)
	if err != nil {
		return "", "", err
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":%q,"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}]}`, arn, *out.RuleArn)
	if _, err := s.SQS.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{"Policy": policy}}); err != nil {
		return "", "", fmt.Errorf("set queue policy: %w", err)
	}
	_, err = s.Bus.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: &name, Targets: []types.Target{{Id: aws.String("queue"), Arn: &arn}}})
	return name, url, err
}

func (s *Session) put(ctx context.Context, source, kind, detail string) error {
	out, err := s.Bus.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{
		{Source: &source, DetailType: &kind, Detail: &detail, Time: aws.Time(time.Now())},
	}})
	if err != nil {
		return fmt.Errorf("put event: %w", err)
	}
	return same("refused entries", int(out.FailedEntryCount), 0)
}

// envelope is what is around an event's detail.
type envelope struct {
	ID, Source, Account, Region string
	Time                        time.Time
	Type                        string `json:"detail-type"`
	Detail                      json.RawMessage
}

// deliver puts an event past a rule and takes it from the queue.
func (s *Session) deliver(ctx context.Context, pattern, source, kind, detail string) (e envelope, err error) {
	_, url, err := s.rule(ctx, pattern)
	if err != nil {
		return e, err
	}
	if err := s.put(ctx, source, kind, detail); err != nil {
		return e, err
	}
	got, err := s.receive(ctx, url, 1)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal([]byte(*got[0].Body), &e); err != nil {
		return e, err
	}
	if e.ID == "" || e.Time.IsZero() || len(e.Detail) == 0 {
		return e, fmt.Errorf("envelope %s", *got[0].Body)
	}
	return e, errors.Join(same("source", e.Source, source), same("detail-type", e.Type, kind), same("region", e.Region, s.region))
}

const ownPattern = `{"source":["` + ownSource + `"]}`

func ruleDelivers(ctx context.Context, s *Session) error {
	_, err := s.deliver(ctx, ownPattern, ownSource, "Probe", `{"n":1}`)
	return err
}

func eventTellsAccount(ctx context.Context, s *Session) error {
	e, err := s.deliver(ctx, ownPattern, ownSource, "Probe", `{"n":1}`)
	if err != nil {
		return err
	}
	return same("digits", len(e.Account), 12)
}

func ruleDeliversECS(ctx context.Context, s *Session) error {
	_, err := s.deliver(ctx, `{"source":["aws.ecs"],"detail-type":["ECS Task State Change"]}`, "aws.ecs", "ECS Task State Change", `{"version":1}`)
	return err
}

func ruleReachesIn(ctx context.Context, s *Session) error {
	_, err := s.deliver(ctx, `{"source":["`+ownSource+`"],"detail":{"containers":{"exitCode":[137]}}}`, ownSource, "Probe", `{"containers":[{"exitCode":137}]}`)
	return err
}

func ruleLeavesOut(ctx context.Context, s *Session) error {
	_, url, err := s.rule(ctx, `{"source":["`+ownSource+`"],"detail-type":["Other"]}`)
	if err != nil {
		return err
	}
	return s.nothing(ctx, url)
}

// nothing puts an event and wants none in the queue.
func (s *Session) nothing(ctx context.Context, url string) error {
	if err := s.put(ctx, ownSource, "Probe", `{"n":1}`); err != nil {
		return err
	}
	out, err := s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 2})
	if err != nil {
		return err
	}
	return same("messages", len(out.Messages), 0)
}

func disabledRule(ctx context.Context, s *Session) error {
	name, url, err := s.rule(ctx, ownPattern)
	if err != nil {
		return err
	}
	if _, err := s.Bus.DisableRule(ctx, &eventbridge.DisableRuleInput{Name: &name}); err != nil {
		return err
	}
	return s.nothing(ctx, url)
}
