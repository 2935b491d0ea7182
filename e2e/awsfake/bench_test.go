package awsfake

import (
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"
)

// BenchmarkReceiveDelete is what the stand-in and the SDK's client, which takes most of it, allow a
// collector: messages of 3 KB received by tens and deleted in batches by four pollers, in one process.
func BenchmarkReceiveDelete(b *testing.B) {
	a := Start(b, Options{})
	q := a.CreateQueue("events", nil)
	body := strings.Repeat("x", 3<<10)
	for range b.N {
		q.Send(body)
	}
	c := sqs.New(sqs.Options{Region: DefaultRegion, BaseEndpoint: aws.String(a.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")})
	b.ResetTimer()
	var pollers errgroup.Group
	for range 4 {
		pollers.Go(func() error {
			for {
				got, err := c.ReceiveMessage(b.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q.URL, MaxNumberOfMessages: 10})
				if err != nil || len(got.Messages) == 0 {
					return err
				}
				in := &sqs.DeleteMessageBatchInput{QueueUrl: &q.URL}
				for i, m := range got.Messages {
					in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
				}
				if _, err := c.DeleteMessageBatch(b.Context(), in); err != nil {
					return err
				}
			}
		})
	}
	if err := pollers.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	if q.Deleted() != b.N || q.Len() != 0 {
		b.Fatalf("%d of %d deleted, %d left", q.Deleted(), b.N, q.Len())
	}
}
