package sns

import (
	"errors"
	"regexp"
	"strings"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// The formats: one topic, one format.
const (
	// People is text for mail, SMS and whoever reads the queue behind the topic.
	People = "people"
	// JSON is the event as it is on the stream: structured CloudEvents JSON.
	JSON = "json"
	// Chat is a custom notification of Amazon Q Developer, which posts it to Slack or Microsoft Teams.
	Chat = "chat"
	// PagerDuty has the shape of a CloudWatch alarm, which PagerDuty's and Opsgenie's CloudWatch integrations read.
	PagerDuty = "pagerduty"
)

// Limits of max_message_bytes: SNS's own default and the most that a topic can be set to.
const (
	minMessageBytes     = 4 << 10
	defaultMessageBytes = 256 << 10
	maxMessageBytes     = 1 << 20
)

// Config is what a user sets. The AWS fields override those of the aws block; see WithAWS.
type Config struct {
	// TopicARN names the topic; one that ends in .fifo is a FIFO topic.
	TopicARN string `yaml:"topic_arn"`
	// Format is people, json, chat or pagerduty. A topic has one: its subscribers can't tell them apart.
	Format string `yaml:"format"`
	// Template and Subject are your own words for people, as text/template over what docs/templates.md lists; empty is
	// the built-in text.
	Template string `yaml:"template"`
	Subject  string `yaml:"subject"`
	// MaxMessageBytes is the topic's MaximumMessageSize: body and attributes together.
	MaxMessageBytes int `yaml:"max_message_bytes"`

	// Region is the topic's own if nothing else is set.
	Region     string `yaml:"region"`
	RoleARN    string `yaml:"role_arn"`
	ExternalID string `yaml:"external_id"`
	Endpoint   string `yaml:"endpoint"`
}

// DefaultConfig returns the config of a sink of which only the topic is missing.
func DefaultConfig() Config { return Config{Format: People, MaxMessageBytes: defaultMessageBytes} }

// WithAWS fills what the sink does not set itself from the aws block, and the region from the topic.
func (c Config) WithAWS(base awsclient.Config) Config {
	a := c.aws().Or(base)
	if a.Region == "" {
		a.Region = regionOf(c.TopicARN)
	}
	c.Region, c.RoleARN, c.ExternalID, c.Endpoint = a.Region, a.RoleARN, a.ExternalID, a.Endpoint
	return c
}

func (c Config) aws() awsclient.Config {
	return awsclient.Config{Region: c.Region, RoleARN: c.RoleARN, ExternalID: c.ExternalID, Endpoint: c.Endpoint}
}

func (c Config) fifo() bool { return strings.HasSuffix(c.TopicARN, ".fifo") }

// Validate returns all faults. Call it on what WithAWS returned, so that it sees the region in use.
func (c Config) Validate() error {
	faults := []error{c.topicFault(), c.formatFault(), c.aws().Validate()}
	for path, text := range map[string]string{"template": c.Template, "subject": c.Subject} {
		if _, err := notice.ParseTemplate(path, text); err != nil {
			faults = append(faults, fault.At(path, "%v", err))
		} else if text != "" && c.Format != People {
			faults = append(faults, fault.At(path, "is for format people; %s has a form of its own", c.Format))
		}
	}
	if n := c.MaxMessageBytes; n < minMessageBytes || n > maxMessageBytes {
		faults = append(faults, fault.At("max_message_bytes", "is %d; write %d (what SNS allows unless the topic says otherwise) or another number from %d to %d", n, defaultMessageBytes, minMessageBytes, maxMessageBytes))
	}
	return errors.Join(faults...)
}

func (c Config) formatFault() error {
	switch c.Format {
	case People, JSON, Chat, PagerDuty:
		return nil
	}
	return fault.At("format", "%q is not a format; write people, json, chat or pagerduty", c.Format)
}

var (
	account   = regexp.MustCompile(`^[0-9]{12}$`)
	topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}(\.fifo)?$`)
)

const exampleARN = "arn:aws:sns:eu-west-1:123456789012:alerts"

// topicFault is the first thing wrong with the topic's ARN.
func (c Config) topicFault() error {
	bad := func(format string, args ...any) error { return fault.At("topic_arn", format, args...) }
	part := strings.Split(c.TopicARN, ":")
	switch {
	case c.TopicARN == "":
		return bad("is missing; write the topic's ARN, such as %s", exampleARN)
	case part[0] != "arn" || len(part) < 6:
		return bad("%q is not an ARN; write one such as %s", c.TopicARN, exampleARN)
	case part[2] != "sns":
		return bad("is an ARN of %s, not of sns; write one such as %s", part[2], exampleARN)
	case len(part) == 7:
		return bad("is the ARN of a subscription; leave out its last part, :%s", part[6])
	case len(part) > 7 || !strings.HasPrefix(part[1], "aws"):
		return bad("%q is not the ARN of a topic; write one such as %s", c.TopicARN, exampleARN)
	case !account.MatchString(part[4]):
		return bad("has the account %q; an account is 12 digits", part[4])
	case !topicName.MatchString(part[5]):
		return bad("has the topic name %q; a name has letters, digits, - and _, and may end in .fifo", part[5])
	case part[3] == "":
		return bad("has no region; write one such as %s", exampleARN)
	case c.Region != "" && c.Region != part[3]:
		return bad("is in region %s, but the client is for region %s; set region: %s at this sink, or name a topic of %s", part[3], c.Region, part[3], c.Region)
	}
	return nil
}

// regionOf returns the region in an ARN, or "".
func regionOf(arn string) string {
	if part := strings.Split(arn, ":"); len(part) > 3 {
		return part[3]
	}
	return ""
}
