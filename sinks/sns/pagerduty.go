package sns

import (
	"cmp"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// alarm has the shape of a notification of Amazon CloudWatch, which the CloudWatch integrations of PagerDuty and
// Opsgenie read from a topic. AlarmName is what they merge by: the same from an incident's opening to its end. The
// shape is CloudWatch's, see https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html;
// how those two read it is not documented and was not tried against them.
type alarm struct {
	AlarmName        string  `json:"AlarmName"`
	AlarmDescription string  `json:"AlarmDescription"`
	AWSAccountID     string  `json:"AWSAccountId"`
	NewStateValue    string  `json:"NewStateValue"`
	NewStateReason   string  `json:"NewStateReason"`
	StateChangeTime  string  `json:"StateChangeTime"`
	Region           string  `json:"Region"`
	AlarmARN         string  `json:"AlarmArn"`
	OldStateValue    string  `json:"OldStateValue"`
	Trigger          trigger `json:"Trigger"`
}

type trigger struct {
	MetricName string      `json:"MetricName"`
	Namespace  string      `json:"Namespace"`
	Dimensions []dimension `json:"Dimensions"`
}

type dimension struct {
	Value string `json:"value"`
	Name  string `json:"name"`
}

// The states of an alarm.
const (
	stateAlarm = "ALARM"
	stateOK    = "OK"
)

func alarmState(e *event.Event) string {
	if i := e.Data.Incident; i != nil && i.State == "resolved" {
		return stateOK
	}
	return stateAlarm
}

// maxAlarmText keeps the description within what a pager shows.
const maxAlarmText = 8 << 10

// pagerduty makes subject and body, the body of at most budget bytes.
func pagerduty(cfg Config, e *event.Event, n notice.Notice, budget int) (subject, body string, cut bool, err error) {
	state := alarmState(e)
	part := strings.Split(cfg.TopicARN, ":")
	account, region := cmp.Or(e.Data.Account, part[4]), cmp.Or(e.Data.Region, part[3])
	name := alarmName(e)
	a := alarm{
		AlarmName: name, AWSAccountID: account, NewStateValue: state, NewStateReason: reasonOf(n), Region: region,
		StateChangeTime: changed(e).UTC().Format("2006-01-02T15:04:05.000-0700"), OldStateValue: stateOK,
		AlarmARN: "arn:aws:cloudwatch:" + region + ":" + account + ":alarm:" + name,
		Trigger:  trigger{MetricName: cmp.Or(notice.Workload(e), "bellbuoy"), Namespace: "Bellbuoy", Dimensions: dimensions(e)},
	}
	if state == stateOK {
		a.OldStateValue = stateAlarm
	}
	body, cut, err = squeeze(e, n.Plain(), min(maxAlarmText, budget), budget, func(text string, step int) any {
		a.AlarmDescription = text
		switch step {
		case 1:
			a.Trigger.Dimensions = []dimension{}
		case 2:
			a.NewStateReason = runes(a.NewStateReason, 40)
		case 3:
			a.Trigger.MetricName = "bellbuoy"
		}
		return a
	})
	return ascii(state+`: "`+name+`"`, maxSubject), body, cut, err
}

func changed(e *event.Event) time.Time {
	if e.Time.IsZero() {
		return e.Recorded
	}
	return e.Time
}

func reasonOf(n notice.Notice) string {
	if n.Mark != "" {
		return n.Mark + ": " + n.Headline
	}
	return n.Headline
}

// alarmName is the same for all transitions of an incident, and another for each event that is of none. It is
// printable ASCII, as the subject that repeats it is.
func alarmName(e *event.Event) string {
	id := e.ID
	if i := e.Data.Incident; i != nil && i.ID != "" {
		id = i.ID
	}
	id = ascii(id, 40)
	return ascii(notice.Workload(e), maxSubject-len(`ALARM: ""`)-len(" ")-len(id)) + " " + id
}

func dimensions(e *event.Event) []dimension {
	list := []dimension{}
	for _, d := range []dimension{{e.Data.Site, "site"}, {e.Data.Scope, "scope"}, {e.Data.Workload, "workload"}, {e.Data.Node, "node"}} {
		if d.Value = notice.Cut(notice.Clean(d.Value), maxAttribute); d.Value != "" {
			list = append(list, d)
		}
	}
	return list
}
