package awsfake

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"
)

var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// ranges are the attributes that are whole numbers, with their documented limits.
var ranges = map[string][2]int{
	"DelaySeconds":                  {0, 900},
	"MaximumMessageSize":            {1024, 1 << 20},
	"MessageRetentionPeriod":        {60, 1_209_600},
	"ReceiveMessageWaitTimeSeconds": {0, 20},
	"VisibilityTimeout":             {0, 43_200},
	"KmsDataKeyReusePeriodSeconds":  {60, 86_400},
}

// texts are the other attributes that may be set. FIFO queues are not modelled.
var texts = []string{"Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "SqsManagedSseEnabled"}

// set checks and takes over attributes; an empty value removes one. The caller holds mu or owns q.
func (q *Queue) set(attributes map[string]string) error {
	for name, value := range attributes {
		if err := checkAttribute(name, value); err != nil {
			return err
		}
	}
	maps.Copy(q.attributes, attributes)
	maps.DeleteFunc(q.attributes, func(_, value string) bool { return value == "" })
	seconds := func(name string, unset time.Duration) time.Duration {
		if n, err := strconv.Atoi(q.attributes[name]); err == nil {
			return time.Duration(n) * time.Second
		}
		return unset
	}
	q.visibility = seconds("VisibilityTimeout", 30*time.Second)
	q.retention = seconds("MessageRetentionPeriod", 4*24*time.Hour)
	q.wait = seconds("ReceiveMessageWaitTimeSeconds", 0)
	q.delay = seconds("DelaySeconds", 0)
	if n, err := strconv.Atoi(q.attributes["MaximumMessageSize"]); err == nil {
		q.maxSize = n
	}
	q.maxReceives, q.deadARN = 0, ""
	if redrive, err := redriveOf(q.attributes["RedrivePolicy"]); err == nil {
		q.maxReceives, q.deadARN = redrive.max, redrive.dead
	}
	return nil
}

func checkAttribute(name, value string) error {
	if limits, ok := ranges[name]; ok {
		if n, err := strconv.Atoi(value); value != "" && (err != nil || n < limits[0] || n > limits[1]) {
			return refuse("InvalidAttributeValue", "Invalid value for the parameter %s.", name)
		}
		return nil
	}
	if !slices.Contains(texts, name) {
		return refuse("InvalidAttributeName", "Unknown Attribute %s.", name)
	}
	if value == "" {
		return nil
	}
	switch name {
	case "Policy":
		if !json.Valid([]byte(value)) {
			return refuse("InvalidAttributeValue", "Invalid value for the parameter Policy.")
		}
	case "RedrivePolicy":
		if _, err := redriveOf(value); err != nil {
			return err
		}
	}
	return nil
}

type redrive struct {
	dead string
	max  int
}

// redriveOf reads a RedrivePolicy, whose count AWS takes as a number and as a string.
func redriveOf(policy string) (redrive, error) {
	var p struct {
		DeadLetterTargetArn string
		MaxReceiveCount     any
	}
	err := json.Unmarshal([]byte(policy), &p)
	n := 0
	switch count := p.MaxReceiveCount.(type) {
	case float64:
		n = int(count)
	case string:
		n, err = strconv.Atoi(count)
	}
	if err != nil || p.DeadLetterTargetArn == "" || n < 1 || n > 1000 {
		return redrive{}, refuse("InvalidAttributeValue", "Value %s for parameter RedrivePolicy is invalid.", policy)
	}
	return redrive{p.DeadLetterTargetArn, n}, nil
}

// described are all attributes that GetQueueAttributes knows.
func (q *Queue) described() map[string]string {
	visible, flying, delayed := q.depth()
	q.mu.Lock()
	defer q.mu.Unlock()
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	all := map[string]string{
		"ApproximateNumberOfMessages":           strconv.Itoa(visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(flying),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(delayed),
		"CreatedTimestamp":                      strconv.FormatInt(q.created.Unix(), 10),
		"LastModifiedTimestamp":                 strconv.FormatInt(q.created.Unix(), 10),
		"DelaySeconds":                          seconds(q.delay),
		"MaximumMessageSize":                    strconv.Itoa(q.maxSize),
		"MessageRetentionPeriod":                seconds(q.retention),
		"QueueArn":                              q.ARN,
		"ReceiveMessageWaitTimeSeconds":         seconds(q.wait),
		"VisibilityTimeout":                     seconds(q.visibility),
	}
	if q.attributes["KmsMasterKeyId"] == "" {
		all["SqsManagedSseEnabled"] = "true"
	}
	maps.Copy(all, q.attributes)
	return all
}
