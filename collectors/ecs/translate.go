package ecs

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// origin is where a collector's events come from.
type origin struct {
	Site string
}

// kindOfRecord is how records of one detail-type become facts.
type kindOfRecord struct {
	source, detailType string
	translate          func(*record, origin) (fact, error)
}

// kindsOfRecords is every detail-type that is understood. Any other passes as it is.
// See https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_cwe_events.html.
var kindsOfRecords = []kindOfRecord{
	{"aws.ecs", "ECS Task State Change", translateTask},
	{"aws.ecs", "ECS Service Action", translateService},
	{"aws.ecs", "ECS Daemon Service Action", translateDaemon},
	{"aws.ecs", "ECS Deployment State Change", translateDeployment},
	{"aws.ecs", "ECS Daemon Deployment State Change", translateDaemonDeployment},
	{"aws.ecs", "ECS Hook State Change", translateHook},
	{"aws.ecs", "ECS Container Instance State Change", translateInstance},
	{"aws.ecs", "ECS Container Instance Health Change", translateInstanceHealth},
	{"aws.ecs", "AWS API Call via CloudTrail", translateCall},
	{"aws.ec2", "EC2 Spot Instance Interruption Warning", translateSpot},
	{"aws.ec2", "EC2 Instance Rebalance Recommendation", translateRebalance},
	{"aws.ecr", "ECR Image Action", translateImageAction},
	{"aws.ecr", "ECR Image Scan", translateImageScan},
	{"aws.codedeploy", "CodeDeploy Deployment State-change Notification", translateCodeDeploy},
}

// reader makes a fact of a body. The error is a *poison: there will never be one.
func reader(o origin, now func() time.Time) func(body []byte) (*fact, error) {
	return func(body []byte) (*fact, error) {
		r, err := decodeRecord(body)
		if err != nil {
			return nil, err
		}
		r.date(now)
		f := translate(&r, o)
		return &f, nil
	}
}

// date gives a record without a time the newest one in its detail, or the present.
func (r *record) date(now func() time.Time) {
	if r.Time.IsZero() {
		r.Time = newestOf(r.Detail)
	}
	if r.Time.IsZero() {
		r.Time = now().UTC()
	}
}

// translate makes a fact of a record that has a time. A record of a known kind that does not have what such a
// record needs passes as it is, like one of an unknown kind.
func translate(r *record, o origin) fact {
	for _, k := range kindsOfRecords {
		if k.detailType != r.DetailType || k.source != r.Source {
			continue
		}
		f, err := k.translate(r, o)
		if err == nil {
			return f
		}
		return passNative(r, o, err.Error())
	}
	return passNative(r, o, "")
}

// newestOf is the newest time that stands in a detail itself, in place of an envelope's that is missing.
func newestOf(detail json.RawMessage) (newest time.Time) {
	var d map[string]json.RawMessage
	if jsonv2.Unmarshal(detail, &d, reading()) != nil {
		return newest
	}
	for name, value := range d {
		var at moment
		if (strings.HasSuffix(name, "At") || strings.HasSuffix(name, "Time")) && at.UnmarshalJSON(value) == nil && at.time().After(newest) {
			newest = at.time()
		}
	}
	return newest
}

// event returns an event of a record with what does not depend on its detail; subject names what it is about.
func (r *record) event(o origin, t event.Type, p place) event.Event {
	subject := event.SubjectOf(p.Scope, p.Workload, p.ID)
	e := event.Event{
		Source: sourceOf(o, p.Cluster, r.Region), Type: t,
		Subject: subject, PartitionKey: subject, Time: r.Time.UTC(),
		Data: event.Data{
			Site: o.Site, Runtime: event.ECS, Scope: p.Scope, Workload: p.Workload, Account: r.Account, Region: r.Region,
			Observed: event.ObservedStream,
			Native:   &event.Native{Action: r.DetailType, TimeNano: strconv.FormatInt(r.Time.UnixNano(), 10)},
		},
	}
	if a := splitARN(p.Cluster); e.Data.Account == "" || e.Data.Region == "" {
		e.Data.Account, e.Data.Region = cmp.Or(e.Data.Account, a.account), cmp.Or(e.Data.Region, a.region)
	}
	return e
}

// sourceOf is the cluster's ARN, or, of what has no cluster, the region.
func sourceOf(o origin, cluster, region string) string {
	if cluster != "" && strings.HasPrefix(cluster, "arn:") {
		return cluster
	}
	return event.SourceOf(o.Site, event.ECS, cmp.Or(region, "aws"))
}

// place is what an event is about: in which cluster (ARN), what workload there and which of its things.
type place struct {
	Cluster, Scope, Workload, ID string
}

// id identifies a record without a version by what it tells, so that the same told again is the same.
func (r *record) identity(parts ...string) string {
	return event.NewID(append([]string{"ecs", r.DetailType}, parts...)...)
}

// stamp is a time as a part of an identity.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// resource returns the first resource whose ARN has this kind, such as service.
func (r *record) resource(kind string) string {
	for _, arn := range r.Resources {
		if splitARN(arn).kind == kind {
			return arn
		}
	}
	return ""
}
