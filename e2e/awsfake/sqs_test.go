package awsfake

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func codeOf(err error) string {
	var said smithy.APIError
	if errors.As(err, &said) {
		return said.ErrorCode()
	}
	return ""
}

// receive takes up to ten messages without waiting.
func receive(t *testing.T, c *sqs.Client, q *Queue) []types.Message {
	t.Helper()
	out, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &q.URL, MaxNumberOfMessages: 10, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
	})
	require.NoError(t, err)
	return out.Messages
}

func TestMessageIsReceivedHiddenAndDeleted(t *testing.T) {
	a := Start(t, Options{})
	c := sqs.NewFromConfig(a.Config())
	q := a.CreateQueue("events", nil)
	sent, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &q.URL, MessageBody: aws.String("one")})
	require.NoError(t, err)

	got := receive(t, c, q)
	require.Len(t, got, 1)
	assert.Equal(t, *sent.MessageId, *got[0].MessageId)
	assert.Equal(t, "one", *got[0].Body)
	assert.Equal(t, "1", got[0].Attributes["ApproximateReceiveCount"])
	assert.Empty(t, receive(t, c, q), "it is hidden")
	assert.Equal(t, []int{0, 1}, []int{q.Visible(), q.InFlight()})

	a.Advance(31 * time.Second)
	again := receive(t, c, q)
	require.Len(t, again, 1)
	assert.NotEqual(t, *got[0].ReceiptHandle, *again[0].ReceiptHandle)
	assert.Equal(t, 2, q.Received(*sent.MessageId))

	for _, m := range []types.Message{got[0], again[0], again[0]} {
		_, err = c.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &q.URL, ReceiptHandle: m.ReceiptHandle})
		require.NoError(t, err, "an old handle and a deleted message are no errors")
	}
	assert.Equal(t, 1, q.Deleted())
	assert.Zero(t, q.Len())
}

func TestLongPollWaits(t *testing.T) {
	a := Start(t, Options{})
	c := sqs.NewFromConfig(a.Config())
	q := a.CreateQueue("events", nil)
	done := make(chan int)
	go func() {
		out, err := c.ReceiveMessage(context.WithoutCancel(t.Context()), &sqs.ReceiveMessageInput{QueueUrl: &q.URL, WaitTimeSeconds: 20})
		if err != nil {
			done <- -1
			return
		}
		done <- len(out.Messages)
	}()
	require.Eventually(t, func() bool { return a.Count("sqs:ReceiveMessage") == 1 }, 5*time.Second, time.Millisecond)
	q.Send("one")
	assert.Equal(t, 1, <-done)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &q.URL, WaitTimeSeconds: 20})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Eventually(t, func() bool { return a.Busy() == 0 }, 5*time.Second, time.Millisecond)
	q.Send("two")
	assert.Len(t, receive(t, c, q), 1, "who hung up gets nothing")
}

func TestRedrive(t *testing.T) {
	a := Start(t, Options{})
	c := sqs.NewFromConfig(a.Config())
	dead := a.CreateQueue("dead", nil)
	q := a.CreateQueue("events", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + dead.ARN + `","maxReceiveCount":"2"}`})
	q.Send("poison")
	for range 2 {
		require.Len(t, receive(t, c, q), 1)
		a.Advance(time.Minute)
	}
	assert.Empty(t, receive(t, c, q))
	got := receive(t, c, dead)
	require.Len(t, got, 1)
	assert.Equal(t, q.ARN, got[0].Attributes["DeadLetterQueueSourceArn"])
	assert.Zero(t, q.Len())
}

