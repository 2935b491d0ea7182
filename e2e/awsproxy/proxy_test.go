package awsproxy

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type stand struct {
	fake  *awsfake.AWS
	proxy *Proxy
	sqs   *sqs.Client
	ecs   *ecs.Client
	queue *awsfake.Queue
}

func newStand(t *testing.T) *stand {
	s := &stand{fake: awsfake.Start(t, awsfake.Options{})}
	s.proxy = Start(t, s.fake.URL)
	cfg := awsfake.ConfigOf(s.proxy.URL, awsfake.DefaultRegion)
	s.sqs = sqs.NewFromConfig(cfg, func(o *sqs.Options) { o.RetryMaxAttempts = 1 })
	s.ecs = ecs.NewFromConfig(cfg, func(o *ecs.Options) { o.RetryMaxAttempts = 1 })
	s.queue = s.fake.CreateQueue("events", nil)
	return s
}

func (s *stand) send(t *testing.T) error {
	_, err := s.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &s.queue.URL, MessageBody: aws.String("one")})
	return err
}

func (s *stand) clusters(t *testing.T) error {
	_, err := s.ecs.ListClusters(t.Context(), &ecs.ListClustersInput{})
	return err
}

func codeOf(err error) string {
	var said smithy.APIError
	if errors.As(err, &said) {
		return said.ErrorCode()
	}
	return ""
}

func TestFaultsOfTheWay(t *testing.T) {
	s := newStand(t)
	lost := s.proxy.Add(Rule{Op: "sqs:SendMessage", Fault: LoseResponse, Times: 1})
	require.Error(t, s.send(t))
	assert.Equal(t, 1, s.queue.Len(), "it was done")
	s.proxy.Add(Rule{Op: "sqs:SendMessage", Fault: Reset, Times: 1})
	require.Error(t, s.send(t))
	assert.Equal(t, 1, s.queue.Len(), "it was not done")
	s.proxy.Add(Rule{Op: "sqs:SendMessage", Fault: Twice, Times: 1})
	require.NoError(t, s.send(t))
	assert.Equal(t, 3, s.queue.Len())
	s.proxy.Add(Rule{Op: "sqs:*", Fault: Delay, Delay: 30 * time.Millisecond, Times: 1})
	began := time.Now()
	require.NoError(t, s.send(t))
	assert.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
	assert.Equal(t, 1, lost.Hits())
	assert.Equal(t, 4, s.proxy.Count("sqs:SendMessage"))
}

func TestEveryServiceSpeaksItsOwnErrors(t *testing.T) {
	s := newStand(t)
	for name, tt := range map[string]struct {
		fault    Fault
		sqs, ecs string
	}{
		"throttled":     {Throttled, "RequestThrottled", "ThrottlingException"},
		"denied":        {Denied, "AccessDenied", "AccessDeniedException"},
		"expired":       {Expired, "ExpiredToken", "ExpiredTokenException"},
		"key denied":    {KMSDenied, "KMS.AccessDeniedException", "KMSAccessDeniedException"},
		"key throttled": {KMSThrottled, "KMS.ThrottlingException", "KMSThrottlingException"},
	} {
		rule := s.proxy.Add(Rule{Op: "*", Fault: tt.fault})
		assert.Equal(t, tt.sqs, codeOf(s.send(t)), name)
		assert.Equal(t, tt.ecs, codeOf(s.clusters(t)), name)
		rule.Off()
	}
	s.proxy.Add(Rule{Op: "ecs:*", Code: "ServerException", HTTPStatus: 500, Times: 1})
	var said *ecstypes.ServerException
	require.ErrorAs(t, s.clusters(t), &said)
	require.NoError(t, s.clusters(t))

	s.proxy.Add(Rule{Op: "sqs:SendMessage", Fault: KMSDenied, Times: 1})
	var denied *types.KmsAccessDenied
	require.ErrorAs(t, s.send(t), &denied)
}

