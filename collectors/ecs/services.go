package ecs

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// servicesAtOnce is how many services ECS describes at once.
const servicesAtOnce = 10

// The events of a service that only a comparison tells.
const (
	belowDesired = "below_desired"
	atDesired    = "at_desired"
)

// shortfall is what is saved of a service that had fewer tasks than it wants.
type shortfall struct {
	Below bool  `json:"b,omitempty"`
	Count int64 `json:"n,omitempty"` // how often that has changed, since the bucket has it
	Saved int64 `json:"z,omitempty"` // Unix seconds
}

// services tells which services have fewer tasks than they want, and which have all again. One that is being
// deployed is in motion and left alone.
func (l *look) services(ctx context.Context) error {
	var names []string
	in := &awsecs.ListServicesInput{Cluster: &l.cluster, MaxResults: aws.Int32(perPage)}
	for {
		out, err := ask(ctx, l.api, readServices, "ecs:ListServices", "cluster "+lastPart(l.cluster), l.api.client.ListServices, in)
		if noCluster(err) {
			return nil
		}
		if err != nil {
			return err
		}
		names = append(names, out.ServiceArns...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	for page := range slices.Chunk(names, servicesAtOnce) {
		list, err := l.api.services(ctx, l.cluster, page)
		if err != nil {
			return err
		}
		for i := range list {
			if err := l.weighService(ctx, &list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// weighService tells a change between too few tasks and enough.
func (l *look) weighService(ctx context.Context, s *service) error {
	below := s.Running < s.Desired
	if s.Status != "ACTIVE" || below && s.InProgress != "" {
		return nil
	}
	key := "s." + clusterKey(l.cluster) + "." + event.Token(s.Name)
	known, _, err := read[shortfall](ctx, l.machine.shelf, key, fresh)
	if err != nil {
		return err
	}
	now := time.Now()
	next := shortfall{below, known.Count + 1, now.Unix()}
	switch {
	case known.Below != below:
	case below && now.Sub(time.Unix(known.Saved, 0)) > refreshAfter: // written again before the bucket lets it go
		next.Count--
		return l.saveShortfall(ctx, key, next)
	default:
		return nil
	}
	if err := l.tell(ctx, out{event: l.serviceEvent(s, next)}); err != nil {
		return err
	}
	return l.saveShortfall(ctx, key, next)
}

func (l *look) saveShortfall(ctx context.Context, key string, next shortfall) error {
	return update(ctx, l.machine.shelf, key, func(v *shortfall) bool {
		changed := *v != next
		*v = next
		return changed
	})
}

func (l *look) serviceEvent(s *service, now shortfall) event.Event {
	subject := event.SubjectOf(lastPart(l.cluster), s.Name, "")
	a := splitARN(l.cluster)
	labels := withTags(nil, s.Tags)
	e := event.Event{
		// The day, because the bucket forgets a count after a week and it begins anew.
		ID:     event.NewID("ecs", s.ARN, belowDesired, strconv.FormatInt(now.Count, 10), time.Unix(now.Saved, 0).UTC().Format(time.DateOnly)),
		Source: l.cluster, Type: event.ServiceUpdated, Subject: subject, PartitionKey: subject, Time: time.Now().UTC(), Severity: event.Info,
		Data: event.Data{
			Site: l.origin.Site, Runtime: event.ECS, Scope: lastPart(l.cluster), Account: a.account, Region: a.region,
			Workload: s.Name, Revision: lastPart(s.Definition), Observed: event.ObservedReconcile,
			Owner: redact.Text(labels[collectors.LabelOwner]), Labels: labels,
			Service: &event.Service{
				Name: s.Name, Event: atDesired, Counts: &event.Counts{Desired: s.Desired, Running: s.Running, Pending: s.Pending},
			},
			Message: fmt.Sprintf("%s runs all of its %d tasks again", s.Name, s.Desired),
			Native:  &event.Native{Action: "DescribeServices"},
		},
	}
	if now.Below {
		e.Severity, e.Data.Service.Event = event.Warn, belowDesired
		e.Data.Message = fmt.Sprintf("%s runs %d of %d tasks, and no deployment is under way", s.Name, s.Running, s.Desired)
	}
	return e
}