func TestVisibilityAndBatchVerdicts(t *testing.T) {
	a := Start(t, Options{})
	c := sqs.NewFromConfig(a.Config())
	q := a.CreateQueue("events", map[string]string{"VisibilityTimeout": "60"})
	q.Send("one", "two")
	got := receive(t, c, q)
	require.Len(t, got, 2)

	_, err := c.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &q.URL, ReceiptHandle: got[0].ReceiptHandle, VisibilityTimeout: 0})
	require.NoError(t, err)
	assert.Equal(t, 1, q.Visible())
	_, err = c.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &q.URL, ReceiptHandle: got[0].ReceiptHandle, VisibilityTimeout: 9})
	var notInFlight *types.MessageNotInflight
	require.ErrorAs(t, err, &notInFlight)

	out, err := c.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &q.URL, Entries: []types.DeleteMessageBatchRequestEntry{
		{Id: aws.String("good"), ReceiptHandle: got[1].ReceiptHandle},
		{Id: aws.String("bad"), ReceiptHandle: aws.String("made up")},
	}})
	require.NoError(t, err)
	require.Len(t, out.Successful, 1)
	require.Len(t, out.Failed, 1)
	assert.Equal(t, "ReceiptHandleIsInvalid", *out.Failed[0].Code)
	assert.Equal(t, []string{"one"}, q.Bodies())

	changed, err := c.ChangeMessageVisibilityBatch(t.Context(), &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.URL, Entries: []types.ChangeMessageVisibilityBatchRequestEntry{
		{Id: aws.String("gone"), ReceiptHandle: got[1].ReceiptHandle, VisibilityTimeout: 60},
	}})
	require.NoError(t, err)
	require.Len(t, changed.Failed, 1)
	assert.Equal(t, "InvalidParameterValue", *changed.Failed[0].Code)
}

func TestSQSRefuses(t *testing.T) {
	a := Start(t, Options{InFlight: 1})
	c := sqs.NewFromConfig(a.Config(), func(o *sqs.Options) { o.RetryMaxAttempts = 1 })
	q := a.CreateQueue("events", nil)
	elsewhere := strings.Replace(q.URL, "eu-west-1", "us-east-1", 1)
	q.Send("one", "two")
	receiveFrom := func(in *sqs.ReceiveMessageInput) error { _, err := c.ReceiveMessage(t.Context(), in); return err }

	require.NoError(t, receiveFrom(&sqs.ReceiveMessageInput{QueueUrl: &q.URL}))
	var limit *types.OverLimit
	require.ErrorAs(t, receiveFrom(&sqs.ReceiveMessageInput{QueueUrl: &q.URL}), &limit)
	require.NoError(t, receiveFrom(&sqs.ReceiveMessageInput{QueueUrl: &q.URL, WaitTimeSeconds: 1}), "a long poll is not told")

	var gone *types.QueueDoesNotExist
	err := receiveFrom(&sqs.ReceiveMessageInput{QueueUrl: &elsewhere})
	require.ErrorAs(t, err, &gone)
	assert.Equal(t, "AWS.SimpleQueueService.NonExistentQueue", codeOf(err))

	q.Delete()
	require.ErrorAs(t, receiveFrom(&sqs.ReceiveMessageInput{QueueUrl: &q.URL}), &gone)

	abroad := a.Config()
	abroad.Region = "us-east-1"
	_, err = sqs.NewFromConfig(abroad).GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("events")})
	assert.Equal(t, "SignatureDoesNotMatch", codeOf(err))
}

func TestQueueAttributes(t *testing.T) {
	a := Start(t, Options{})
	c := sqs.NewFromConfig(a.Config())
	made, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("events"), Attributes: map[string]string{
		"Policy": `{"Statement":[]}`, "KmsMasterKeyId": "alias/bellbuoy", "MessageRetentionPeriod": "1209600",
	}})
	require.NoError(t, err)
	out, err := c.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: made.QueueUrl, AttributeNames: []types.QueueAttributeName{"All"}})
	require.NoError(t, err)
	assert.Equal(t, "alias/bellbuoy", out.Attributes["KmsMasterKeyId"])
	assert.Equal(t, "1209600", out.Attributes["MessageRetentionPeriod"])
	assert.Equal(t, "arn:aws:sqs:eu-west-1:123456789012:events", out.Attributes["QueueArn"])
	assert.NotContains(t, out.Attributes, "RedrivePolicy")

	for name, attributes := range map[string]map[string]string{
		"InvalidAttributeValue": {"VisibilityTimeout": "43201"},
		"InvalidAttributeName":  {"Retention": "1"},
		"QueueAlreadyExists":    {"VisibilityTimeout": "1"},
	} {
		_, err = c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("events"), Attributes: attributes})
		assert.Equal(t, name, codeOf(err))
	}
}
