package awsprobe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// Check is one behaviour.
type Check struct {
	Name string
	// Does returns what was seen instead, or nil.
	Does func(ctx context.Context, s *Session) error
}

// Checks returns the list.
func Checks() []Check {
	return slices.Concat(messageChecks(), queueChecks(), batchChecks(), ecsReadChecks(), ecsActChecks(), stsChecks(), topicChecks(), busChecks())
}

// Session is one check's connection to a stand; what it makes has names of its own.
type Session struct {
	SQS *sqs.Client
	ECS *ecs.Client
	STS *sts.Client
	SNS *sns.Client
	Bus *eventbridge.Client

	region  string
	role    string
	cleanup []func(context.Context)
}

// Run runs a check against the stand of cfg. Role is one that the caller may assume; it is for one check
// only. What the check made is removed.
func Run(ctx context.Context, cfg aws.Config, role string, c Check) error {
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 100 * time.Millisecond })
	}
	s := &Session{
		SQS: sqs.NewFromConfig(cfg), ECS: ecs.NewFromConfig(cfg), STS: sts.NewFromConfig(cfg),
		SNS: sns.NewFromConfig(cfg), Bus: eventbridge.NewFromConfig(cfg), region: cfg.Region, role: role,
	}
	defer func() {
		for _, undo := range slices.Backward(s.cleanup) {
			undo(context.WithoutCancel(ctx))
		}
	}()
	return c.Does(ctx, s)
}

// later removes something at the end of the check; that it can't is no finding.
func (s *Session) later(undo func(context.Context)) { s.cleanup = append(s.cleanup, undo) }

// name is one that nothing else has.
func (s *Session) name() string { return "bellbuoy-probe-" + rand.Text()[:12] }

// refused wants an error with one of some codes, as the SDK tells them.
func refused(err error, codes ...string) error {
	var said smithy.APIError
	switch {
	case err == nil:
		return fmt.Errorf("accepted, want %v", codes)
	case !errors.As(err, &said):
		return fmt.Errorf("want %v: %w", codes, err)
	case !slices.Contains(codes, said.ErrorCode()):
		return fmt.Errorf("want %v, got %s: %s", codes, said.ErrorCode(), said.ErrorMessage())
	}
	return nil
}

// same fails when two things differ.
func same[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s: got %v, want %v", what, got, want)
	}
	return nil
}
