package ecs

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

// allowance is a share of a group of operations that AWS allows an account in a region together: half of it,
// because others call there, too.
type allowance struct {
	name      string
	perSecond float64
	burst     int
}

// The groups of "Request throttling for the Amazon ECS API",
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html, halved.
var (
	readTasks       = allowance{"tasks", 10, 50}       // ListTasks, DescribeTasks
	readServices    = allowance{"services", 10, 50}    // ListServices, DescribeServices
	readClusters    = allowance{"clusters", 10, 25}    // ListClusters
	readDefinitions = allowance{"definitions", 10, 25} // DescribeTaskDefinition
)

const (
	// apiBound bounds one try of a call.
	apiBound = 15 * time.Second
	// callTries is how often a call that found no answer is made; one that is throttled is made until its
	// context ends.
	callTries                 = 4
	firstRetry, lastCallRetry = 200 * time.Millisecond, 5 * time.Second
)

// ecsAPI is the ECS of one account and region, within half of what AWS allows there.
type ecsAPI struct {
	client  *awsecs.Client
	loader  *awsclient.Loader
	share   string // who shares the allowances: account and region
	renew   func()
	metrics *apiMetrics
}

// api returns the ECS of the queue's account and region.
func (c *Collector) api() *ecsAPI {
	return &ecsAPI{
		client: awsecs.NewFromConfig(c.aws, func(o *awsecs.Options) {
			o.Retryer = aws.NopRetryer{} // tries are within the allowance, too
		}),
		loader: c.deps.AWS, share: c.cfg.Account() + " " + c.cfg.region(), renew: c.renew, metrics: c.apiMetrics,
	}
}

// ask makes one call within its allowance, again and again if AWS throttles, and a few times if there was no
// answer. action is what IAM calls it. The error is ctx's, awsclient.ErrBusy or a *refusal.
func ask[In, Out any](ctx context.Context, a *ecsAPI, of allowance, action, target string, do func(context.Context, *In, ...func(*awsecs.Options)) (*Out, error), in *In) (*Out, error) {
	bucket := a.loader.Bucket("ecs "+of.name+" "+a.share, of.perSecond, of.burst)
	delay := backoff.New(firstRetry, lastCallRetry)
	renewed := false
	for try := 1; ; try++ {
		if err := bucket.Wait(ctx); err != nil {
			return nil, err
		}
		bound, cancel := context.WithTimeout(ctx, apiBound)
		out, err := do(bound, in)
		cancel()
		a.metrics.calls.WithLabelValues(a.metrics.name, action).Inc()
		if err == nil {
			bucket.Answered()
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r := refused(action, target, err)
		a.metrics.failed(action, r.reason)
		switch {
		case r.reason == reasonThrottled:
			bucket.Throttled()
			try-- // it waits in the bucket
			continue
		case (r.reason == reasonCredentials || r.reason == reasonClock) && !renewed:
			renewed = true // the SDK has learned the time of AWS from the refusal
			a.renew()
			continue
		case r.definite() || r.reason == reasonOther || try >= callTries:
			return nil, r
		}
		if err := delay.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

func asRefusal(err error) (r *refusal, is bool) {
	is = errors.As(err, &r)
	return r, is
}

// denied reports whether a call is not allowed.
func denied(err error) bool {
	r, is := asRefusal(err)
	return is && r.reason == reasonDenied
}
