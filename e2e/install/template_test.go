package install_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTemplatesAreLinted(t *testing.T) {
	lint := stand.CFNLint(t)
	for _, name := range templates() {
		said, err := exec.CommandContext(t.Context(), lint, "--include-checks", "I", "--", deployed(name)).CombinedOutput()
		require.NoError(t, err, "%s", said)
	}
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte(strings.Replace(text(t, home), "maxReceiveCount", "maxReceives", 1)), 0o600))
	said, err := exec.CommandContext(t.Context(), lint, broken).CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(said), "maxReceives", "the checker sees what is wrong")
}

// What both templates have must not drift apart, but for who may take the role and who gets the alarms.
func TestTemplatesAgree(t *testing.T) {
	ours, theirs := template(t, home), template(t, member)
	shared := 0
	for id, r := range theirs.Resources {
		own := map[string]any{}
		if ours.Resources[id] == nil {
			t.Errorf("only the member's template has %s", id)
			continue
		}
		shared++
		maps.Copy(own, ours.Resources[id])
		assert.Equal(t, without(own, id), without(r, id), id)
	}
	assert.Greater(t, shared, 15)
	for name, p := range theirs.Parameters {
		if own, both := ours.Parameters[name]; both && name != "RunnerArn" {
			assert.Equal(t, own, p, name)
		}
	}
	for name, c := range theirs.Conditions {
		if own, both := ours.Conditions[name]; both {
			assert.Equal(t, own, c, name)
		}
	}
}

// without leaves out what differs on purpose.
func without(resource map[string]any, id string) map[string]any {
	properties := maps.Clone(resource["Properties"].(map[string]any))
	for _, name := range []string{"AlarmActions", "OKActions", "AssumeRolePolicyDocument"} {
		delete(properties, name)
	}
	if id == "Key" { // Only at home it is the topic's too.
		delete(properties, "KeyPolicy")
		delete(properties, "Description")
	}
	resource = maps.Clone(resource)
	resource["Properties"] = properties
	return resource
}

func TestQueueKeepsWhatItGets(t *testing.T) {
	for _, name := range templates() {
		s := stack(t, name, everything(name))
		queue := s.Resources["EventsQueue"].Properties
		assert.Equal(t, "1209600", queue["MessageRetentionPeriod"], "14 days")
		assert.Equal(t, map[string]any{
			"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:bellbuoy-events-redrive", "maxReceiveCount": "1000",
		}, queue["RedrivePolicy"])
		rules := 0
		for id, r := range s.Resources {
			if r.Type != "AWS::Events::Rule" {
				continue
			}
			rules++
			assert.Equal(t, "ENABLED", r.Properties["State"], id)
			assert.NotContains(t, r.Properties, "EventBusName", "%s: the default bus", id)
			assert.Equal(t, []any{map[string]any{
				"Id": "queue", "Arn": "arn:aws:sqs:eu-west-1:123456789012:bellbuoy-events",
				"RetryPolicy":      map[string]any{"MaximumEventAgeInSeconds": "86400", "MaximumRetryAttempts": "185"},
				"DeadLetterConfig": map[string]any{"Arn": "arn:aws:sqs:eu-west-1:123456789012:bellbuoy-events-undelivered"},
			}}, r.Properties["Targets"], "%s: the whole event, retried for a day, then kept", id)
			assert.Contains(t, senders(t, s.Resources["EventsQueuePolicy"].Properties),
				"arn:aws:events:eu-west-1:123456789012:rule/"+r.Properties["Name"].(string), "%s may send", id)
		}
		assert.Equal(t, 4, rules)
		assert.Len(t, senders(t, s.Resources["EventsQueuePolicy"].Properties), rules)
	}
}

// senders are the rules that a queue policy lets in, after a look at its other conditions.
func senders(t *testing.T, policy map[string]any) []any {
	t.Helper()
	statements := policy["PolicyDocument"].(map[string]any)["Statement"].([]any)
	allow, deny := statements[0].(map[string]any), statements[1].(map[string]any)
	require.Len(t, statements, 2)
	assert.Equal(t, map[string]any{"Service": "events.amazonaws.com"}, allow["Principal"])
	assert.Equal(t, "sqs:SendMessage", allow["Action"])
	condition := allow["Condition"].(map[string]any)
	assert.Equal(t, map[string]any{"aws:SourceAccount": "123456789012"}, condition["StringEquals"])
	assert.Equal(t, "Deny", deny["Effect"])
	assert.Equal(t, "sqs:*", deny["Action"])
	assert.Equal(t, allow["Resource"], deny["Resource"])
	assert.Equal(t, map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}}, deny["Condition"])
	return condition["ArnEquals"].(map[string]any)["aws:SourceArn"].([]any)
}

func TestQueuesAreEncrypted(t *testing.T) {
	for _, name := range templates() {
		for key, want := range map[string]map[string]any{
			"":       {"SqsManagedSseEnabled": "true"},
			"create": {"KmsMasterKeyId": "arn:aws:kms:eu-west-1:123456789012:key/Key"},
			"arn:aws:kms:eu-west-1:123456789012:key/own": {"KmsMasterKeyId": "arn:aws:kms:eu-west-1:123456789012:key/own"},
		} {
			parameters := everything(name)
			parameters["KmsKey"] = key
			s := stack(t, name, parameters)
			for _, id := range []string{"EventsQueue", "RedriveQueue", "UndeliveredQueue"} {
				got := map[string]any{}
				for _, property := range []string{"SqsManagedSseEnabled", "KmsMasterKeyId"} {
					if v, ok := s.Resources[id].Properties[property]; ok {
						got[property] = v
					}
				}
				assert.Equal(t, want, got, "%s %s with key %q", name, id, key)
			}
			assert.Equal(t, key == "create", slices.Contains(slices.Collect(maps.Keys(s.Resources)), "Key"))
		}
	}
}

// An empty list parameter is a list of one empty text, which no policy may hold.
func TestNothingIsEmptyByDefault(t *testing.T) {
	for name, parameters := range map[string]map[string]string{
		home:   {},
		member: {"RunnerArn": everything(member)["RunnerArn"], "ExternalId": everything(member)["ExternalId"]},
	} {
		for id, r := range stack(t, name, parameters).Resources {
			notEmpty(t, name+" "+id, r.Properties)
		}
	}
}

func notEmpty(t *testing.T, at string, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			notEmpty(t, at+"."+key, item)
		}
	case []any:
		assert.NotEmpty(t, v, at)
		for _, item := range v {
			notEmpty(t, at, item)
		}
	default:
		assert.NotEmpty(t, v, at)
	}
}
