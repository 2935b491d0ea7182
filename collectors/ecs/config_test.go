package ecs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/fault"
)

func TestQueueURLTellsAccountAndRegion(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]address{
		"https://sqs.eu-west-1.amazonaws.com/123456789012/events":                       {"123456789012", "events", "eu-west-1", ""},
		"https://sqs.us-gov-west-1.amazonaws.com/123456789012/events.fifo":              {"123456789012", "events.fifo", "us-gov-west-1", ""},
		"https://sqs.cn-north-1.amazonaws.com.cn/123456789012/events":                   {"123456789012", "events", "cn-north-1", ""},
		"https://sqs.eusc-de-east-1.amazonaws.eu/123456789012/events":                   {"123456789012", "events", "eusc-de-east-1", ""},
		"https://sqs-fips.us-east-1.amazonaws.com/123456789012/events":                  {"123456789012", "events", "us-east-1", "https://sqs-fips.us-east-1.amazonaws.com"},
		"https://sqs.eu-west-1.api.aws/123456789012/events":                             {"123456789012", "events", "eu-west-1", "https://sqs.eu-west-1.api.aws"},
		"https://sqs-fips.us-east-1.api.aws/123456789012/events":                        {"123456789012", "events", "us-east-1", "https://sqs-fips.us-east-1.api.aws"},
		"https://sqs.cn-north-1.api.amazonwebservices.com.cn/123456789012/events":       {"123456789012", "events", "cn-north-1", "https://sqs.cn-north-1.api.amazonwebservices.com.cn"},
		"https://vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com/123456789012/e":        {"123456789012", "e", "eu-west-1", "https://vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com"},
		"https://vpce-0a-2c-eu-west-1a.sqs.eu-west-1.vpce.amazonaws.com/123456789012/e": {"123456789012", "e", "eu-west-1", "https://vpce-0a-2c-eu-west-1a.sqs.eu-west-1.vpce.amazonaws.com"},
		"https://eu-west-1.queue.amazonaws.com/123456789012/events":                     {"123456789012", "events", "eu-west-1", ""},
		"https://queue.amazonaws.com/123456789012/events":                               {"123456789012", "events", "us-east-1", ""},
		"http://127.0.0.1:4566/123456789012/events":                                     {"123456789012", "events", "", "http://127.0.0.1:4566"},
		"https://sqs.internal.example/123456789012/events":                              {"123456789012", "events", "", "https://sqs.internal.example"},
	} {
		got, err := parseAddress(raw)
		require.NoError(t, err, raw)
		assert.Equal(t, want, got, raw)
	}
	for raw, why := range map[string]string{
		"": "is missing",
		"arn:aws:sqs:eu-west-1:123456789012:events": "is an ARN",
		"events": "not the URL",
		"ftp://sqs.eu-west-1.amazonaws.com/123456789012/events":      "not the URL",
		"https://me:hunter2@sqs.eu-west-1.amazonaws.com/1234/e":      "user or password",
		"https://sqs.eu-west-1.amazonaws.com/123456789012":           "/ACCOUNT/NAME",
		"https://sqs.eu-west-1.amazonaws.com/123456789012/a/b":       "/ACCOUNT/NAME",
		"https://sqs.eu-west-1.amazonaws.com/12345/events":           "12 digits",
		"https://sqs.eu-west-1.amazonaws.com/123456789012/my.events": "queue name",
		"https://sqs.eu-west-1.amazonaws.com/123456789012/e?x=1":     "behind",
		"http://sqs.eu-west-1.amazonaws.com/123456789012/e":          "plain http",
	} {
		_, err := parseAddress(raw)
		faults := fault.All(err)
		if assert.Len(t, faults, 1, raw) {
			assert.Equal(t, "queue_url", faults[0].Path)
			assert.Contains(t, faults[0].Problem, why)
			assert.NotContains(t, faults[0].Problem, "hunter2")
		}
	}
}

func valid() Config {
	c := DefaultConfig()
	c.QueueURL = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
	return c
}

func TestRegionIsTheQueues(t *testing.T) {
	t.Parallel()
	c := valid().WithAWS(awsclient.Config{Region: "us-east-1", RoleARN: "arn:aws:iam::123456789012:role/x", ExternalID: "e"})
	require.NoError(t, c.Validate())
	assert.Equal(t, "eu-west-1", c.Region, "the block's region is for those who say nothing")
	assert.Equal(t, "123456789012", c.Account())
	assert.Equal(t, "e", c.ExternalID)

	c = valid()
	c.Region = "us-east-1"
	faults := fault.All(c.WithAWS(awsclient.Config{}).Validate())
	require.Len(t, faults, 1)
	assert.Equal(t, "region", faults[0].Path)
	assert.Contains(t, faults[0].Problem, "eu-west-1")

	stand := valid()
	stand.QueueURL = "http://127.0.0.1:4566/123456789012/events"
	faults = fault.All(stand.WithAWS(awsclient.Config{}).Validate())
	require.Len(t, faults, 1)
	assert.Equal(t, "region", faults[0].Path)
	require.NoError(t, stand.WithAWS(awsclient.Config{Region: "eu-west-1"}).Validate())
}

func TestValidateTellsEveryFault(t *testing.T) {
	t.Parallel()
	c := valid()
	c.Clusters = []string{"prod", "arn:aws:ecs:eu-west-1:123456789012:cluster/prod"}
	require.NoError(t, c.Validate())
	c = Config{
		Clusters: []string{"a b", "arn:aws:ecs:x", "arn:aws:ecs:us-east-1:123456789012:cluster/prod"}, Pollers: 9, ReconcileEvery: 2 * time.Hour,
		ExternalID: "x", Region: "eu-west-1",
	}
	var paths []string
	for _, f := range fault.All(c.Validate()) {
		paths = append(paths, f.Path)
	}
	assert.Equal(t, []string{"queue_url", "external_id", "clusters", "clusters", "clusters", "reconcile_every", "pollers"}, paths)

	assert.Empty(t, valid().Warnings())
	c = valid()
	c.QueueURL += ".fifo"
	assert.Len(t, c.Warnings(), 1)
}
