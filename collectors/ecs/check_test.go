package ecs

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/awsproxy"
	"github.com/bellbuoy/bellbuoy/internal/awsclient"
)

const ruleARN = "arn:aws:events:eu-west-1:123456789012:rule/bellbuoy"

// letsIn is a policy that lets a service send.
func letsIn(service, queue, source string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Deny","Principal":"*","Action":"sqs:*","Resource":%[2]q,"Condition":{"Bool":{"aws:SecureTransport":"false"}}},
		{"Effect":"Allow","Principal":{"Service":%[1]q},"Action":"sqs:SendMessage","Resource":%[2]q,"Condition":{"ArnEquals":{"aws:SourceArn":%[3]q}}}]}`,
		service, queue, source)
}

// environment has keys, no files, no region and no metadata service.
func environment(t testing.TB) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": t.TempDir() + "/none", "AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none", "AWS_PROFILE": "", "AWS_REGION": "",
	} {
		t.Setenv(name, value)
	}
}

// checked returns a config whose queue is a stand-in's, behind what may refuse.
func checked(t *testing.T) (Config, *awsfake.Queue, *trouble) {
	t.Helper()
	environment(t)
	fake := awsfake.New(awsfake.Options{})
	p := &trouble{next: fake}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	q := fake.CreateQueue("events", map[string]string{"MessageRetentionPeriod": "1209600"})
	require.NoError(t, q.SetAttributes(map[string]string{"Policy": letsIn("events.amazonaws.com", q.ARN, ruleARN)}))
	c := DefaultConfig()
	c.QueueURL, c.Endpoint = q.URL, server.URL
	return c.WithAWS(awsclient.Config{}), q, p
}

func loader(t testing.TB) *awsclient.Loader {
	t.Helper()
	return &awsclient.Loader{MaxBackoff: time.Millisecond}
}

func TestCheckOfASoundQueue(t *testing.T) {
	c, q, _ := checked(t)
	q.Send("kept")
	warnings, err := c.Check(t.Context(), loader(t))
	require.NoError(t, err)
	assert.Empty(t, warnings)
	require.Eventually(t, func() bool { return q.Visible() == 1 }, 10*time.Second, 10*time.Millisecond, "the message is there again")
}

func TestCheckNamesEveryMissingRight(t *testing.T) {
	c, _, p := checked(t)
	for op, action := range map[string]string{
		"GetQueueAttributes": "sqs:GetQueueAttributes", "ReceiveMessage": "sqs:ReceiveMessage",
		"DeleteMessage": "sqs:DeleteMessage", "ChangeMessageVisibility": "sqs:ChangeMessageVisibility",
	} {
		p.on(op, refuse(403, "AccessDenied", "User: arn:aws:iam::123456789012:role/x is not authorized to perform: "+action))
		defer p.on(op, nil)
		_, err := c.Check(t.Context(), loader(t))
		assert.ErrorContains(t, err, "allow "+action+" on queue events to the identity in use")
	}
	looks := map[string]string{
		"ListClusters": "the account", "ListTasks": "cluster default", "DescribeTasks": "cluster default", "ListServices": "cluster default",
		"DescribeServices": "cluster default", "DescribeTaskDefinition": "task definitions",
	}
	for op, target := range looks {
		p.on(op, refuse(400, "AccessDeniedException", "not authorized"))
		defer p.on(op, nil)
		_, err := c.Check(t.Context(), loader(t))
		assert.ErrorContains(t, err, "allow ecs:"+op+" on "+target+" to the identity in use")
	}
	_, err := c.Check(t.Context(), loader(t))
	assert.Len(t, strings.Split(err.Error(), "\n"), 4+len(looks), "all at once: %v", err)
}

// A policy may be limited to some clusters.
func TestCheckTriesEachCluster(t *testing.T) {
	environment(t)
	fake := awsfake.Start(t, awsfake.Options{})
	proxy := awsproxy.Start(t, fake.URL)
	q := fake.CreateQueue("events", map[string]string{"MessageRetentionPeriod": "1209600"})
	require.NoError(t, q.SetAttributes(map[string]string{"Policy": letsIn("events.amazonaws.com", q.ARN, ruleARN)}))
	c := DefaultConfig()
	c.QueueURL, c.Endpoint = q.URL, proxy.URL
	c = c.WithAWS(awsclient.Config{})
	arns := []string{fake.PutCluster("prod"), fake.PutCluster("stage")}
	tried := func() map[string]bool {
		seen := map[string]bool{}
		for _, call := range proxy.Calls() {
			if call.Operation == "ecs:ListServices" {
				seen[call.Cluster] = true
			}
		}
		return seen
	}
	warnings, err := c.Check(t.Context(), loader(t))
	require.NoError(t, err)
	assert.Empty(t, warnings)
	assert.Len(t, tried(), 2, "all that are listed, and not one that need not be allowed: %v", tried())

	c.Clusters = []string{"prod", arns[1], "prdo"}
	warnings, err = c.Check(t.Context(), loader(t))
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "no cluster prdo in eu-west-1 of account 123456789012")

	c.Clusters = c.Clusters[:2]
	proxy.Add(awsproxy.Rule{Op: "ecs:DescribeServices", Skip: 1, Fault: awsproxy.Denied})
	_, err = c.Check(t.Context(), loader(t))
	require.ErrorContains(t, err, "allow ecs:DescribeServices on cluster stage to the identity in use")
	assert.NotContains(t, err.Error(), "cluster prod")
}

func TestCheckOfAQueueThatIsGone(t *testing.T) {
	c, q, _ := checked(t)
	q.Delete()
	_, err := c.Check(t.Context(), loader(t))
	require.ErrorContains(t, err, "check queue_url")
}

func TestCheckTellsOfTheClock(t *testing.T) {
	c, _, p := checked(t)
	p.on("GetQueueAttributes", func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Date", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
		return false
	})
	warnings, err := c.Check(t.Context(), loader(t))
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "machine's clock is ")
}

func TestCheckTellsOfKeysBesideARole(t *testing.T) {
	c, _, _ := checked(t)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x")
	warnings, err := c.Check(t.Context(), loader(t))
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "AWS_ACCESS_KEY_ID")
}

func TestWhoMaySend(t *testing.T) {
	t.Parallel()
	const queue = "arn:aws:sqs:eu-west-1:123456789012:events"
	for name, tt := range map[string]struct {
		policy, why string
	}{
		"a rule":              {letsIn("events.amazonaws.com", queue, ruleARN), ""},
		"a topic":             {letsIn("sns.amazonaws.com", queue, "arn:aws:sns:eu-west-1:123456789012:t"), ""},
		"one statement":       {`{"Statement":{"Effect":"Allow","Principal":{"Service":["events.amazonaws.com"]},"Action":["SQS:Send*"],"Resource":"arn:aws:sqs:*:*:*"}}`, ""},
		"everybody":           {`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`, ""},
		"none":                {"", "has no policy"},
		"broken":              {"{", "read the queue's policy"},
		"another service":     {letsIn("s3.amazonaws.com", queue, ruleARN), "lets neither"},
		"another queue":       {letsIn("events.amazonaws.com", queue+"-2", ruleARN), "lets neither"},
		"another action":      {strings.Replace(letsIn("events.amazonaws.com", queue, ruleARN), "sqs:SendMessage", "sqs:ReceiveMessage", 1), "lets neither"},
		"denied":              {strings.Replace(letsIn("events.amazonaws.com", queue, ruleARN), `,"Condition":{"Bool":{"aws:SecureTransport":"false"}}`, "", 1), "lets neither"},
		"a rule far away":     {letsIn("events.amazonaws.com", queue, "arn:aws:events:us-east-1:123456789012:rule/x"), "another region"},
		"rules of anywhere":   {letsIn("events.amazonaws.com", queue, "arn:aws:events:*:123456789012:rule/*"), ""},
		"all but some action": {`{"Statement":[{"Effect":"Allow","Principal":"*","NotAction":"sqs:DeleteQueue","Resource":"*"}]}`, ""},
		"all but sending":     {`{"Statement":[{"Effect":"Allow","Principal":"*","NotAction":"sqs:Send*","Resource":"*"}]}`, "lets neither"},
	} {
		err := judgePolicy(tt.policy, queue)
		if tt.why == "" {
			assert.NoError(t, err, name)
		} else {
			assert.ErrorContains(t, err, tt.why, name)
		}
	}
}

func TestUnwiseQueues(t *testing.T) {
	t.Parallel()
	const queue = "arn:aws:sqs:eu-west-1:123456789012:events"
	for _, tt := range []struct{ attribute, value, warning string }{
		{"MessageRetentionPeriod", "345600", ""},
		{"MessageRetentionPeriod", "3600", "keeps messages for 1h0m0s"},
		{"KmsMasterKeyId", "alias/aws/sqs", "alias/aws/sqs"},
		{"KmsMasterKeyId", "arn:aws:kms:eu-west-1:123456789012:alias/aws/sqs", "alias/aws/sqs"},
		{"KmsMasterKeyId", "alias/own", ""},
		{"RedrivePolicy", `{"deadLetterTargetArn":"x","maxReceiveCount":3}`, "after 3 receives"},
		{"RedrivePolicy", `{"deadLetterTargetArn":"x","maxReceiveCount":"10"}`, "after 10 receives"},
		{"RedrivePolicy", `{"deadLetterTargetArn":"x","maxReceiveCount":1000}`, ""},
	} {
		warnings, problem := judgeQueue(map[string]string{
			"QueueArn": queue, "Policy": letsIn("events.amazonaws.com", queue, ruleARN), tt.attribute: tt.value,
		})
		require.NoError(t, problem)
		if tt.warning == "" {
			assert.Empty(t, warnings, tt)
		} else if assert.Len(t, warnings, 1, tt) {
			assert.Contains(t, warnings[0], tt.warning)
		}
	}
}
