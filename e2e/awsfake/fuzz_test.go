package awsfake

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// FuzzServe sends any body to any operation: what comes back is an answer or an error, never a broken
// connection.
func FuzzServe(f *testing.F) {
	f.Add("AmazonSQS.ReceiveMessage", `{"QueueUrl":"https://sqs.eu-west-1.amazonaws.com/123456789012/events","MaxNumberOfMessages":10}`)
	f.Add("AmazonSQS.DeleteMessageBatch", `{"QueueUrl":"/123456789012/events","Entries":[{"Id":"a","ReceiptHandle":"b25l"}]}`)
	f.Add("AmazonSQS.SendMessage", `{"QueueUrl":"/123456789012/events","MessageBody":"x","MessageAttributes":{"a":{"DataType":"String"}}}`)
	f.Add("AmazonSQS.CreateQueue", `{"QueueName":"q","Attributes":{"RedrivePolicy":"{}"}}`)
	f.Add("AmazonEC2ContainerServiceV20141113.DescribeTasks", `{"cluster":"prod","tasks":["arn:aws:ecs:eu-west-1:123456789012:task/prod/1"]}`)
	f.Add("AmazonEC2ContainerServiceV20141113.RunTask", `{"taskDefinition":"pay","clientToken":"t","count":3}`)
	f.Add("AmazonEC2ContainerServiceV20141113.UpdateService", `{"cluster":"prod","service":"pay","taskDefinition":"pay:1"}`)
	f.Add("AmazonEC2ContainerServiceV20141113.ListTasks", `{"cluster":"prod","nextToken":"dGFza3M=","maxResults":1}`)
	f.Add("sts", "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=s")
	f.Add("sns", "Action=PublishBatch&TopicArn=arn:aws:sns:eu-west-1:123456789012:alerts&PublishBatchRequestEntries.member.1.Id=a")
	f.Fuzz(func(t *testing.T, target, body string) {
		a := New(Options{})
		a.CreateQueue("events", nil).Send("one")
		a.CreateTopic("alerts")
		d := a.PutDefinition(types.TaskDefinition{Family: aws.String("pay")})
		a.PutService("prod", types.Service{ServiceName: aws.String("pay")})
		a.NewTask("prod", d, NewTask{Service: "pay"})
		service := map[bool]string{true: "sqs", false: "ecs"}[strings.HasPrefix(target, "AmazonSQS")]
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // of a long poll
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
		if strings.Contains(target, ".") {
			r.Header.Set("X-Amz-Target", target)
		} else {
			service = target
		}
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261125/eu-west-1/"+service+"/aws4_request, SignedHeaders=host")
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if ctx.Err() == nil && (w.Code == http.StatusInternalServerError || w.Body.Len() == 0) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
