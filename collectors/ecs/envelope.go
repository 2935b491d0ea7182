package ecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/bellbuoy/bellbuoy/internal/recording"
)

const (
	// maxRecord is the largest event that EventBridge takes, and the largest message of a queue: 1 MiB.
	maxRecord = 1 << 20
	// maxWraps is how often one event may be wrapped: by a topic, by a pipe that reads a queue.
	maxWraps = 4
)

// envelope is every wrapping that is known: of EventBridge itself, of an SNS topic without raw delivery, and
// of a queue's message in a pipe. See https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html.
type envelope struct {
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Region     string          `json:"region"`
	Time       moment          `json:"time"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`

	Type     string `json:"Type"` // of SNS
	TopicARN string `json:"TopicArn"`
	Message  string `json:"Message"`

	MessageID string `json:"messageId"` // of SQS
	Body      string `json:"body"`

	// These show the detail of a task, a service, a call or an instance that has lost its envelope.
	Cluster  string `json:"clusterArn"`
	TaskARN  string `json:"taskArn"`
	Instance string `json:"containerInstanceArn"`
	Event    string `json:"eventName"`
}

// reading is how JSON of AWS is read: what is twice or not UTF-8 is no reason to lose an event.
func reading() jsonv2.Options {
	return jsonv2.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// decodeRecord unwraps one EventBridge event: as it is, from an SNS notification, or as the only element of the
// array that a pipe sends. The error is a *poison: there will never be an event of this body.
func decodeRecord(body []byte) (record, error) { return unwrap(body, 0) }

func unwrap(body []byte, wraps int) (record, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	switch {
	case len(body) > maxRecord:
		return record{}, &poison{classOversize, fmt.Sprintf("%d bytes, and no event of EventBridge has more than %d", len(body), maxRecord)}
	case len(body) == 0:
		return record{}, undecodable("the body is empty")
	case wraps > maxWraps:
		return record{}, undecodable("more than %d wrappings", maxWraps)
	case body[0] == '[':
		return unwrapArray(body, wraps)
	case body[0] != '{':
		return record{}, bare(body)
	}
	var e envelope
	if err := jsonv2.Unmarshal(body, &e, reading()); err != nil {
		return record{}, undecodable("%v", whyNot(body, err))
	}
	switch {
	case e.DetailType != "" && e.Source != "":
		return e.record(body)
	case e.Type == "Notification" && e.Message != "":
		return unwrap([]byte(e.Message), wraps+1)
	case e.Type == "SubscriptionConfirmation":
		return record{}, undecodable("a topic asks to confirm its subscription (%s); confirm it, or let AWS do so: subscribe as the queue's account", inShort(e.TopicARN))
	case e.MessageID != "" && e.Body != "":
		return unwrap([]byte(e.Body), wraps+1)
	case e.TaskARN != "" || e.Cluster != "" || e.Instance != "" || e.Event != "":
		return record{}, &poison{classTransformed, "the detail of an event without its envelope: an InputPath or an input transformer of the rule's target removed that; let the target pass the matched event whole"}
	}
	return record{}, undecodable("no event of EventBridge: detail-type or source is missing; if an input transformer made this, let the target pass the matched event whole")
}

func unwrapArray(body []byte, wraps int) (record, error) {
	var list []jsontext.Value
	if err := jsonv2.Unmarshal(body, &list, reading()); err != nil {
		return record{}, undecodable("%v", whyNot(body, err))
	}
	if len(list) != 1 {
		return record{}, undecodable("an array of %d records in one message; set the pipe's batch size to 1", len(list))
	}
	return unwrap(list[0], wraps+1)
}

// bare tells what is no object: a text is what an input transformer makes.
func bare(body []byte) error {
	if json.Valid(body) {
		return &poison{classTransformed, "a text or number in place of an event: an input transformer of the rule's target removed the envelope; let the target pass the matched event whole"}
	}
	return undecodable("not JSON; if an input transformer made this, let the target pass the matched event whole")
}

func undecodable(format string, args ...any) error {
	return &poison{classUndecodable, fmt.Sprintf(format, args...)}
}

// whyNot says why a text is no JSON, or not that of an event, without repeating any of it.
func whyNot(body []byte, err error) error {
	var whatever any
	if plain := json.Unmarshal(body, &whatever); plain != nil {
		return recording.Why(plain)
	}
	var e *jsonv2.SemanticError
	if asSemantic(err, &e) && e.JSONPointer != "" {
		return fmt.Errorf("%s is not what it is in an event of EventBridge", strings.TrimPrefix(string(e.JSONPointer), "/"))
	}
	return errors.New("not an event of EventBridge")
}

func (e *envelope) record(raw []byte) (record, error) {
	if len(e.Detail) == 0 || e.Detail[0] != '{' {
		return record{}, undecodable("%s without a detail", inShort(e.DetailType))
	}
	return record{
		ID: e.ID, DetailType: e.DetailType, Source: e.Source, Account: e.Account, Region: e.Region,
		Time: time.Time(e.Time), Resources: e.Resources, Detail: e.Detail, Raw: raw,
	}, nil
}
