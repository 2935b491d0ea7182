package install_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/collectors/ecs"
	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/awsproxy"
	"github.com/bellbuoy/bellbuoy/e2e/cfn"
	"github.com/bellbuoy/bellbuoy/e2e/ecslife"
	"github.com/bellbuoy/bellbuoy/e2e/iam"
	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/opensearch"
	"github.com/bellbuoy/bellbuoy/sinks/restart"
	"github.com/bellbuoy/bellbuoy/sinks/sns"
)

const (
	place    = "eu-west-1"
	owner    = "123456789012"
	optIn    = "bellbuoy:restart"
	lost     = "nightly-report" // the family that may be run once more
	patience = 30 * time.Second
)

func roleARN(component string) string {
	return "arn:aws:iam::" + owner + ":role/" + roleName(component)
}

func roleName(component string) string { return "bellbuoy-" + component + "-" + place }

// policies are those of each role of a stack.
func policies(t *testing.T, s *cfn.Stack) map[string]iam.Policy {
	t.Helper()
	all := map[string]iam.Policy{}
	for id, r := range s.Resources {
		if r.Type != "AWS::IAM::Policy" {
			continue
		}
		p, err := iam.Read(r.Properties["PolicyDocument"].(map[string]any))
		require.NoError(t, err, id)
		for _, role := range r.Properties["Roles"].([]any) {
			all[role.(string)] = append(all[role.(string)], p...)
		}
	}
	return all
}

// recording is AWS as the components see it, and what each of them asked for.
type recording struct {
	t      *testing.T
	aws    *awsfake.AWS
	proxy  *awsproxy.Proxy
	loader *awsclient.Loader
	calls  map[string][]iam.Call // by role
	seen   int                   // of the proxy's calls
}

func record(t *testing.T) *recording {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": place,
		"AWS_CONFIG_FILE": t.TempDir() + "/none", "AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	r := &recording{t: t, aws: awsfake.Start(t, awsfake.Options{Account: owner, Region: place}), calls: map[string][]iam.Call{}}
	r.proxy, r.loader = awsproxy.Start(t, r.aws.URL), &awsclient.Loader{MaxBackoff: time.Millisecond}
	return r
}

func (r *recording) as(component string) awsclient.Config {
	return awsclient.Config{Region: place, Endpoint: r.proxy.URL, RoleARN: roleARN(component)}
}

// took notes what a component has asked for since the last time. Taking on its role is its runner's call.
func (r *recording) took(component string, keys func(*awsproxy.Call) map[string]string) {
	all := r.proxy.Calls()
	for i := range all[r.seen:] {
		c := &all[r.seen+i]
		role, known := roleName(component), map[string]string{}
		switch {
		case c.Action == "sts:AssumeRole":
			role = roleName("runner")
		case strings.HasPrefix(c.Action, "sqs:"): // a long poll that was given up is seen when it ends
			role = roleName("collector")
		case keys != nil:
			known = keys(c)
		}
		if c.Cluster != "" {
			known["ecs:cluster"] = c.Cluster
		}
		resources := c.Resources
		if len(resources) == 0 {
			resources = []string{c.Resource}
		}
		for _, resource := range resources {
			r.add(role, iam.Call{Action: c.Action, Resource: resource, Keys: known})
		}
	}
	r.seen = len(all)
}

func (r *recording) add(role string, c iam.Call) { r.calls[role] = append(r.calls[role], c) }

// decrypts adds the calls of a key that a service makes in the caller's name. Nobody can see them.
func (r *recording) decrypts(component, service, key string, actions ...string) {
	for _, action := range actions {
		r.add(roleName(component), iam.Call{Action: action, Resource: key, Keys: map[string]string{"kms:ViaService": service + "." + place + ".amazonaws.com"}})
	}
}

