package cfn

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sample = `
Parameters:
  Prefix: {Type: String, Default: bb}
  Keys: {Type: CommaDelimitedList, Default: "a, b"}
  Empty: {Type: CommaDelimitedList, Default: ""}
  Must: {Type: String}
Conditions:
  Named: !Equals [!Ref Prefix, bb]
  Other: !Not [!Condition Named]
  Both: !And [!Condition Named, !Condition Other]
  Filled: !Not [!Equals [!Join ["", !Ref Empty], ""]]
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub "${Prefix}-queue"
      Delay: 3
      Absent: !If [Named, !Ref "AWS::NoValue", !GetAtt Gone.Arn]
      List: [!Ref "AWS::NoValue", x]
  Role:
    Type: AWS::IAM::Role
    Condition: Named
    Properties: {RoleName: !Join ["-", !Ref Keys], Must: !Ref Must}
  Gone: {Type: AWS::SNS::Topic, Condition: Both, Properties: {TopicName: !Ref Empty}}
  GoneToo: {Type: AWS::SNS::Topic, Condition: Filled, Properties: {TopicName: t}}
Outputs:
  Url: {Value: !Ref Queue}
  Arn: {Value: !GetAtt Role.Arn}
  Gone: {Condition: Other, Value: x}
`

func TestStack(t *testing.T) {
	read, err := Read([]byte(sample))
	require.NoError(t, err)
	made, err := read.Stack(Place{Partition: "aws-cn", Region: "cn-north-1", Parameters: map[string]string{"Must": "m"}})
	require.NoError(t, err)
	assert.Equal(t, &Stack{
		Resources: map[string]Resource{
			"Queue": {Type: "AWS::SQS::Queue", Properties: map[string]any{"QueueName": "bb-queue", "Delay": "3", "List": []any{"x"}}},
			"Role":  {Type: "AWS::IAM::Role", Properties: map[string]any{"RoleName": "a-b", "Must": "m"}},
		},
		Outputs: map[string]any{
			"Url": "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/bb-queue",
			"Arn": "arn:aws-cn:iam::123456789012:role/a-b",
		},
	}, made)
}

func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		"Outputs: {A: 1}":  "Outputs: A is a string",
		"Conditions: []":   "Conditions is a []interface",
		"A: &x 1\nB: *x\n": "line 1: a Anchor is not for templates",
		"Resources: []\n":  "Resources: is a []interface",
		"1: 2\n":           "is not text",
		"a: [\n":           "read template",
		"Resources: {A: {Type: T, Condition: No}}":                          "no condition No",
		"Resources: {A: {Type: T, Properties: !Ref No}}":                    "no parameter or resource No",
		"Resources: {A: {Type: T, Properties: !Cidr [a]}}":                  "!Cidr with 1 arguments is not known here",
		"Resources: {A: {Type: T, Properties: !Split a}}":                   "!Split is given a string",
		"Resources: {A: {Type: T, Properties: !If [a]}}":                    "three arguments",
		"Resources: {A: {Type: T, P: !GetAtt A.Arn}}":                       "the ARN of a T is not known here",
		"Resources: {A: {Type: T, P: !GetAtt A.B}}":                         "A.B is not known here",
		"Parameters: {P: {Type: String}}":                                   "parameter P is not set",
		"Conditions: {C: x}\nOutputs: {O: {Condition: C}}":                  "condition C is a string",
		"Resources: {A: {Type: T, P: !Join [a, b]}}":                        "joins a string",
		"Conditions: {C: !Not [x]}\nOutputs: {O: {Condition: C, Value: 1}}": "!Not is given a string",
	} {
		read, err := Read([]byte(text))
		if err == nil {
			_, err = read.Stack(Place{})
		}
		assert.ErrorContains(t, err, want, text)
	}
	read, err := Read([]byte("Resources: {}"))
	require.NoError(t, err)
	_, err = read.Stack(Place{Parameters: map[string]string{"X": "1"}})
	assert.ErrorContains(t, err, "no parameter X")
}
