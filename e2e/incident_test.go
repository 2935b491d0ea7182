package e2e_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// TestCrashLoopIsOneAlert: a container that crashes 200 times and then runs is a message when it begins, one when it
// is seen to be a loop, and one when it is over, with the time in between.
func TestCrashLoopIsOneAlert(t *testing.T) {
	const crashes = 200
	d, m := stand.Docker(t), stand.Moto(t)
	topic, queue := m.TopicWithQueue(t, uniqueName("loop"))
	p := newProgram(t, quiet+`
aws: {endpoint: "`+m.URL+`"}
collectors: [{docker: {host: "`+d.Host+`"}}]
incidents: {stable: 5s}
sinks: {pager: {sns: {topic_arn: "`+topic+`"}}}
`)
	p.up(t)
	name := uniqueName("pay")
	id := d.Run(t, harness.RunSpec{Name: name, Cmd: sh(`n=$(cat /n 2>/dev/null || echo 0); echo $((n+1)) > /n; [ $n -lt 200 ] || exec sleep 1000; echo boom $n; exit 3`)})
	d.Wait(t, id, within)
	first := finishedAt(t, d, id)
	for range crashes - 1 {
		d.Start(t, id)
		d.Wait(t, id, within)
	}
	d.Start(t, id)
	back, err := time.Parse(time.RFC3339Nano, d.Inspect(t, id).State.StartedAt)
	require.NoError(t, err)

	var bodies []string
	m.Messages(t, queue, time.Minute, func(taken []sqstypes.Message) bool {
		bodies = nil
		for _, message := range taken {
			if strings.Contains(*message.Body, name) {
				bodies = append(bodies, *message.Body)
			}
		}
		return strings.Contains(strings.Join(bodies, ""), "recovered after")
	})
	for i, body := range bodies {
		t.Logf("message %d of %d:\n%s", i+1, len(bodies), body)
	}
	require.Len(t, bodies, 3, "opened, a crash loop, resolved")
	assert.Contains(t, bodies[0], "stopped")
	assert.Contains(t, bodies[1], "keeps stopping")
	assert.Contains(t, bodies[2], "Stops: 200")
	told := strings.SplitN(strings.SplitN(bodies[2], "recovered after ", 2)[1], " ", 2)[0]
	downtime, err := time.ParseDuration(told)
	require.NoError(t, err, "the downtime in words: %s", told)
	assert.InDelta(t, back.Sub(first).Seconds(), downtime.Seconds(), 1.5, "from the first stop to the start that stayed")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

func finishedAt(t *testing.T, d *harness.Docker, id string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, d.Inspect(t, id).State.FinishedAt)
	require.NoError(t, err)
	return at
}
