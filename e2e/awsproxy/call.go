package awsproxy

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// Call is one call as a policy sees it.
type Call struct {
	// Operation is as it was sent, such as sqs:DeleteMessageBatch.
	Operation string
	// Action is what a policy has to allow, such as sqs:DeleteMessage.
	Action string
	// Resource is the ARN that it has to be allowed on, or * for an operation without one; Resources are all
	// of them when there are more.
	Resource  string
	Resources []string
	// Cluster is the ARN that the condition key ecs:cluster has, or empty.
	Cluster string
	Region  string
	Key     string // access key id of the caller
	Status  int    // 0 when the server was not asked or did not answer
	Faulty  bool   // a rule hit it
	At      time.Time
}

// actions of operations that are allowed by another's name.
var actions = map[string]string{
	"sns:PublishBatch":                 "sns:Publish",
	"sqs:SendMessageBatch":             "sqs:SendMessage",
	"sqs:DeleteMessageBatch":           "sqs:DeleteMessage",
	"sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}

// services by the first part of X-Amz-Target, for callers without a signature.
var services = map[string]string{
	"AmazonSQS":                            "sqs",
	"AmazonEC2ContainerServiceV20141113":   "ecs",
	"AWSEvents":                            "events",
	"AmazonEC2ContainerRegistry_V20150921": "ecr",
}

const account = "123456789012" // where a name without an account is looked for

// request is the input of a call: texts and lists by name.
type request map[string]any

func (r request) text(name string) string {
	s, _ := r[name].(string)
	return s
}

func (r request) list(name string) []string {
	var all []string
	items, _ := r[name].([]any)
	for _, item := range items {
		if s, ok := item.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

func callOf(r *http.Request, body []byte) Call {
	c := Call{At: time.Now()}
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope, _, _ := strings.Cut(rest, ",")
	service := ""
	if parts := strings.Split(scope, "/"); len(parts) == 5 {
		c.Key, c.Region, service = parts[0], parts[2], parts[3]
	}
	in := request{}
	target, name, isJSON := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if isJSON {
		_ = json.Unmarshal(body, &in) // what is no JSON has no resource
	} else if form, err := url.ParseQuery(string(body)); err == nil {
		name = form.Get("Action")
		for key := range form {
			in[key] = form.Get(key)
		}
	}
	c.Operation = cmp.Or(service, services[target]) + ":" + name
	c.Action = cmp.Or(actions[c.Operation], c.Operation)
	c.Resources = resourcesOf(c, in)
	c.Resource = c.Resources[0]
	if strings.HasPrefix(c.Operation, "ecs:") && c.Operation != "ecs:ListClusters" {
		c.Cluster = c.arn("cluster/" + path.Base(cmp.Or(in.text("cluster"), "default")))
	}
	return c
}

// arn of something of ECS.
func (c Call) arn(resource string) string {
	return "arn:aws:ecs:" + c.Region + ":" + account + ":" + resource
}

// resourcesOf follows the Service Authorization Reference: which resource types an action has.
func resourcesOf(c Call, in request) []string {
	cluster := path.Base(cmp.Or(in.text("cluster"), "default"))
	within := func(kind string, names ...string) []string {
		var all []string
		for _, name := range names {
			if !strings.HasPrefix(name, "arn:") {
				name = c.arn(kind + "/" + cluster + "/" + name)
			}
			all = append(all, name)
		}
		return append(all, "*")[:max(len(all), 1)]
	}
	switch c.Operation {
	case "ecs:DescribeTasks":
		return within("task", in.list("tasks")...)
	case "ecs:StopTask":
		return within("task", in.text("task"))
	case "ecs:DescribeServices":
		return within("service", in.list("services")...)
	case "ecs:UpdateService":
		return within("service", in.text("service"))
	case "ecs:DescribeContainerInstances":
		return within("container-instance", in.list("containerInstances")...)
	case "ecs:ListContainerInstances":
		return []string{c.arn("cluster/" + cluster)}
	case "ecs:DescribeClusters":
		var all []string
		for _, name := range append(in.list("clusters"), "default")[:max(len(in.list("clusters")), 1)] {
			all = append(all, c.arn("cluster/"+path.Base(name)))
		}
		return all
	case "ecs:RunTask":
		return []string{c.arn("task-definition/" + path.Base(in.text("taskDefinition")))}
	case "ecs:ListTagsForResource":
		return []string{cmp.Or(in.text("resourceArn"), "*")}
	}
	return []string{named(c, in)}
}

// named is the resource of a call that names it.
func named(c Call, in request) string {
	if address := in.text("QueueUrl"); address != "" {
		if u, err := url.Parse(address); err == nil {
			return "arn:aws:sqs:" + c.Region + ":" + strings.ReplaceAll(strings.Trim(u.Path, "/"), "/", ":")
		}
	}
	if name := in.text("QueueName"); name != "" {
		return "arn:aws:sqs:" + c.Region + ":" + cmp.Or(in.text("QueueOwnerAWSAccountId"), account) + ":" + name
	}
	return cmp.Or(in.text("TopicArn"), in.text("RoleArn"), "*")
}
