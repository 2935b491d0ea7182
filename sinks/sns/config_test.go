package sns

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/fault"
)

func TestConfigFaults(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*Config)
		path string
		says string
	}{
		"no topic":        {func(c *Config) { c.TopicARN = "" }, "topic_arn", "is missing"},
		"not an ARN":      {func(c *Config) { c.TopicARN = "alerts" }, "topic_arn", `"alerts" is not an ARN`},
		"a queue":         {func(c *Config) { c.TopicARN = "arn:aws:sqs:eu-west-1:123456789012:alerts" }, "topic_arn", "of sqs, not of sns"},
		"a subscription":  {func(c *Config) { c.TopicARN = topic + ":0f6a1b4f" }, "topic_arn", "leave out its last part, :0f6a1b4f"},
		"account":         {func(c *Config) { c.TopicARN = "arn:aws:sns:eu-west-1:12345:alerts" }, "topic_arn", `account "12345"`},
		"name":            {func(c *Config) { c.TopicARN = "arn:aws:sns:eu-west-1:123456789012:my alerts" }, "topic_arn", `"my alerts"`},
		"no region":       {func(c *Config) { c.TopicARN = "arn:aws:sns::123456789012:alerts" }, "topic_arn", "no region"},
		"another region":  {func(c *Config) { c.Region = "us-east-1" }, "topic_arn", "is in region eu-west-1, but the client is for region us-east-1"},
		"unknown format":  {func(c *Config) { c.Format = "xml" }, "format", `"xml" is not a format`},
		"too few bytes":   {func(c *Config) { c.MaxMessageBytes = 100 }, "max_message_bytes", "is 100"},
		"too many bytes":  {func(c *Config) { c.MaxMessageBytes = 2 << 20 }, "max_message_bytes", "is 2097152"},
		"role":            {func(c *Config) { c.RoleARN = "admin" }, "role_arn", `"admin" is not the ARN of a role`},
		"external id":     {func(c *Config) { c.ExternalID = "x" }, "external_id", "without role_arn"},
		"endpoint":        {func(c *Config) { c.Endpoint = "sns.example" }, "endpoint", "not a URL"},
		"endpoint secret": {func(c *Config) { c.Endpoint = "https://me:hunter2@sns.example" }, "endpoint", "remove them"},
		"plain http":      {func(c *Config) { c.Endpoint = "http://sns.example" }, "endpoint", "write https"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.TopicARN = topic
			c.edit(&cfg)
			faults := fault.All(cfg.WithAWS(awsclient.Config{}).Validate())
			if assert.Len(t, faults, 1) {
				assert.Equal(t, c.path, faults[0].Path)
				assert.Contains(t, faults[0].Problem, c.says)
				assert.NotContains(t, faults[0].Problem, "hunter2")
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	assert.Len(t, fault.All(Config{Region: "nowhere", RoleARN: "x"}.Validate()), 5)
}

func TestWithAWS(t *testing.T) {
	cfg := Config{TopicARN: topic}.WithAWS(awsclient.Config{RoleARN: "base", ExternalID: "id", Endpoint: "e"})
	assert.Equal(t, Config{TopicARN: topic, Region: "eu-west-1", RoleARN: "base", ExternalID: "id", Endpoint: "e"}, cfg, "the topic's region")
	cfg = Config{TopicARN: topic, RoleARN: "own"}.WithAWS(awsclient.Config{Region: "us-east-1", RoleARN: "base", ExternalID: "id"})
	assert.Equal(t, Config{TopicARN: topic, Region: "us-east-1", RoleARN: "own"}, cfg, "the external id of another role is not ours")
	for _, good := range []string{topic, topic + ".fifo", "arn:aws-cn:sns:cn-north-1:123456789012:a", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:a"} {
		c := DefaultConfig()
		c.TopicARN = good
		assert.NoError(t, c.WithAWS(awsclient.Config{}).Validate(), good)
	}
}
