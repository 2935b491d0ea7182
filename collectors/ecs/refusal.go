package ecs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// Why AWS did not do what it was asked for.
const (
	reasonDenied      = "denied"
	reasonNoQueue     = "no_queue"
	reasonCredentials = "credentials"
	reasonClock       = "clock"
	reasonKey         = "kms"
	reasonThrottled   = "throttled"
	reasonServer      = "server"
	reasonNetwork     = "network"
	reasonOther       = "other"
)

var refusalReasons = [...]string{
	reasonDenied, reasonNoQueue, reasonCredentials, reasonClock, reasonKey, reasonThrottled, reasonServer, reasonNetwork, reasonOther,
}

// reasonOf has the codes with a meaning of their own. A queue speaks two protocols, each with own spellings.
var reasonOf = map[string]string{
	"AccessDenied":                            reasonDenied,
	"AccessDeniedException":                   reasonDenied,
	"AuthorizationError":                      reasonDenied,
	"InvalidAddress":                          reasonNoQueue,
	"QueueDoesNotExist":                       reasonNoQueue,
	"QueueDeletedRecently":                    reasonNoQueue,
	"AWS.SimpleQueueService.NonExistentQueue": reasonNoQueue,
	"ExpiredToken":                            reasonCredentials,
	"ExpiredTokenException":                   reasonCredentials,
	"IncompleteSignature":                     reasonCredentials,
	"InvalidClientTokenId":                    reasonCredentials,
	"InvalidSecurity":                         reasonCredentials,
	"InvalidSignatureException":               reasonCredentials,
	"MissingAuthenticationToken":              reasonCredentials,
	"MissingAuthenticationTokenException":     reasonCredentials,
	"SignatureDoesNotMatch":                   reasonCredentials,
	"UnrecognizedClientException":             reasonCredentials,
	"RequestExpired":                          reasonClock,
	"RequestTimeTooSkewed":                    reasonClock,
	"KMS.AccessDeniedException":               reasonKey,
	"KMS.DisabledException":                   reasonKey,
	"KMS.InvalidStateException":               reasonKey,
	"KMS.NotFoundException":                   reasonKey,
	"KMS.OptInRequired":                       reasonKey,
	"KmsAccessDenied":                         reasonKey,
	"KmsDisabled":                             reasonKey,
	"KmsInvalidKeyUsage":                      reasonKey,
	"KmsInvalidState":                         reasonKey,
	"KmsNotFound":                             reasonKey,
	"KmsOptInRequired":                        reasonKey,
}

// advice says what to do; a reason that is not here passes by itself.
var advice = map[string]string{
	reasonNoQueue:     "check queue_url, and that the queue was not deleted",
	reasonCredentials: "AWS refuses the credentials: check where they come from, whether they have expired, and this machine's clock",
	reasonClock:       "set this machine's clock: AWS refuses requests that are more than a few minutes old or early",
	reasonKey:         "the queue is encrypted: allow kms:Decrypt on its key to the identity in use, and check that the key is enabled",
}

// refusal is why a call of AWS gave no answer. Its text is the same each time that the same thing happens, and
// holds nothing of the request.
type refusal struct {
	reason, said string
	err          error
}

func (r *refusal) Error() string { return r.said }
func (r *refusal) Unwrap() error { return r.err }

// definite says that trying again changes nothing until somebody does something.
func (r *refusal) definite() bool {
	switch r.reason {
	case reasonDenied, reasonNoQueue, reasonCredentials, reasonClock, reasonKey:
		return true
	}
	return false
}

const saidLimit = 300 // bytes of AWS's own words

// refused judges the error of a call. action is what IAM calls it, such as sqs:ReceiveMessage; target is such
// as queue events.
func refused(action, target string, err error) *refusal {
	r := &refusal{reason: reasonNetwork, err: err}
	var api smithy.APIError
	if !errors.As(err, &api) {
		r.said = fmt.Sprintf("%s of %s: %s", action, target, inShort(innermost(err)))
		if errors.Is(err, context.DeadlineExceeded) {
			r.said = fmt.Sprintf("%s of %s: no answer in time", action, target)
		}
		if noCredentials(err) {
			r.reason = reasonCredentials
			r.said += "; " + advice[r.reason]
		}
		return r
	}
	code, status := api.ErrorCode(), statusOf(err)
	r.reason = reasonOf[code]
	switch {
	case r.reason != "":
	case awsclient.Throttle(code) || status == http.StatusTooManyRequests:
		r.reason = reasonThrottled
	case status >= http.StatusInternalServerError:
		r.reason = reasonServer
	default:
		r.reason = reasonOther
	}
	r.said = fmt.Sprintf("%s of %s: %s", action, target, redact.Clean(code))
	// What AWS says of a signature may repeat the signed request.
	if message := inShort(api.ErrorMessage()); message != "" && r.reason != reasonCredentials && r.reason != reasonClock {
		r.said += ": " + message
	}
	if todo := r.advice(action, target, err); todo != "" {
		r.said += "; " + todo
	}
	return r
}

func (r *refusal) advice(action, target string, err error) string {
	switch {
	case serviceOf(err) == "STS":
		return "the role of role_arn can't be assumed: allow sts:AssumeRole on it, and let its trust policy name the identity in use and external_id"
	case r.reason == reasonDenied:
		return "allow " + action + " on " + target + " to the identity in use"
	}
	return advice[r.reason]
}

// inShort is what a service or the network said, as one short line.
func inShort(s string) string {
	s = redact.Text(s)
	if len(s) > saidLimit {
		s = s[:saidLimit]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
		s += "…"
	}
	return s
}

// innermost drops what differs from one call to the next, such as ports and the ids of requests.
func innermost(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// noCredentials reports that no provider of the chain has any; the SDK has no type for that.
func noCredentials(err error) bool {
	text := err.Error()
	return strings.Contains(text, "get credentials") || strings.Contains(text, "retrieve credentials") || strings.Contains(text, "static credentials are empty") || strings.Contains(text, "get identity")
}

func serviceOf(err error) string {
	service := ""
	var op *smithy.OperationError
	for errors.As(err, &op) {
		service, err = op.Service(), op.Err
	}
	return service
}

func statusOf(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// partial is the refusal of some entries of a batch, by the first of them.
func partial(action, target string, left, all int, failed []types.BatchResultErrorEntry) *refusal {
	r := &refusal{reason: reasonOther, said: fmt.Sprintf("%s of %s: refused for %d of %d messages", action, target, left, all)}
	if len(failed) > 0 {
		code := aws.ToString(failed[0].Code)
		if reason := reasonOf[code]; reason != "" {
			r.reason = reason
		}
		r.said += ": " + inShort(code)
		if message := inShort(aws.ToString(failed[0].Message)); message != "" {
			r.said += ": " + message
		}
	}
	return r
}
