package harness

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Moto speaks the protocols of SNS, SQS, EventBridge, CloudFormation and STS. It is shared, and forgets everything when it ends.
//
// Keep queues below some 300 messages: its SQS walks the whole queue at every receive.
type Moto struct {
	*server
	URL string
}

// Moto returns the running server, which it starts again, empty, if an earlier test has stopped it.
func (s *Stand) Moto(t testing.TB) *Moto {
	t.Helper()
	m, err := s.moto.get(s.startMoto)
	s.must(t, err)
	m.Start(t)
	return m
}

func (s *Stand) startMoto() (*Moto, error) {
	kit, dir, err := s.open("moto")
	if err != nil {
		return nil, err
	}
	found, err := kit.Moto()
	if err != nil {
		return nil, err
	}
	m, err := newServer(dir, found.Start)
	if err != nil {
		return nil, err
	}
	s.onClose(m.end)
	return &Moto{server: m, URL: "http://" + m.address()}, nil
}

// Config is for AWS clients of the test. Connections end with each request, so that none is left over.
func (m *Moto) Config() aws.Config {
	return aws.Config{
		Region:       "eu-west-1",
		BaseEndpoint: aws.String(m.URL),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
		HTTPClient:   &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// TopicWithQueue makes an SNS topic and an SQS queue that gets its messages raw. Both are FIFO if the name
// ends in .fifo.
func (m *Moto) TopicWithQueue(t testing.TB, name string) (topicARN, queueURL string) {
	t.Helper()
	topicARN, queueURL, err := m.topicWithQueue(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return topicARN, queueURL
}

func (m *Moto) topicWithQueue(ctx context.Context, name string) (topicARN, queueURL string, err error) {
	topics, queues := sns.NewFromConfig(m.Config()), sqs.NewFromConfig(m.Config())
	var topicKind, queueKind map[string]string
	if strings.HasSuffix(name, ".fifo") {
		topicKind, queueKind = map[string]string{"FifoTopic": "true"}, map[string]string{"FifoQueue": "true"}
	}
	topic, err := topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: &name, Attributes: topicKind})
	if err != nil {
		return "", "", fmt.Errorf("create topic: %w", err)
	}
	queue, err := queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: queueKind})
	if err != nil {
		return "", "", fmt.Errorf("create queue: %w", err)
	}
	attributes, err := queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl:       queue.QueueUrl,
		AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		return "", "", fmt.Errorf("read queue ARN: %w", err)
	}
	_, err = topics.Subscribe(ctx, &sns.SubscribeInput{
		TopicArn:   topic.TopicArn,
		Protocol:   aws.String("sqs"),
		Endpoint:   aws.String(attributes.Attributes["QueueArn"]),
		Attributes: map[string]string{"RawMessageDelivery": "true"},
	})
	if err != nil {
		return "", "", fmt.Errorf("subscribe queue: %w", err)
	}
	return *topic.TopicArn, *queue.QueueUrl, nil
}

// Messages takes messages from a queue until enough holds for all it has taken, and fails the test when
// that is not so in time. With a nil enough it takes what is there now.
func (m *Moto) Messages(t testing.TB, queueURL string, within time.Duration, enough func([]types.Message) bool) []types.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	queues := sqs.NewFromConfig(m.Config())
	var taken []types.Message
	for enough == nil || !enough(taken) {
		batch, err := take(ctx, queues, queueURL, enough != nil)
		if err != nil {
			t.Fatalf("after %d messages: %v", len(taken), err)
		}
		if enough == nil && len(batch) == 0 {
			break
		}
		taken = append(taken, batch...)
	}
	return taken
}

// AtLeast is for Messages.
func AtLeast(n int) func([]types.Message) bool {
	return func(taken []types.Message) bool { return len(taken) >= n }
}

func take(ctx context.Context, queues *sqs.Client, queueURL string, wait bool) ([]types.Message, error) {
	in := &sqs.ReceiveMessageInput{QueueUrl: &queueURL, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}}
	if wait {
		in.WaitTimeSeconds = 1
	}
	out, err := queues.ReceiveMessage(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	for _, message := range out.Messages {
		_, err := queues.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &queueURL, ReceiptHandle: message.ReceiptHandle})
		if err != nil {
			return nil, fmt.Errorf("delete: %w", err)
		}
	}
	return out.Messages, nil
}
