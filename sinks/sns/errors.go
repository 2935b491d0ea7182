package sns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// Reasons of permanent refusals.
const (
	reasonInvalid  = "invalid"
	reasonTooLarge = "too_large"
	reasonNoTopic  = "topic_not_found"
)

// remedy is what an error code means for an alert.
type remedy struct {
	permanent string // reason, or "" if a retry may help
	hint      string // what to do, for a code that an operator can mend
	mute      bool   // the service's message may repeat the signed request, so it is not shown
}

const (
	allowPublish = "allow sns:Publish on this topic to the identity in use, in its policy and, across accounts, in the topic's"
	allowKey     = "the topic is encrypted: allow kms:GenerateDataKey and kms:Decrypt on its key to the identity in use, and check that the key is enabled"
	checkCreds   = "AWS refuses the credentials: check where they come from, whether they have expired, and this machine's clock"
	checkTopic   = "check topic_arn, and that the topic was not deleted"
)

// remedies has the codes with a meaning of their own; what is not here is worth another try.
var remedies = map[string]remedy{
	"InvalidParameter":               {permanent: reasonInvalid},
	"InvalidParameterException":      {permanent: reasonInvalid},
	"InvalidParameterValue":          {permanent: reasonInvalid},
	"ParameterValueInvalid":          {permanent: reasonInvalid},
	"ValidationError":                {permanent: reasonInvalid},
	"ValidationException":            {permanent: reasonInvalid},
	"InvalidBatchEntryId":            {permanent: reasonInvalid},
	"BatchEntryIdsNotDistinct":       {permanent: reasonInvalid},
	"EmptyBatchRequest":              {permanent: reasonInvalid},
	"TooManyEntriesInBatchRequest":   {permanent: reasonInvalid},
	"BatchRequestTooLong":            {permanent: reasonTooLarge},
	"RequestEntityTooLarge":          {permanent: reasonTooLarge},
	"NotFound":                       {permanent: reasonNoTopic, hint: checkTopic},
	"NotFoundException":              {permanent: reasonNoTopic, hint: checkTopic},
	"ResourceNotFoundException":      {permanent: reasonNoTopic, hint: checkTopic},
	"AuthorizationError":             {hint: allowPublish},
	"AuthorizationErrorException":    {hint: allowPublish},
	"AccessDenied":                   {hint: allowPublish},
	"AccessDeniedException":          {hint: allowPublish},
	"KMSAccessDenied":                {hint: allowKey},
	"KMSDisabled":                    {hint: allowKey},
	"KMSInvalidState":                {hint: allowKey},
	"KMSNotFound":                    {hint: allowKey},
	"KMSOptInRequired":               {hint: allowKey},
	"ExpiredToken":                   {hint: checkCreds, mute: true},
	"ExpiredTokenException":          {hint: checkCreds, mute: true},
	"IncompleteSignature":            {hint: checkCreds, mute: true},
	"InvalidClientTokenId":           {hint: checkCreds, mute: true},
	"InvalidSecurity":                {hint: checkCreds, mute: true},
	"MissingAuthenticationToken":     {hint: checkCreds, mute: true},
	"RequestExpired":                 {hint: checkCreds, mute: true},
	"RequestTimeTooSkewed":           {hint: checkCreds, mute: true},
	"SignatureDoesNotMatch":          {hint: checkCreds, mute: true},
	"UnrecognizedClientException":    {hint: checkCreds, mute: true},
	"InvalidSignatureException":      {hint: checkCreds, mute: true},
	"MissingAuthenticationException": {hint: checkCreds, mute: true},
}

// judge gives an error of SNS its class. It names the topic, and never holds a part of the request.
func (s *Sink) judge(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		// Flat, because a timeout of the network would otherwise pass for the end of ctx.
		return fmt.Errorf("publish to %s: %s", s.cfg.TopicARN, notice.Clean(err.Error()))
	}
	code, status := api.ErrorCode(), statusOf(err)
	r := remedies[code]
	if status == http.StatusRequestEntityTooLarge {
		r.permanent = reasonTooLarge
	}
	said := notice.Cut(notice.Clean(code), 80)
	if message := notice.Cut(notice.Clean(api.ErrorMessage()), 300); message != "" && !r.mute {
		said += ": " + message
	}
	if r.hint != "" {
		said += "; " + hint(r, err)
	}
	// The SDK's error is not wrapped, because it may hold the request; its code stays readable.
	told := fmt.Errorf("publish to %s: %w", s.cfg.TopicARN, &Refusal{Code: code, said: said})
	switch {
	case awsclient.Throttle(code) || status == http.StatusTooManyRequests:
		return &sinks.Throttled{After: retryAfter(err), Err: told}
	case r.permanent != "":
		return &sinks.Permanent{Reason: r.permanent, Err: told}
	}
	return told
}

// hint replaces what is to be allowed if it was STS, asked for the role, that refused.
func hint(r remedy, err error) string {
	var op *smithy.OperationError
	for errors.As(err, &op) {
		if op.Service() == "STS" {
			return "the role of role_arn can't be assumed: allow sts:AssumeRole on it, and let its trust policy name the identity in use and external_id"
		}
		err = op.Err
	}
	return r.hint
}

// Refusal is an error code of AWS with what it said.
type Refusal struct {
	// Code is such as AuthorizationError.
	Code string
	said string
}

func (r *Refusal) Error() string { return r.said }

func statusOf(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// retryAfter is the delay that the answer asks for, in whole seconds and at most an hour, or 0.
func retryAfter(err error) time.Duration {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.HTTPResponse() == nil {
		return 0
	}
	seconds, err := strconv.Atoi(response.HTTPResponse().Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(min(seconds, 3600))*time.Second, time.Hour)
}
