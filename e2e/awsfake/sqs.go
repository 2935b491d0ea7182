package awsfake

import (
	"cmp"
	"context"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
)

func sqsOperations() map[string]operation {
	return map[string]operation{
		"sqs:CreateQueue":                  jsonOp((*AWS).sqsCreate),
		"sqs:DeleteQueue":                  jsonOp((*AWS).sqsDelete),
		"sqs:GetQueueUrl":                  jsonOp((*AWS).sqsURL),
		"sqs:GetQueueAttributes":           jsonOp((*AWS).sqsAttributes),
		"sqs:SetQueueAttributes":           jsonOp((*AWS).sqsSetAttributes),
		"sqs:PurgeQueue":                   jsonOp((*AWS).sqsPurge),
		"sqs:SendMessage":                  jsonOp((*AWS).sqsSend),
		"sqs:SendMessageBatch":             jsonOp((*AWS).sqsSendBatch),
		"sqs:ReceiveMessage":               jsonOp((*AWS).sqsReceive),
		"sqs:DeleteMessage":                jsonOp((*AWS).sqsDeleteMessage),
		"sqs:DeleteMessageBatch":           jsonOp((*AWS).sqsDeleteBatch),
		"sqs:ChangeMessageVisibility":      jsonOp((*AWS).sqsVisibility),
		"sqs:ChangeMessageVisibilityBatch": jsonOp((*AWS).sqsVisibilityBatch),
	}
}

func (a *AWS) sqsCreate(_ context.Context, in *sqs.CreateQueueInput) (smithy.Serializable, error) {
	if in.QueueName == nil {
		return nil, refuse("MissingParameter", "The request must contain the parameter QueueName.")
	}
	q, err := a.createQueue(*in.QueueName, in.Attributes)
	if err != nil {
		return nil, err
	}
	return &sqs.CreateQueueOutput{QueueUrl: &q.URL}, nil
}

func (a *AWS) sqsDelete(_ context.Context, in *sqs.DeleteQueueInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	q.Delete()
	return nil, nil
}

func (a *AWS) sqsURL(_ context.Context, in *sqs.GetQueueUrlInput) (smithy.Serializable, error) {
	if in.QueueName == nil {
		return nil, refuse("MissingParameter", "The request must contain the parameter QueueName.")
	}
	owner := a.o.Account
	if in.QueueOwnerAWSAccountId != nil {
		owner = *in.QueueOwnerAWSAccountId
	}
	url := "https://sqs." + a.o.Region + ".amazonaws.com/" + owner + "/" + *in.QueueName
	q, err := a.queueOf(&url)
	if err != nil {
		return nil, err
	}
	return &sqs.GetQueueUrlOutput{QueueUrl: &q.URL}, nil
}

func (a *AWS) sqsAttributes(_ context.Context, in *sqs.GetQueueAttributesInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	all := q.described()
	asked := map[string]string{}
	for _, name := range in.AttributeNames {
		_, text := all[string(name)]
		switch {
		case name == "All":
			maps.Copy(asked, all)
		case text:
			asked[string(name)] = all[string(name)]
		case checkAttribute(string(name), "") != nil:
			return nil, refuse("InvalidAttributeName", "Unknown Attribute %s.", name)
		}
	}
	return &sqs.GetQueueAttributesOutput{Attributes: asked}, nil
}

func (a *AWS) sqsSetAttributes(_ context.Context, in *sqs.SetQueueAttributesInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, q.SetAttributes(in.Attributes)
}

func (a *AWS) sqsPurge(_ context.Context, in *sqs.PurgeQueueInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	now := a.Now()
	q.mu.Lock()
	recent := now.Sub(q.purged) < time.Minute
	if !recent {
		q.purged = now
	}
	q.mu.Unlock()
	if recent {
		return nil, refuse("PurgeQueueInProgress", "Only one PurgeQueue operation on %s is allowed every 60 seconds.", q.name)
	}
	q.Purge()
	return nil, nil
}

// sqsReceive waits as long as it is told to, or the queue says.
func (a *AWS) sqsReceive(ctx context.Context, in *sqs.ReceiveMessageInput) (smithy.Serializable, error) {
	q, err := a.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	n := cmp.Or(int(in.MaxNumberOfMessages), 1)
	switch {
	case n < 1 || n > 10:
		return nil, refuse("InvalidParameterValue", "Value %d for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.", n)
	case in.WaitTimeSeconds < 0 || in.WaitTimeSeconds > 20:
		return nil, refuse("InvalidParameterValue", "Value %d for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.", in.WaitTimeSeconds)
	case in.VisibilityTimeout < 0 || in.VisibilityTimeout > 43_200:
		return nil, refuse("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200, if provided.", in.VisibilityTimeout)
	}
	got, err := q.receive(ctx, n, time.Duration(in.WaitTimeSeconds)*time.Second, time.Duration(in.VisibilityTimeout)*time.Second)
	if err != nil {
		return nil, err
	}
	return &sqs.ReceiveMessageOutput{Messages: q.shown(got, in)}, nil
}
