package install_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/cfn"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/e2e/process"
)

// oneEndpoint is moto for everything but the ECS API, whose answers moto writes in a way that the SDK does not read.
func oneEndpoint(t *testing.T, moto string, ecs *awsfake.AWS) string {
	t.Helper()
	target, err := url.Parse(moto)
	require.NoError(t, err)
	rest := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AmazonEC2ContainerService") {
			ecs.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// letIn gives the queue of events its policy: moto makes a policy of a template and gives it to no queue.
func (i *installation) letIn() {
	i.t.Helper()
	url := i.outputs["QueueUrl"]
	made, err := template(i.t, home).Stack(cfn.Place{Parameters: map[string]string{"Prefix": strings.TrimSuffix(filepath.Base(url), "-events")}})
	require.NoError(i.t, err)
	document, err := json.Marshal(made.Resources["EventsQueuePolicy"].Properties["PolicyDocument"])
	require.NoError(i.t, err)
	_, err = sqs.NewFromConfig(i.moto.Config()).SetQueueAttributes(i.t.Context(), &sqs.SetQueueAttributesInput{
		QueueUrl: &url, Attributes: map[string]string{"Policy": string(document)},
	})
	require.NoError(i.t, err)
}

// subscribed returns a queue behind the topic of the installation.
func (i *installation) subscribed() string {
	i.t.Helper()
	queues := sqs.NewFromConfig(i.moto.Config())
	made, err := queues.CreateQueue(i.t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("behind-" + filepath.Base(i.outputs["QueueUrl"]))})
	require.NoError(i.t, err)
	const arn = sqstypes.QueueAttributeNameQueueArn
	has, err := queues.GetQueueAttributes(i.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: made.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{arn}})
	require.NoError(i.t, err)
	_, err = sns.NewFromConfig(i.moto.Config()).Subscribe(i.t.Context(), &sns.SubscribeInput{
		TopicArn: aws.String(i.outputs["TopicArn"]), Protocol: aws.String("sqs"), Endpoint: aws.String(has.Attributes[string(arn)]),
		Attributes: map[string]string{"RawMessageDelivery": "true"},
	})
	require.NoError(i.t, err)
	return aws.ToString(made.QueueUrl)
}

// An event on the bus of an installation comes out of its topic as an alert, with the roles of the installation; an
// end that was wanted does not. The installation checks well before.
func TestAlertComesOutOfTheTopic(t *testing.T) {
	i := apply(t, home, nil)
	behind := i.subscribed()
	i.letIn()
	ecs := awsfake.New(awsfake.Options{Account: owner, Region: place})
	endpoint, dir := oneEndpoint(t, i.moto.URL, ecs), t.TempDir()

	binary, config := filepath.Join(dir, "bellbuoy"), filepath.Join(dir, "bellbuoy.yaml")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/bellbuoy/bellbuoy/cmd/bellbuoy").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.WriteFile(config, []byte(`
data_dir: `+filepath.Join(dir, "data")+`
http: {listen: "off"}
nats: {embedded: {listen: "127.0.0.1:0"}}
aws: {endpoint: "`+endpoint+`"}
collectors: [{ecs: {queue_url: "`+i.outputs["QueueUrl"]+`", region: `+place+`, role_arn: "`+i.outputs["CollectorRoleArn"]+`"}}]
sinks: {pager: {sns: {topic_arn: "`+i.outputs["TopicArn"]+`", role_arn: "`+i.outputs["AlertSinkRoleArn"]+`"}}}
`), 0o600))
	env := []string{"AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true"}
	check := exec.CommandContext(t.Context(), binary, "check", "--online", config)
	check.Env = append(os.Environ(), env...)
	out, err = check.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "[+] collectors[0]")

	log := filepath.Join(dir, "log")
	p, err := process.Start(process.Spec{Path: binary, Args: []string{"up", "-c", config}, Env: env, Dir: dir, Log: log})
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.Stop(20*time.Second)) }()
	require.Eventually(t, func() bool {
		said, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(said), "next: ")
	}, patience, 50*time.Millisecond, "%s", process.Tail(log))

	for name, code := range map[string]int32{"wanted": 0, "crash": 3} {
		d := ecs.PutDefinition(types.TaskDefinition{ // of its own: the end of one that is wanted is the end of a job's incident
			Family: aws.String(name), ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"), Image: aws.String("shop:1")}},
		})
		task := ecs.NewTask("prod", d, awsfake.NewTask{StartedBy: name})
		states := ecs.Start(aws.ToString(task.TaskArn), time.Second)
		states = append(states, ecs.Stop(aws.ToString(task.TaskArn), awsfake.Stop{
			Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", Exit: map[string]int32{"app": code},
		})...)
		for _, state := range states {
			var envelope struct {
				Detail json.RawMessage `json:"detail"`
			}
			require.NoError(t, json.Unmarshal([]byte(ecs.TaskEvent(state)), &envelope))
			i.happen("aws.ecs", "ECS Task State Change", string(envelope.Detail))
		}
	}
	alerts := i.moto.Messages(t, behind, patience, harness.AtLeast(1))
	alerts = append(alerts, i.moto.Messages(t, behind, 3*time.Second, nil)...)
	if assert.Len(t, alerts, 1, "%s", process.Tail(log)) {
		t.Logf("\n%s", aws.ToString(alerts[0].Body))
		assert.Contains(t, aws.ToString(alerts[0].Body), "exit code 3")
	}
}
