package awsclient

import (
	"maps"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

// Limits of one call: five tries with 0.5, 1, 2 and 4 s between them, ±20 %.
const (
	Attempts          = 5
	DefaultMaxBackoff = 5 * time.Second
	firstBackoff      = 500 * time.Millisecond
)

// unlisted are throttle codes that services send and that the SDK's own list lacks.
var unlisted = map[string]struct{}{
	"Throttled":               {}, // SNS, with status 429
	"ThrottledException":      {},
	"KMSThrottling":           {}, // SNS, encrypted topic
	"KMSThrottlingException":  {},
	"KmsThrottled":            {}, // SQS, encrypted queue
	"KMS.ThrottlingException": {}, // the same, as SQS names it in the header that the SDK takes the code from
	"OverLimit":               {}, // SQS, too many messages in flight
}

// Throttle says whether an error code asks the caller to slow down.
func Throttle(code string) bool {
	_, extra := unlisted[code]
	_, known := retry.DefaultThrottleErrorCodes[code]
	return extra || known
}

// Retryer repeats a call after throttling, a server's failure or a broken connection. It has no retry
// quota: the SDK's own would stop repeating from the 50th failing call of an outage on. The backoff is
// ours, because the SDK's has no jitter once it reached its limit and the environment
// (AWS_NEW_RETRIES_2026) can change it. A maxBackoff of zero is DefaultMaxBackoff.
func Retryer(maxBackoff time.Duration) aws.Retryer {
	if maxBackoff <= 0 {
		maxBackoff = DefaultMaxBackoff
	}
	codes := maps.Clone(unlisted)
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = Attempts
		o.MaxBackoff = maxBackoff
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return backoff.Jitter(min(firstBackoff<<max(attempt-1, 0), maxBackoff)), nil
		})
		o.RateLimiter = ratelimit.None
		o.Retryables = append(o.Retryables,
			retry.RetryableErrorCode{Codes: codes},
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}})
		o.Throttles = append(o.Throttles, retry.ThrottleErrorCode{Codes: codes})
	})
}
