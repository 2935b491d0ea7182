package install_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// installation is a stack that was applied.
type installation struct {
	t       *testing.T
	moto    *harness.Moto
	outputs map[string]string
}

// apply makes a stack of a template, under a prefix of its own.
func apply(t *testing.T, name string, parameters map[string]string) *installation {
	t.Helper()
	i := &installation{t: t, moto: stand.Moto(t), outputs: map[string]string{}}
	client := cloudformation.NewFromConfig(i.moto.Config())
	prefix := fmt.Sprintf("bb%d", time.Now().UnixNano()%1e12)
	given := []types.Parameter{{ParameterKey: aws.String("Prefix"), ParameterValue: &prefix}}
	for key, value := range explicit(t, name, parameters) {
		given = append(given, types.Parameter{ParameterKey: &key, ParameterValue: &value})
	}
	_, err := client.CreateStack(t.Context(), &cloudformation.CreateStackInput{
		StackName: &prefix, TemplateBody: aws.String(text(t, name)), Parameters: given,
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := client.DeleteStack(context.Background(), &cloudformation.DeleteStackInput{StackName: &prefix})
		assert.NoError(t, err)
	})
	found, err := client.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: &prefix})
	require.NoError(t, err)
	require.Len(t, found.Stacks, 1)
	require.Equal(t, types.StackStatusCreateComplete, found.Stacks[0].StackStatus, aws.ToString(found.Stacks[0].StackStatusReason))
	for _, o := range found.Stacks[0].Outputs {
		i.outputs[*o.OutputKey] = *o.OutputValue
	}
	return i
}

// explicit adds the defaults of lists: moto makes a list only of what it is given, and trims nothing.
func explicit(t *testing.T, name string, parameters map[string]string) map[string]string {
	all := map[string]string{}
	for key, p := range template(t, name).Parameters {
		if p["Type"] == "CommaDelimitedList" {
			all[key] = strings.ReplaceAll(p["Default"].(string), ", ", ",")
		}
	}
	maps.Copy(all, parameters)
	return all
}

// happen puts an event on the default bus. The detail is JSON.
func (i *installation) happen(source, kind, detail string) {
	i.t.Helper()
	said, err := eventbridge.NewFromConfig(i.moto.Config()).PutEvents(i.t.Context(), &eventbridge.PutEventsInput{
		Entries: []eventtypes.PutEventsRequestEntry{{Source: &source, DetailType: &kind, Detail: &detail}},
	})
	require.NoError(i.t, err)
	require.Zero(i.t, said.FailedEntryCount)
}

// arrived returns source and detail-type of what waits in the queue.
func (i *installation) arrived() []string {
	i.t.Helper()
	all, queue := []string{}, aws.String(i.outputs["QueueUrl"])
	const waiting = sqstypes.QueueAttributeNameApproximateNumberOfMessages // moto counts exactly and delivers at once
	counted, err := sqs.NewFromConfig(i.moto.Config()).GetQueueAttributes(i.t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: queue, AttributeNames: []sqstypes.QueueAttributeName{waiting},
	})
	require.NoError(i.t, err)
	n, err := strconv.Atoi(counted.Attributes[string(waiting)])
	require.NoError(i.t, err)
	for _, message := range i.moto.Messages(i.t, *queue, 10*time.Second, harness.AtLeast(n)) {
		var envelope struct {
			Source string `json:"source"`
			Type   string `json:"detail-type"`
		}
		require.NoError(i.t, json.Unmarshal([]byte(*message.Body), &envelope))
		all = append(all, envelope.Source+": "+envelope.Type)
	}
	return all
}

// offered is one of each kind that AWS may tell.
func (i *installation) offered() {
	for _, kind := range []string{"ECS Task State Change", "ECS Service Action", "ECS Deployment State Change", "ECS Something New"} {
		i.happen("aws.ecs", kind, `{}`)
	}
	i.happen("aws.ecs", "ECS Container Instance State Change", `{"status":"ACTIVE"}`)
	i.happen("aws.ecs", "ECS Container Instance State Change", `{"status":"DRAINING"}`)
	i.happen("aws.ecs", "AWS API Call via CloudTrail", `{"eventName":"StopTask"}`)
	i.happen("aws.ecs", "AWS API Call via CloudTrail", `{"eventName":"SubmitTaskStateChange"}`)
	i.happen("aws.ec2", "EC2 Spot Instance Interruption Warning", `{}`)
	i.happen("aws.ec2", "AWS API Call via CloudTrail", `{"eventName":"RunInstances"}`)
	i.happen("aws.ecr", "ECR Image Action", `{}`)
	i.happen("aws.health", "AWS Health Event", `{}`)
	i.happen("aws.s3", "Object Created", `{}`)
}

func TestWhatArrives(t *testing.T) {
	ecs := []string{"aws.ecs: ECS Task State Change", "aws.ecs: ECS Service Action", "aws.ecs: ECS Deployment State Change", "aws.ecs: ECS Something New"}
	const instance = "aws.ecs: ECS Container Instance State Change"
	for name, c := range map[string]struct {
		template   string
		parameters map[string]string
		also       []string
	}{
		"by default": {home, nil, []string{
			instance, "aws.ecs: AWS API Call via CloudTrail",
			"aws.ec2: EC2 Spot Instance Interruption Warning", "aws.ecr: ECR Image Action", "aws.health: AWS Health Event",
		}},
		"tasks only":  {home, map[string]string{"ContainerInstanceEvents": "none", "ApiCallEvents": "false", "OtherSources": ""}, nil},
		"all of ours": {home, map[string]string{"ContainerInstanceEvents": "all", "ApiCallEvents": "false", "OtherSources": ""}, []string{instance, instance}},
		"another source": {home, map[string]string{
			"ContainerInstanceEvents": "none", "ApiCallEvents": "false", "OtherSources": "aws.s3", "OtherDetailTypes": "Object Created",
		}, []string{"aws.s3: Object Created"}},
		"of a member": {member, map[string]string{
			"RunnerArn": everything(member)["RunnerArn"], "ExternalId": everything(member)["ExternalId"],
			"ContainerInstanceEvents": "none", "ApiCallEvents": "false", "OtherSources": "aws.ec2",
		}, []string{"aws.ec2: EC2 Spot Instance Interruption Warning"}},
	} {
		t.Run(name, func(t *testing.T) {
			i := apply(t, c.template, c.parameters)
			i.offered()
			assert.ElementsMatch(t, append(c.also, ecs...), i.arrived())
		})
	}
}

func TestEverythingApplies(t *testing.T) {
	for _, name := range templates() {
		i := apply(t, name, everything(name))
		made := stack(t, name, everything(name))
		assert.Len(t, i.outputs, len(made.Outputs), name)
		for output := range made.Outputs {
			assert.NotEmpty(t, i.outputs[output], "%s of %s", output, name)
		}
	}
}
