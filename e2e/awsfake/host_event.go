package awsfake

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// InstanceEvent is the container instance state change of an instance of a cluster as it is in i.
func (a *AWS) InstanceEvent(cluster string, i types.ContainerInstance) string {
	arn := text(i.ContainerInstanceArn)
	return a.Envelope(Event{DetailType: "ECS Container Instance State Change", Resources: []string{arn}, Detail: map[string]any{
		"containerInstanceArn": arn, "clusterArn": a.ClusterARN(cluster), "ec2InstanceId": text(i.Ec2InstanceId), "status": text(i.Status),
		"agentConnected": i.AgentConnected, "version": i.Version, "updatedAt": iso(a.Now()), "registeredResources": []any{}, "remainingResources": []any{},
	}})
}

// SpotWarning is the warning of EC2, two minutes before it takes an instance away.
func (a *AWS) SpotWarning(instance string) string {
	return a.Envelope(Event{
		Source: "aws.ec2", DetailType: "EC2 Spot Instance Interruption Warning",
		Resources: []string{"arn:aws:ec2:" + a.o.Region + "a:instance/" + instance},
		Detail:    map[string]any{"instance-id": instance, "instance-action": "terminate"},
	})
}

// StopTaskCall is what CloudTrail tells, minutes later, of who asked to stop a task: somebody with a session
// of a role.
func (a *AWS) StopTaskCall(task, role, session, reason string) string {
	_, path, _ := strings.Cut(task, ":task/")
	cluster, _, _ := strings.Cut(path, "/")
	return a.Envelope(Event{DetailType: "AWS API Call via CloudTrail", Detail: map[string]any{
		"eventVersion": "1.11", "eventSource": "ecs.amazonaws.com", "eventName": "StopTask", "eventTime": a.Now().UTC().Format("2006-01-02T15:04:05Z"),
		"awsRegion": a.o.Region, "sourceIPAddress": "192.0.2.7", "eventType": "AwsApiCall", "eventID": a.uuid(), "recipientAccountId": a.o.Account,
		"userIdentity": map[string]any{
			"type": "AssumedRole", "accountId": a.o.Account, "principalId": "AROAEXAMPLE:" + session, "accessKeyId": "ASIAEXAMPLE",
			"arn": "arn:aws:sts::" + a.o.Account + ":assumed-role/" + role + "/" + session,
			"sessionContext": map[string]any{"sessionIssuer": map[string]any{
				"type": "Role", "principalId": "AROAEXAMPLE", "arn": "arn:aws:iam::" + a.o.Account + ":role/" + role, "accountId": a.o.Account, "userName": role,
			}},
		},
		"requestParameters": map[string]any{"cluster": cluster, "task": task, "reason": reason},
		"responseElements":  map[string]any{"task": map[string]any{"taskArn": task, "clusterArn": a.ClusterARN(cluster), "desiredStatus": "STOPPED"}},
	}})
}
