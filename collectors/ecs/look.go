package ecs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const (
	// perPage is how many tasks ECS lists and describes at once.
	perPage = 100
	// atOnce is how many tasks are told at a time.
	atOnce = 16
)

// listClusters returns the ARNs of the clusters to look at: those that are configured, or all that ECS lists and
// those of tasks that are known to live.
func (r *reconciler) listClusters(ctx context.Context) ([]string, error) {
	if len(r.clusters) > 0 {
		var list []string
		for _, name := range r.clusters {
			if !strings.HasPrefix(name, "arn:") {
				name = "arn:" + partitionOf(r.region) + ":ecs:" + r.region + ":" + r.account + ":cluster/" + name
			}
			list = append(list, name)
		}
		return list, nil
	}
	list, err := r.api.clusters(ctx)
	for _, cluster := range r.machine.clusters() {
		if a := splitARN(cluster); a.region == r.region && a.account == r.account && !slices.Contains(list, cluster) {
			list = append(list, cluster)
		}
	}
	return list, err
}

// clusters returns the ARNs of all clusters, or of those that were listed before an error.
func (a *ecsAPI) clusters(ctx context.Context) (list []string, err error) {
	in := &awsecs.ListClustersInput{MaxResults: aws.Int32(perPage)}
	for {
		out, err := ask(ctx, a, readClusters, "ecs:ListClusters", "the account", a.client.ListClusters, in)
		if err != nil {
			return list, err
		}
		list = append(list, out.ClusterArns...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return list, nil
		}
	}
}

// run compares the tasks of the cluster, then its services.
func (l *look) run(ctx context.Context) error {
	began := time.Now()
	live := l.machine.live(l.cluster)
	running, err := l.list(ctx, types.DesiredStatusRunning)
	if err != nil {
		return err
	}
	// This comes second: a task that stops meanwhile is in both lists, not in none.
	stopped, err := l.list(ctx, types.DesiredStatusStopped)
	if err != nil {
		return err
	}
	l.running = len(running)
	listed := make(map[string]bool, len(running)+len(stopped))
	for _, arn := range slices.Concat(running, stopped) {
		listed[arn] = true
	}
	stopped, err = l.news(ctx, stopped)
	if err != nil {
		return err
	}
	if err := l.describe(ctx, stopped, nil); err != nil {
		return err
	}
	// A list has no versions, and only a description tells health.
	if err := l.describe(ctx, running, nil); err != nil {
		return err
	}
	if err := l.lost(ctx, live, listed, began); err != nil {
		return err
	}
	return l.services(ctx)
}

// list returns the ARNs of the tasks of the cluster that ECS wants to be so. Of a cluster that is gone there are
// none.
func (l *look) list(ctx context.Context, desired types.DesiredStatus) ([]string, error) {
	var list []string
	in := &awsecs.ListTasksInput{Cluster: &l.cluster, DesiredStatus: desired, MaxResults: aws.Int32(perPage)}
	for {
		out, err := ask(ctx, l.api, readTasks, "ecs:ListTasks", "cluster "+lastPart(l.cluster), l.api.client.ListTasks, in)
		if noCluster(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, out.TaskArns...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return list, nil
		}
	}
}

func noCluster(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ClusterNotFoundException"
}

// news returns the tasks whose end is not known.
func (l *look) news(ctx context.Context, stopped []string) ([]string, error) {
	var list []string
	for _, arn := range stopped {
		over, err := l.machine.ended(ctx, l.cluster, arn)
		if err != nil {
			return nil, err
		}
		if !over {
			list = append(list, arn)
		}
	}
	return list, nil
}

// describe asks for tasks and hands them to the machine. Those that ECS does not know any more are handed to
// gone, if that is not nil.
func (l *look) describe(ctx context.Context, arns []string, gone func(arn string)) error {
	for page := range slices.Chunk(arns, perPage) {
		out, err := ask(ctx, l.api, readTasks, "ecs:DescribeTasks", "cluster "+lastPart(l.cluster), l.api.client.DescribeTasks,
			&awsecs.DescribeTasksInput{Cluster: &l.cluster, Tasks: page, Include: []types.TaskField{types.TaskFieldTags}})
		if noCluster(err) {
			out, err = &awsecs.DescribeTasksOutput{}, nil
			for _, arn := range page {
				out.Failures = append(out.Failures, types.Failure{Arn: aws.String(arn), Reason: aws.String(missing)})
			}
		}
		if err != nil {
			return err
		}
		if err := l.handle(ctx, out.Tasks); err != nil {
			return err
		}
		for _, f := range out.Failures {
			if gone != nil && aws.ToString(f.Reason) == missing {
				gone(aws.ToString(f.Arn))
			}
		}
	}
	return nil
}

// missing is what ECS says of a task that it does not know.
const missing = "MISSING"

func (l *look) handle(ctx context.Context, tasks []types.Task) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range tasks {
		f := factOf(taskOf(&tasks[i]), l.origin, event.ObservedReconcile)
		if f.event.Data.Task.State != event.StateStopped {
			l.workloads[f.event.Data.Workload] = true
		}
		group.Go(func() error { return l.machine.handle(ctx, &f, l.tell) })
	}
	return group.Wait()
}

// lost asks by name for tasks that are known to live and in no list, and tells that they are gone.
func (l *look) lost(ctx context.Context, live []known, listed map[string]bool, began time.Time) error {
	absent := map[string]known{}
	var arns []string
	for _, k := range live {
		if !listed[k.ARN] && k.Saved.Before(began.Add(-listedAfter)) {
			absent[k.ARN] = k
			arns = append(arns, k.ARN)
		}
	}
	var vanished []known
	if err := l.describe(ctx, arns, func(arn string) {
		if k, ok := absent[arn]; ok {
			vanished = append(vanished, k)
		}
	}); err != nil {
		return err
	}
	for _, k := range vanished {
		if err := l.machine.vanish(ctx, k, began, l.tell); err != nil {
			return err
		}
		l.vanished++
	}
	return nil
}

// partitionOf is the part of AWS that a region belongs to.
func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