// The SDK corrects its clock by the server's and comes through; one that may not try again does not.
func TestClockIsSkewed(t *testing.T) {
	s := newStand(t)
	s.fake.PutCluster("prod")
	s.proxy.Add(Rule{Op: "*", Fault: Skewed, Delay: 20 * time.Minute})
	assert.Equal(t, "InvalidSignatureException", codeOf(s.clusters(t)))
	assert.Equal(t, "SignatureDoesNotMatch", codeOf(s.send(t)))
	patient := ecs.NewFromConfig(awsfake.ConfigOf(s.proxy.URL, awsfake.DefaultRegion))
	for range 3 {
		out, err := patient.ListClusters(t.Context(), &ecs.ListClustersInput{})
		require.NoError(t, err)
		assert.Len(t, out.ClusterArns, 1)
	}
	assert.LessOrEqual(t, s.proxy.Count("ecs:ListClusters"), 1+3+1)
}

func TestBatchFailsInPart(t *testing.T) {
	s := newStand(t)
	s.queue.Send("one", "two", "three")
	got, err := s.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &s.queue.URL, MaxNumberOfMessages: 10})
	require.NoError(t, err)
	s.proxy.Add(Rule{Op: "sqs:DeleteMessageBatch", Fault: PartialBatch, Times: 1})
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &s.queue.URL}
	for i, m := range got.Messages {
		in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
	}
	out, err := s.sqs.DeleteMessageBatch(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, out.Failed, 2)
	assert.Equal(t, []string{"0", "2"}, []string{*out.Failed[0].Id, *out.Failed[1].Id})
	require.Len(t, out.Successful, 1)
	assert.Equal(t, 2, s.queue.Len())
}

func TestShareIsTheSameForASeed(t *testing.T) {
	s := newStand(t)
	run := func(seed uint64) []bool {
		s.proxy.Seed(seed)
		rule := s.proxy.Add(Rule{Op: "ecs:ListClusters", P: 0.3, Fault: Throttled})
		defer s.proxy.Clear()
		var failed []bool
		for range 200 {
			failed = append(failed, s.clusters(t) != nil)
		}
		assert.InDelta(t, 60, rule.Hits(), 30)
		return failed
	}
	first := run(7)
	assert.Equal(t, first, run(7))
	assert.NotEqual(t, first, run(8))
}

func TestLimit(t *testing.T) {
	s := newStand(t)
	s.proxy.Limit(Limit{Op: "ecs:*", Burst: 2})
	require.NoError(t, s.clusters(t))
	require.NoError(t, s.clusters(t))
	assert.Equal(t, "ThrottlingException", codeOf(s.clusters(t)))
	require.NoError(t, s.send(t))
}

func TestCallsAreWhatAPolicyAllows(t *testing.T) {
	s := newStand(t)
	s.fake.PutCluster("prod")
	prod := aws.String("prod")
	_, _ = s.sqs.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &s.queue.URL, Entries: []types.DeleteMessageBatchRequestEntry{{Id: prod, ReceiptHandle: prod}}})
	_, _ = s.sqs.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("other")})
	_, _ = s.ecs.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: prod})
	_, _ = s.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: prod, Tasks: []string{"1a", "arn:aws:ecs:eu-west-1:123456789012:task/prod/2b"}})
	_, _ = s.ecs.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: prod, Service: aws.String("pay")})
	_, _ = s.ecs.RunTask(t.Context(), &ecs.RunTaskInput{Cluster: prod, TaskDefinition: aws.String("job:3")})
	_, _ = s.ecs.DescribeClusters(t.Context(), &ecs.DescribeClustersInput{Clusters: []string{"prod"}})
	var got [][]string
	for _, c := range s.proxy.Calls() {
		got = append(got, append([]string{c.Action}, c.Resources...))
		assert.Equal(t, c.Resource, c.Resources[0])
		assert.Equal(t, "AKIAEXAMPLE", c.Key)
	}
	const ecsARN = "arn:aws:ecs:eu-west-1:123456789012:"
	assert.Equal(t, [][]string{
		{"sqs:DeleteMessage", s.queue.ARN},
		{"sqs:GetQueueUrl", "arn:aws:sqs:eu-west-1:123456789012:other"},
		{"ecs:ListTasks", "*"},
		{"ecs:DescribeTasks", ecsARN + "task/prod/1a", ecsARN + "task/prod/2b"},
		{"ecs:UpdateService", ecsARN + "service/prod/pay"},
		{"ecs:RunTask", ecsARN + "task-definition/job:3"},
		{"ecs:DescribeClusters", ecsARN + "cluster/prod"},
	}, got)
	assert.Equal(t, ecsARN+"cluster/prod", s.proxy.Calls()[2].Cluster)
}