// collects lets a collector read lives, compare, and be refused once, so that it gives messages back.
func (r *recording) collects(key string) {
	lives := ecslife.All(r.aws)
	q := r.aws.CreateQueue("bellbuoy-events", nil)
	cfg := ecs.DefaultConfig()
	cfg.QueueURL = q.URL
	cfg = cfg.WithAWS(r.as("collector"))
	_, err := cfg.Check(r.t.Context(), r.loader)
	require.ErrorContains(r.t, err, "has no policy", "nothing else is wrong with it")

	stream := &collectortest.Stream{}
	stream.Refuse(true)
	c, err := ecs.New(cfg, ecs.Deps{Site: "test", Node: "node", Publisher: stream, AWS: r.loader})
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for _, life := range lives {
		q.Send(life.Bodies...)
	}
	require.Eventually(r.t, func() bool { return stream.Blocked() > 0 }, patience, 10*time.Millisecond)
	require.Eventually(r.t, func() bool { return r.proxy.Count("sqs:ChangeMessageVisibilityBatch") > 0 }, patience, 10*time.Millisecond)
	stream.Refuse(false)
	require.Eventually(r.t, func() bool { return q.Len() == 0 && r.proxy.Count("ecs:DescribeServices") > 0 }, 2*patience, 10*time.Millisecond)
	cancel()
	require.NoError(r.t, <-done)
	r.took("collector", nil)
	r.decrypts("collector", "sqs", key, "kms:Decrypt")
}

// alerts lets a sink look at its topic and publish one alert and several.
func (r *recording) alerts(key string) {
	topic := r.aws.CreateTopic("bellbuoy-alerts")
	cfg := sns.DefaultConfig()
	cfg.TopicARN = topic.ARN
	sink, err := sns.New(cfg.WithAWS(r.as("alert-sink")), sns.Deps{Name: "pager", AWS: r.loader})
	require.NoError(r.t, err)
	require.NoError(r.t, sink.Check(r.t.Context()))
	e := r.stop("web", "exit.error")
	require.NoError(r.t, sink.Send(r.t.Context(), []event.Event{e}))
	other := r.stop("pay", "exit.error")
	require.NoError(r.t, sink.Send(r.t.Context(), []event.Event{e, other}))
	r.took("alert-sink", nil)
	r.decrypts("alert-sink", "sns", key, "kms:GenerateDataKey", "kms:Decrypt")
}

func (r *recording) stop(workload, class string) event.Event {
	subject := event.SubjectOf("prod", workload, "7")
	return event.Event{
		ID: event.NewID(workload, class), Source: r.aws.ClusterARN("prod"), Type: event.TaskStopped, Subject: subject, PartitionKey: subject,
		Time: time.Now(), Recorded: time.Now(), Severity: event.Error,
		Data: event.Data{
			Site: "test", Runtime: event.ECS, Scope: "prod", Workload: workload, Account: owner, Region: place, Observed: event.ObservedStream,
			Task:  &event.Task{ID: "7", Run: "7", State: event.StateStopped},
			Cause: &event.Cause{Class: class, Confidence: event.Fact, Initiator: "app", Say: "exit code 1"},
		},
	}
}

