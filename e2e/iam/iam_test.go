package iam

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func document(statements ...any) map[string]any {
	return map[string]any{"Version": "2012-10-17", "Statement": statements}
}

type m = map[string]any

func TestJudge(t *testing.T) {
	t.Parallel()
	p, err := Read(document(
		m{"Sid": "Queue", "Effect": "Allow", "Action": []any{"sqs:Receive*", "sqs:DeleteMessage"}, "Resource": "arn:aws:sqs:eu-west-1:1:q"},
		m{"Sid": "Tasks", "Effect": "Allow", "Action": "ecs:StopTask", "Resource": "arn:aws:ecs:*:1:task/*", "Condition": m{
			"ArnLike": m{"ecs:cluster": []any{"arn:*:cluster/a", "arn:*:cluster/b"}}, "StringEquals": m{"aws:ResourceTag/x": "enabled"},
		}},
		m{"Sid": "Never", "Effect": "Deny", "Action": "sqs:*", "Resource": "*", "Condition": m{"Bool": m{"aws:SecureTransport": "false"}}},
	))
	require.NoError(t, err)
	const queue, task = "arn:aws:sqs:eu-west-1:1:q", "arn:aws:ecs:eu-west-1:1:task/a/7"
	for name, tt := range map[string]struct {
		call Call
		by   []Grant
	}{
		"wildcard":          {Call{"sqs:ReceiveMessage", queue, nil}, []Grant{{"Queue", "sqs:Receive*"}}},
		"any case":          {Call{"SQS:deletemessage", queue, nil}, []Grant{{"Queue", "sqs:DeleteMessage"}}},
		"another resource":  {Call{"sqs:DeleteMessage", queue + "2", nil}, nil},
		"another action":    {Call{"sqs:SendMessage", queue, nil}, nil},
		"denied":            {Call{"sqs:DeleteMessage", queue, map[string]string{"aws:SecureTransport": "false"}}, nil},
		"conditions":        {Call{"ecs:StopTask", task, map[string]string{"ecs:cluster": "arn:aws:ecs:cluster/b", "aws:ResourceTag/x": "enabled"}}, []Grant{{"Tasks", "ecs:StopTask"}}},
		"another cluster":   {Call{"ecs:StopTask", task, map[string]string{"ecs:cluster": "arn:aws:ecs:cluster/c", "aws:ResourceTag/x": "enabled"}}, nil},
		"a key is not told": {Call{"ecs:StopTask", task, map[string]string{"ecs:cluster": "arn:aws:ecs:cluster/b"}}, nil},
	} {
		by, allowed := p.Judge(tt.call)
		assert.Equal(t, tt.by, by, name)
		assert.Equal(t, tt.by != nil, allowed, name)
	}
	assert.Len(t, p.Grants(), 3)
	_, allowed := p.Without(Grant{"Queue", "sqs:DeleteMessage"}).Judge(Call{"sqs:DeleteMessage", queue, nil})
	assert.False(t, allowed)
}

func TestNothingUnknownIsTakenForAllowed(t *testing.T) {
	t.Parallel()
	good := func(change m) map[string]any {
		s := m{"Sid": "S", "Effect": "Allow", "Action": "a:b", "Resource": "*"}
		for name, value := range change {
			s[name] = value
		}
		return document(s)
	}
	_, err := Read(good(nil))
	require.NoError(t, err)
	for want, d := range map[string]map[string]any{
		"version":           {"Version": "2008-10-17"},
		"statements are":    {"Version": "2012-10-17", "Statement": m{}},
		"a statement is":    document("x"),
		"effect":            good(m{"Effect": "Perhaps"}),
		"NotAction":         good(m{"NotAction": "a:b"}),
		"StringLike":        good(m{"Condition": m{"StringLike": m{"a": "b"}}}),
		"conditions are":    good(m{"Condition": "x"}),
		"condition Bool":    good(m{"Condition": m{"Bool": "x"}}),
		"needs a Sid":       good(m{"Sid": ""}),
		"list of texts":     good(m{"Action": []any{1}}),
		"in place of texts": good(m{"Resource": 1}),
	} {
		_, err := Read(d)
		assert.ErrorContains(t, err, want)
	}
}
