package ecs

import (
	"cmp"
	"errors"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// callDetail is the detail of an API call that CloudTrail tells of, as far as it says who stopped a task. See
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
type callDetail struct {
	ID      string   `json:"eventID"`
	Event   string   `json:"eventName"`
	At      moment   `json:"eventTime"`
	Error   string   `json:"errorCode"`
	Caller  identity `json:"userIdentity"`
	Request struct {
		Cluster string `json:"cluster"`
		Service string `json:"service"`
		Task    string `json:"task"`
		Reason  string `json:"reason"`
	} `json:"requestParameters"`
	Answer struct {
		Task struct {
			ARN     string `json:"taskArn"`
			Cluster string `json:"clusterArn"`
		} `json:"task"`
	} `json:"responseElements"`
}

// identity is who called.
type identity struct {
	Type      string `json:"type"`
	ARN       string `json:"arn"`
	UserName  string `json:"userName"`
	InvokedBy string `json:"invokedBy"`
}

// name is who that is for people: a user, or role/session of a role that somebody has taken on.
func (i *identity) name() string {
	if _, session, ok := strings.Cut(i.ARN, ":assumed-role/"); ok {
		return session
	}
	if i.Type == "Root" {
		return "root"
	}
	return cmp.Or(i.UserName, i.InvokedBy, lastPart(i.ARN), i.Type)
}

// translateCall passes a call on, and notes who has stopped a task.
func translateCall(r *record, o origin) (fact, error) {
	var d callDetail
	if err := jsonv2.Unmarshal(r.Detail, &d, reading()); err != nil {
		return fact{}, whyNot(r.Detail, err)
	}
	if d.Event == "" {
		return fact{}, errors.New("eventName is missing")
	}
	f := passNative(r, o, "")
	by := redact.Text(d.Caller.name())
	about := cmp.Or(lastPart(d.Answer.Task.ARN), lastPart(d.Request.Task), lastPart(d.Request.Service), lastPart(d.Request.Cluster))
	f.event.Time = cmpTime(d.At.time(), r.Time)
	f.event.ID = r.identity(cmp.Or(d.ID, r.ID))
	f.event.Data.Message = strings.TrimSpace(cmp.Or(by, "somebody")+" called "+d.Event+" "+about) + because(redact.Text(d.Request.Reason))
	if d.Error != "" {
		f.event.Data.Message += "; refused: " + d.Error
		return f, nil
	}
	if task := d.Answer.Task.ARN; d.Event == "StopTask" && task != "" {
		f.note = &note{
			Task: task, Cluster: cmp.Or(d.Answer.Task.Cluster, clusterIn(task)), Requester: by,
			Reason: redact.Text(d.Request.Reason), At: f.event.Time,
		}
	}
	return f, nil
}