// restarts lets a handler do each thing that it can.
func (r *recording) restarts() {
	cfg := restart.DefaultConfig()
	cfg.Mode = restart.Act
	cfg.ECS = restart.ECS{
		Families: []string{lost}, Redeploy: true, RoleARNs: []string{roleARN("restart")},
		Networks: map[string]restart.Network{lost: {SecurityGroups: []string{"sg-0a1b2c3d"}, Subnets: []string{"subnet-0a1b2c3d"}}},
	}
	h, err := restart.New(cfg, restart.Deps{
		Name: "healer", Publisher: &collectortest.Stream{}, Ledger: &collectortest.Bucket{}, AWS: r.loader,
		Restarters: map[event.Runtime]restart.Restarter{},
		ECS:        []restart.ECSAccount{{Account: owner, Region: place, AWS: awsclient.Config{Region: place, Endpoint: r.proxy.URL}}},
	})
	require.NoError(r.t, err)
	tags := []types.Tag{{Key: aws.String(optIn), Value: aws.String("enabled")}}
	definition := func(family string) types.TaskDefinition {
		return r.aws.PutDefinition(types.TaskDefinition{
			Family: &family, TaskRoleArn: aws.String("arn:aws:iam::123456789012:role/nightly-report"),
			ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String(family + ":1")}},
		})
	}
	start := func(d types.TaskDefinition, n awsfake.NewTask) (types.Task, string) {
		n.Tags = tags
		states := r.aws.Start(aws.ToString(r.aws.NewTask("prod", d, n).TaskArn), time.Second)
		t := states[len(states)-1]
		return t, aws.ToString(t.TaskArn)[strings.LastIndexByte(aws.ToString(t.TaskArn), '/')+1:]
	}
	send := func(e event.Event) { // what it wants to look at later is no matter here
		var partial interface{ Error() string }
		if err := h.Send(r.t.Context(), []event.Event{e}); err != nil {
			require.ErrorAs(r.t, err, &partial)
		}
	}
	for _, name := range []string{"hung", "down"} {
		d := definition(name)
		r.aws.PutService("prod", types.Service{ServiceName: aws.String(name), TaskDefinition: d.TaskDefinitionArn, DesiredCount: 2, RunningCount: map[string]int32{"hung": 2, "down": 1}[name], Tags: tags})
	}
	t, id := start(definition("hung"), awsfake.NewTask{Service: "hung"})
	t.HealthStatus = types.HealthStatusUnhealthy
	r.aws.PutTask(t)
	e := r.stop("hung", "")
	e.Type, e.Data.Task.ID, e.Data.Task.Run, e.Data.Cause = event.TaskUnhealthy, id, id, nil
	send(e)

	t, id = start(definition(lost), awsfake.NewTask{})
	r.aws.Stop(aws.ToString(t.TaskArn), awsfake.Stop{Code: "SpotInterruption", Reason: "Your Spot Task was interrupted."})
	e = r.stop(lost, "spot.interruption")
	e.Data.Task.ID, e.Data.Task.Run, e.Data.Cause.Initiator, e.Data.Cause.Expected = id, id, "platform", true
	send(e)

	e = r.stop("down", "")
	e.Type, e.Data.Task, e.Data.Cause = event.ServiceUpdated, nil, nil
	e.Data.Service = &event.Service{Name: "down", Event: "below_desired", Counts: &event.Counts{Desired: 2, Running: 1}}
	send(e)

	r.took("restart", func(c *awsproxy.Call) map[string]string {
		if c.Action == "ecs:StopTask" || c.Action == "ecs:UpdateService" {
			return map[string]string{"aws:ResourceTag/" + optIn: "enabled"} // of the task, of the service
		}
		return map[string]string{}
	})
	for _, role := range r.aws.PassedRoles() {
		r.add(roleName("restart"), iam.Call{Action: "iam:PassRole", Resource: role, Keys: map[string]string{"iam:PassedToService": "ecs-tasks.amazonaws.com"}})
	}
	r.add(roleName("restart"), iam.Call{ // RunTask was asked to tag what it makes
		Action: "ecs:TagResource", Resource: "arn:aws:ecs:eu-west-1:123456789012:task/prod/8", Keys: map[string]string{"ecs:CreateAction": "RunTask"},
	})
}

