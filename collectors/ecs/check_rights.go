package ecs

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
)

// checkedClusters is how many clusters are tried if the config names none.
const checkedClusters = 10

// trial makes calls of the comparison with ECS for things that need not be there: whoever may not ask is told
// that before it is told that they are not.
type trial struct {
	client   *awsecs.Client
	warnings []string
	problems []error
}

// tryLooks tries what a comparison asks for in each cluster that it looks at, and what a stop asks for.
func (c Config) tryLooks(ctx context.Context, client *awsecs.Client) (warnings []string, problems []error) {
	t := trial{client: client}
	clusters := c.Clusters
	if len(clusters) == 0 {
		clusters = t.clusters(ctx)
	}
	for _, cluster := range clusters {
		if t.cluster(ctx, cluster) && len(c.Clusters) > 0 {
			t.warnings = append(t.warnings, fmt.Sprintf("there is no cluster %s in %s of account %s; if clusters does not mean one that is still to come, correct it", lastPart(cluster), c.region(), c.Account()))
		}
	}
	_, err := client.DescribeTaskDefinition(ctx, &awsecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("bellbuoy-check")})
	t.judge("ecs:DescribeTaskDefinition", "task definitions", err)
	return t.warnings, t.problems
}

// judge notes what keeps a call from being answered.
func (t *trial) judge(action, target string, err error) {
	if err == nil {
		return
	}
	if r := refused(action, target, err); r.reason != reasonOther {
		t.problems = append(t.problems, r)
	}
}

// clusters returns some of the clusters that a comparison would look at.
func (t *trial) clusters(ctx context.Context) []string {
	out, err := t.client.ListClusters(ctx, &awsecs.ListClustersInput{MaxResults: aws.Int32(checkedClusters)})
	t.judge("ecs:ListClusters", "the account", err)
	if err != nil || len(out.ClusterArns) == 0 {
		return []string{"default"}
	}
	return out.ClusterArns
}

// cluster tries the calls of one cluster, and reports whether there is no such cluster.
func (t *trial) cluster(ctx context.Context, cluster string) (missing bool) {
	on := "cluster " + lastPart(cluster)
	_, err := t.client.ListTasks(ctx, &awsecs.ListTasksInput{Cluster: &cluster, MaxResults: aws.Int32(1)})
	t.judge("ecs:ListTasks", on, err)
	missing = noCluster(err)
	_, err = t.client.DescribeTasks(ctx, &awsecs.DescribeTasksInput{Cluster: &cluster, Tasks: []string{"00000000000000000000000000000000"}})
	t.judge("ecs:DescribeTasks", on, err)
	_, err = t.client.ListServices(ctx, &awsecs.ListServicesInput{Cluster: &cluster, MaxResults: aws.Int32(1)})
	t.judge("ecs:ListServices", on, err)
	_, err = t.client.DescribeServices(ctx, &awsecs.DescribeServicesInput{Cluster: &cluster, Services: []string{"bellbuoy-check"}})
	t.judge("ecs:DescribeServices", on, err)
	return missing
}
