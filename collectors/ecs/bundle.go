package ecs

import (
	"bytes"
	"encoding/json"

	jsonv2 "github.com/go-json-experiment/json"
)

// bundle is what recorded records are in: what tools print, what functions are called with, and what logs have of
// it. Only a replay opens it, a queue has one event in each message.
type bundle struct {
	Events   []json.RawMessage `json:"events"`   // of tools that list events, and of aws logs filter-log-events
	Records  []json.RawMessage `json:"Records"`  // of a function that a queue or a topic feeds
	Messages []json.RawMessage `json:"Messages"` // of aws sqs receive-message
	Results  [][]column        `json:"results"`  // of a query of CloudWatch Logs
	Tasks    []json.RawMessage `json:"tasks"`    // of aws ecs describe-tasks
	Failures []struct {
		ARN    string `json:"arn"`
		Reason string `json:"reason"`
	} `json:"failures"`

	Body    json.RawMessage `json:"Body"`    // one of Messages
	Topic   json.RawMessage `json:"Sns"`     // one of Records
	Message json.RawMessage `json:"message"` // one of Events of a log, or a line of one
	Event   json.RawMessage `json:"event"`   // a line of a function's log
	Task    json.RawMessage `json:"task"`    // of aws ecs stop-task

	TaskARN  string `json:"taskArn"`
	Detail   any    `json:"detail"`
	Envelope string `json:"detail-type"`
}

// column is what a query of CloudWatch Logs has of a line.
type column struct {
	Field string `json:"field"`
	Value string `json:"value"`
}

// bundleOf reads a bundle; false if it is an event of EventBridge, or nothing that could be a bundle.
func bundleOf(text []byte) (*bundle, bool) {
	b := &bundle{}
	err := jsonv2.Unmarshal(text, b, reading())
	return b, err == nil && b.Envelope == ""
}

// inner is what is in a bundle, none of it empty.
func (b *bundle) inner() [][]byte {
	var all [][]byte
	add := func(raw []byte) {
		if raw = bytes.TrimSpace(raw); len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
			all = append(all, raw)
		}
	}
	for _, list := range [...][]json.RawMessage{b.Events, b.Records, b.Messages, b.Tasks, {b.Body, b.Topic, b.Message, b.Event, b.Task}} {
		for _, raw := range list {
			var text string
			if bytes.HasPrefix(raw, []byte(`"`)) && json.Unmarshal(raw, &text) == nil { // JSON in a text
				raw = []byte(text)
			}
			add(raw)
		}
	}
	for _, row := range b.Results {
		for _, c := range row {
			if c.Field == "@message" {
				add([]byte(c.Value))
			}
		}
	}
	return all
}

// logged reports whether what is in it was written by any program that writes to the log.
func (b *bundle) logged() bool { return b.Message != nil || b.Results != nil }

// lists reports whether it is an answer that lists what there is, even if that is nothing.
func (b *bundle) lists() bool {
	return b.Events != nil || b.Records != nil || b.Messages != nil || b.Results != nil || b.Tasks != nil
}