// indexes lets a sink write into what answers as OpenSearch Service does to these requests. A domain allows by
// method and path.
func (r *recording) indexes(domain string) {
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		mu.Lock()
		defer mu.Unlock()
		r.add(roleName("indexer"), iam.Call{Action: "es:ESHttp" + req.Method[:1] + strings.ToLower(req.Method[1:]), Resource: domain + req.URL.Path})
		w.Header().Set("Content-Type", "application/json")
		if req.URL.Path != "/_bulk" {
			_, _ = io.WriteString(w, `{"index_templates":[]}`)
			return
		}
		items := make([]string, strings.Count(string(body), "\n")/2)
		for i := range items {
			items[i] = `{"create":{"status":201}}`
		}
		_, _ = fmt.Fprintf(w, `{"took":1,"errors":false,"items":[%s]}`, strings.Join(items, ","))
	}))
	defer server.Close()
	cfg := opensearch.DefaultConfig()
	cfg.Addresses, cfg.ManageTemplates = []string{server.URL}, false
	sink, err := opensearch.New(cfg, opensearch.Deps{Name: "search"})
	require.NoError(r.t, err)
	defer func() { assert.NoError(r.t, sink.Close()) }()
	require.NoError(r.t, sink.Send(r.t.Context(), []event.Event{r.stop("web", "exit.error")}))
}

// judge returns what is denied, and what is allowed and was not used.
func judge(granted map[string]iam.Policy, asked map[string][]iam.Call) (denied, unused []string) {
	for role, p := range granted {
		left := map[iam.Grant]bool{}
		for _, g := range p.Grants() {
			left[g] = true
		}
		for _, c := range asked[role] {
			by, allowed := p.Judge(c)
			if !allowed {
				denied = append(denied, fmt.Sprintf("%s: %s on %s", role, c.Action, c.Resource))
			}
			for _, g := range by {
				delete(left, g)
			}
		}
		for g := range left {
			unused = append(unused, fmt.Sprintf("%s: %s of %s", role, g.Action, g.Sid))
		}
	}
	for role := range asked {
		if granted[role] == nil {
			denied = append(denied, role+": everything")
		}
	}
	slices.Sort(denied)
	slices.Sort(unused)
	return slices.Compact(denied), unused
}

// The roles of the template allow what the components do, and nothing else: each of their actions was used, and
// one action less or more is found.
func TestRolesAllowWhatIsDoneAndNothingElse(t *testing.T) {
	s := stack(t, home, everything(home))
	granted := policies(t, s)
	key, _ := s.Outputs["KeyArn"].(string)
	require.NotEmpty(t, key)
	r := record(t)
	r.collects(key)
	r.alerts(key)
	r.restarts()
	r.indexes(everything(home)["DomainArn"])
	// A domain's sink would take on its role, and a collector that of a member: the same call.
	r.add(roleName("runner"), iam.Call{Action: "sts:AssumeRole", Resource: "arn:aws:iam::210987654321:role/bellbuoy-collector-eu-west-1"})
	r.add(roleName("runner"), iam.Call{Action: "sts:AssumeRole", Resource: roleARN("indexer")})

	denied, unused := judge(granted, r.calls)
	assert.Empty(t, denied, "denied")
	assert.Empty(t, unused, "allowed, and nobody uses it")

	mutants := 0
	for role, p := range granted {
		for _, g := range p.Grants() {
			less := map[string]iam.Policy{role: p.Without(g)}
			denied, _ := judge(less, map[string][]iam.Call{role: r.calls[role]})
			assert.NotEmpty(t, denied, "%s without %s", role, g.Action)
			mutants++
		}
		for _, action := range []string{"sqs:SendMessage", "ecs:RunTask", "sns:CreateTopic", "es:ESHttpDelete", "ecs:DeregisterContainerInstance"} {
			if slices.ContainsFunc(p.Grants(), func(g iam.Grant) bool { return g.Action == action }) {
				continue
			}
			more := append(slices.Clone(p), iam.Statement{Sid: "More", Actions: []string{action}, Resources: []string{"*"}})
			_, unused := judge(map[string]iam.Policy{role: more}, map[string][]iam.Call{role: r.calls[role]})
			assert.NotEmpty(t, unused, "%s with %s", role, action)
			mutants++
		}
	}
	t.Logf("%d roles, %d calls, %d mutants", len(granted), len(r.proxy.Calls()), mutants)
}
