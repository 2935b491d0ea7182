package awsproxy

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
)

// BenchmarkReceive is what the way through the proxy costs a receive of ten messages.
func BenchmarkReceive(b *testing.B) {
	fake := awsfake.Start(b, awsfake.Options{InFlight: 1 << 30})
	q := fake.CreateQueue("events", nil)
	body := strings.Repeat("x", 3<<10)
	for range 10 * b.N {
		q.Send(body)
	}
	c := sqs.New(sqs.Options{
		Region: awsfake.DefaultRegion, BaseEndpoint: aws.String(Start(b, fake.URL).URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
	})
	for b.Loop() {
		got, err := c.ReceiveMessage(b.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q.URL, MaxNumberOfMessages: 10})
		if err != nil || len(got.Messages) > 10 {
			b.Fatal(len(got.Messages), err)
		}
	}
}
