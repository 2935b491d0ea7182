package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
)

const (
	enoughRetention = 4 * 24 * time.Hour
	// enoughReceives is what a message may be received, for many ends of the collector while it is in hand.
	enoughReceives = 100
	muchSkew       = 30 * time.Second
)

// Check asks AWS what a collector asks it, once, and tells all that would not work; warnings are what works and
// is unwise, besides those of Warnings. It changes nothing: of at most one message it uses up one receive.
func (c Config) Check(ctx context.Context, loader *awsclient.Loader) (warnings []string, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	loaded, err := loader.Load(c.aws()) //nolint:contextcheck // it reads files and asks nobody
	if err != nil {
		return nil, err
	}
	client := c.sqsClient(loaded)
	warnings, problems := c.inspect(ctx, client)
	problems = append(problems, c.tryRights(ctx, client)...)
	lookWarnings, lookProblems := c.tryLooks(ctx, awsecs.NewFromConfig(loaded, func(o *awsecs.Options) { o.RetryMaxAttempts = 2 }))
	warnings, problems = append(warnings, lookWarnings...), append(problems, lookProblems...)
	if w := keysInContainer(ctx, loaded.Credentials); w != "" {
		warnings = append(warnings, w)
	}
	return warnings, errors.Join(problems...)
}

// inspect looks at how the queue is set up.
func (c Config) inspect(ctx context.Context, client *sqs.Client) (warnings []string, problems []error) {
	answer, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &c.QueueURL, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		return nil, []error{refused("sqs:GetQueueAttributes", c.queueLabel(), err)}
	}
	warnings, problem := judgeQueue(answer.Attributes)
	if problem != nil {
		problems = append(problems, problem)
	}
	if skew, ok := awsmiddleware.GetAttemptSkew(answer.ResultMetadata); ok && skew.Abs() > muchSkew {
		warnings = append(warnings, fmt.Sprintf("this machine's clock is %s off the clock of AWS; ages are wrong by that, and from a few minutes on AWS refuses every request", skew.Abs().Round(time.Second)))
	}
	return warnings, problems
}

func (c Config) queueLabel() string { return "queue " + c.address().name }

// tryRights makes the calls of the intake in a way that has no effect, to learn whether they are allowed: a
// receipt handle that never was is refused too, but not for a missing right.
func (c Config) tryRights(ctx context.Context, client *sqs.Client) []error {
	none := aws.String("bellbuoy-check")
	tries := []struct {
		action string
		try    func() error
	}{
		{"sqs:ReceiveMessage", func() error {
			_, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &c.QueueURL, MaxNumberOfMessages: 1, VisibilityTimeout: 1, WaitTimeSeconds: seconds(shortPoll)}, tryOnce)
			return err
		}},
		{"sqs:DeleteMessage", func() error {
			_, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &c.QueueURL, ReceiptHandle: none}, tryOnce)
			return err
		}},
		{"sqs:ChangeMessageVisibility", func() error {
			_, err := client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &c.QueueURL, ReceiptHandle: none, VisibilityTimeout: 1}, tryOnce)
			return err
		}},
	}
	var problems []error
	for _, t := range tries {
		if err := t.try(); err != nil {
			if r := refused(t.action, c.queueLabel(), err); r.reason != reasonOther {
				problems = append(problems, r)
			}
		}
	}
	return problems
}

// judgeQueue says what of a queue's attributes keeps events from coming, and what is unwise.
func judgeQueue(attributes map[string]string) (warnings []string, problem error) {
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	attribute := func(name types.QueueAttributeName) string { return attributes[string(name)] }
	problem = judgePolicy(attribute(types.QueueAttributeNamePolicy), attribute(types.QueueAttributeNameQueueArn))
	if key := attribute(types.QueueAttributeNameKmsMasterKeyId); key == "alias/aws/sqs" || strings.HasSuffix(key, ":alias/aws/sqs") {
		warn("the queue is encrypted with alias/aws/sqs, a key that EventBridge can't be allowed to use: its events are dropped without a trace; use SSE-SQS or a key of your own")
	}
	if n, err := strconv.Atoi(attribute(types.QueueAttributeNameMessageRetentionPeriod)); err == nil && time.Duration(n)*time.Second < enoughRetention {
		warn("the queue keeps messages for %s; what is not read by then is gone: set MessageRetentionPeriod to 1209600 (14 days)", time.Duration(n)*time.Second)
	}
	var redrive struct {
		Max json.Number `json:"maxReceiveCount"`
	}
	// Without a redrive policy there is none to be too small.
	if json.Unmarshal([]byte(attribute(types.QueueAttributeNameRedrivePolicy)), &redrive) == nil {
		if n, err := redrive.Max.Int64(); err == nil && n < enoughReceives {
			warn("the redrive policy moves a message after %d receives; each end of a collector with messages in hand costs one: set maxReceiveCount to 1000, what can't be read is quarantined anyway", n)
		}
	}
	return warnings, problem
}

// Who puts events into a queue: a rule, or a topic that a rule feeds.
const (
	eventBridge = "events.amazonaws.com"
	topics      = "sns.amazonaws.com"
)

func judgePolicy(text, queue string) error {
	const howTo = "let the service principal events.amazonaws.com do sqs:SendMessage, with aws:SourceArn = the rule's ARN (a pipe that sends with a role of its own needs no policy)"
	if text == "" {
		return errors.New("the queue has no policy, so no rule can send to it and its events are dropped without a trace; " + howTo)
	}
	var p policy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return fmt.Errorf("read the queue's policy: %w", err)
	}
	if !p.lets(eventBridge, queue) && !p.lets(topics, queue) {
		return errors.New("the queue's policy lets neither events.amazonaws.com nor sns.amazonaws.com send, so events are dropped without a trace; " + howTo)
	}
	var wrong []string
	region := partOf(queue, 3)
	for _, source := range p.sources(eventBridge, queue) {
		if at := partOf(source, 3); at != "" && at != anyone && region != "" && at != region {
			wrong = append(wrong, source)
		}
	}
	if sources := p.sources(eventBridge, queue); len(wrong) > 0 && len(wrong) == len(sources) {
		return fmt.Errorf("the queue's policy lets only rules of another region send (%s), and a rule sends within its region alone", strings.Join(slices.Compact(wrong), ", "))
	}
	return nil
}

// partOf returns a part of an ARN: 3 is the region, 4 the account.
func partOf(arn string, n int) string {
	if part := strings.SplitN(arn, ":", 6); len(part) == 6 {
		return part[n]
	}
	return ""
}

// keysInContainer warns of access keys in the environment of a container that has a role: they win over it.
func keysInContainer(ctx context.Context, provider aws.CredentialsProvider) string {
	if provider == nil || os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == "" && os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") == "" {
		return ""
	}
	creds, err := provider.Retrieve(ctx)
	if err != nil || creds.CanExpire || !strings.HasPrefix(creds.Source, "EnvConfig") {
		return ""
	}
	return "AWS_ACCESS_KEY_ID in the environment is used instead of the role of this container; remove it"
}
