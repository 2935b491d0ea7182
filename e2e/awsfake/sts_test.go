package awsfake

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const reader = "arn:aws:iam::123456789012:role/reader"

func TestRoleIsAssumed(t *testing.T) {
	a := Start(t, Options{Roles: map[string]string{reader: "letters"}})
	a.PutCluster("prod")
	q := a.CreateQueue("events", nil)
	as := func(id string) aws.Config {
		cfg := a.Config()
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(a.Config()), reader, func(o *stscreds.AssumeRoleOptions) {
			o.ExternalID = aws.String(id)
		}))
		return cfg
	}
	list := func(cfg aws.Config) error {
		_, err := ecs.NewFromConfig(cfg, once).ListClusters(t.Context(), &ecs.ListClustersInput{})
		return err
	}
	assert.ErrorContains(t, list(as("other")), "AccessDenied")
	good := as("letters")
	require.NoError(t, list(good))
	who, err := sts.NewFromConfig(good).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
	assert.Equal(t, DefaultAccount, *who.Account)

	a.ExpireSessions()
	assert.Equal(t, "ExpiredTokenException", codeOf(list(good)))
	_, err = sqs.NewFromConfig(good).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q.URL})
	assert.Equal(t, "ExpiredToken", codeOf(err))
	require.NoError(t, list(as("letters")), "a new session is good")
}

func TestTopicKeepsWhatIsPublished(t *testing.T) {
	a := Start(t, Options{})
	topic := a.CreateTopic("alerts")
	c := sns.NewFromConfig(a.Config())
	_, err := c.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic.ARN, Message: aws.String("one"), Subject: aws.String("s")})
	require.NoError(t, err)
	out, err := c.PublishBatch(t.Context(), &sns.PublishBatchInput{TopicArn: &topic.ARN, PublishBatchRequestEntries: []snstypes.PublishBatchRequestEntry{
		{Id: aws.String("a"), Message: aws.String("two")},
		{Id: aws.String("b"), Message: aws.String("three"), Subject: aws.String(strings.Repeat("x", 100))},
	}})
	require.NoError(t, err)
	assert.Len(t, out.Successful, 1)
	require.Len(t, out.Failed, 1)
	assert.Equal(t, []Published{{"s", "one", map[string]string{}}, {"", "two", map[string]string{}}}, topic.Published())
	_, err = c.Publish(t.Context(), &sns.PublishInput{TopicArn: aws.String(topic.ARN + "-typo"), Message: aws.String("one")})
	assert.Equal(t, "NotFound", codeOf(err))
}
