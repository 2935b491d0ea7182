package ecs

import (
	"cmp"
	"errors"
	"strconv"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// instanceDetail is the detail of events of a container instance. See
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_container_instance_events.html and
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_container_instance_health_events.html.
type instanceDetail struct {
	ARN       string `json:"containerInstanceArn"`
	Cluster   string `json:"clusterArn"`
	EC2       string `json:"ec2InstanceId"`
	Status    string `json:"status"`
	Reason    string `json:"statusReason"`
	Connected *bool  `json:"agentConnected"`
	Version   number `json:"version"`
	Updated   moment `json:"updatedAt"`

	Overall string `json:"overallStatus"`
	Checks  []struct {
		Type    string `json:"type"`
		Status  string `json:"status"`
		Reason  string `json:"statusReason"`
		Changed moment `json:"lastStatusChange"`
	} `json:"healthChecks"`
}

func (r *record) instance(o origin) (*instanceDetail, event.Event, error) {
	d := &instanceDetail{}
	if err := jsonv2.Unmarshal(r.Detail, d, reading()); err != nil {
		return nil, event.Event{}, whyNot(r.Detail, err)
	}
	if d.ARN == "" {
		return nil, event.Event{}, errors.New("containerInstanceArn is missing")
	}
	d.Reason = redact.Text(d.Reason)
	e := r.onHost(o, d.Cluster, event.Host{ID: lastPart(d.ARN), Instance: d.EC2, Reason: d.Reason})
	e.Time = cmpTime(d.Updated.time(), r.Time)
	return d, e, nil
}

// onHost makes an event of a host.
func (r *record) onHost(o origin, cluster string, h event.Host) event.Event {
	e := r.event(o, event.NodeUpdated, place{cluster, cmp.Or(lastPart(cluster), r.Source), "", cmp.Or(h.ID, h.Instance)})
	e.Data.Node, e.Data.Host = cmp.Or(h.ID, h.Instance), &h
	e.Data.Native.Record = safeRecord(r)
	e.Severity = event.Info
	return e
}

// translateInstance makes the fact of a container instance's state, which says whether its tasks are going to be
// stopped.
func translateInstance(r *record, o origin) (fact, error) {
	d, e, err := r.instance(o)
	if err != nil {
		return fact{}, err
	}
	e.ID = event.NewID("ecs", d.ARN, strconv.FormatInt(int64(d.Version), 10))
	if d.Version == 0 {
		e.ID = r.identity(d.ARN, d.Status, stamp(e.Time))
	}
	e.Data.Host.Status = d.Status
	e.Data.Message = "host " + cmp.Or(d.EC2, lastPart(d.ARN)) + " is " + d.Status
	if d.Connected != nil {
		e.Data.Host.Agent = "connected"
		if !*d.Connected { // agents connect anew several times an hour: that alone is nothing
			e.Data.Host.Agent = "disconnected"
			e.Data.Message += ", its agent is disconnected"
		}
	}
	e.Data.Message += because(d.Reason)
	lost := d.Status == "INACTIVE" || d.Status == "DEREGISTERING"
	return fact{event: e, note: &note{
		Host: d.ARN, EC2: d.EC2, Cluster: d.Cluster, Draining: d.Status == "DRAINING", Lost: lost, At: e.Time,
	}}, nil
}

// translateInstanceHealth makes the fact of a container instance's own health checks.
func translateInstanceHealth(r *record, o origin) (fact, error) {
	d, e, err := r.instance(o)
	if err != nil {
		return fact{}, err
	}
	parts := []string{d.ARN, d.Overall}
	for _, c := range d.Checks {
		parts = append(parts, c.Type, c.Status, stamp(c.Changed.time()))
		if c.Status == "OK" {
			continue
		}
		line := c.Type + " " + c.Status + because(redact.Text(c.Reason))
		e.Data.Host.Checks = append(e.Data.Host.Checks, line)
	}
	e.ID = r.identity(parts...)
	e.Data.Host.Status = d.Overall
	e.Data.Message = "host " + cmp.Or(d.EC2, lastPart(d.ARN)) + " is " + d.Overall + because(firstOf(e.Data.Host.Checks))
	if d.Overall == "IMPAIRED" {
		e.Severity = event.Warn
	}
	return fact{event: e}, nil
}

// warning is the detail of what EC2 says about a Spot instance. See
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html.
type warning struct {
	Instance string `json:"instance-id"`
	Action   string `json:"instance-action"`
}

func (r *record) warned(o origin, status string) (warning, event.Event, error) {
	var d warning
	if err := jsonv2.Unmarshal(r.Detail, &d, reading()); err != nil {
		return d, event.Event{}, whyNot(r.Detail, err)
	}
	if d.Instance == "" {
		return d, event.Event{}, errors.New("instance-id is missing")
	}
	e := r.onHost(o, "", event.Host{Instance: d.Instance, Status: status})
	e.ID = r.identity(d.Instance, d.Action, stamp(r.Time))
	return d, e, nil
}

// translateSpot makes the fact of a Spot instance that ends in two minutes.
func translateSpot(r *record, o origin) (fact, error) {
	d, e, err := r.warned(o, "SPOT_INTERRUPTION")
	if err != nil {
		return fact{}, err
	}
	e.Data.Message = "Spot instance " + d.Instance + " is taken back in two minutes: " + cmp.Or(d.Action, "terminate")
	return fact{event: e, note: &note{EC2: d.Instance, Spot: true, At: r.Time}}, nil
}

// translateRebalance makes the fact of a Spot instance that may end sooner than others.
func translateRebalance(r *record, o origin) (fact, error) {
	d, e, err := r.warned(o, "REBALANCE_RECOMMENDED")
	e.Data.Message = "Spot instance " + d.Instance + " may be taken back soon"
	return fact{event: e}, err
}
