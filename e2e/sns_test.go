package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/faults"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
	"github.com/bellbuoy/bellbuoy/sinks/sns"
)

// pager is a topic of a test, the queue behind it, and what stands between the topic and the sink.
type pager struct {
	t     *testing.T
	moto  *harness.Moto
	proxy *faults.Proxy
	cfg   sns.Config
	queue string
	marks *marks
}

func newPager(t *testing.T) *pager {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	p := &pager{t: t, moto: stand.Moto(t), cfg: sns.DefaultConfig(), marks: &marks{values: map[string][]byte{}}}
	p.cfg.TopicARN, p.queue = p.moto.TopicWithQueue(t, fmt.Sprintf("alerts-%d", time.Now().UnixNano()))
	p.proxy = faults.New(t, p.moto.URL)
	p.cfg.Endpoint = p.proxy.URL
	return p
}

func (p *pager) sink() *sns.Sink {
	p.t.Helper()
	s, err := sns.New(p.cfg, sns.Deps{Name: "pager", Marks: p.marks, AWS: &awsclient.Loader{MaxBackoff: 50 * time.Millisecond}})
	require.NoError(p.t, err)
	return s
}

// bodies takes n messages and looks whether there are more.
func (p *pager) bodies(n int) []string {
	p.t.Helper()
	messages := p.moto.Messages(p.t, p.queue, 20*time.Second, harness.AtLeast(n))
	messages = append(messages, p.moto.Messages(p.t, p.queue, time.Second, nil)...)
	require.Len(p.t, messages, n)
	var bodies []string
	for _, m := range messages {
		bodies = append(bodies, *m.Body)
	}
	return bodies
}

// marks is a bucket in memory, which outlives the sinks of a test.
type marks struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (m *marks) Get(_ context.Context, key string) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.values[key]; ok {
		return v, 1, nil
	}
	return nil, 0, nil
}

func (m *marks) Put(_ context.Context, key string, value []byte, _ uint64) (uint64, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = value
	return 1, true, nil
}

func TestSNSAlertReachesTheQueue(t *testing.T) {
	p := newPager(t)
	require.NoError(t, p.sink().Check(t.Context()))
	require.NoError(t, p.sink().Send(t.Context(), sinktest.Events()))
	require.NoError(t, p.sink().Send(t.Context(), sinktest.Events()), "all of it again, as after a restart")

	alerts := 0
	for _, e := range sinktest.Events() {
		if e.Data.Cause == nil || !e.Data.Cause.Expected {
			alerts++
		}
	}
	bodies := p.bodies(alerts)
	assert.True(t, slices.ContainsFunc(bodies, func(body string) bool {
		return strings.HasPrefix(body, "pay stopped at 2026-11-24 02:14:07 UTC on web-7 (docker, project shop) after it ran 4s.\n"+
			"Why: The program ended with exit code 3. This is a fact.\n")
	}), "%q", bodies)
}

func TestSNSMessageIsTheEvent(t *testing.T) {
	p := newPager(t)
	p.cfg.Format = sns.JSON
	alert := sinktest.Alerts()[0]
	require.NoError(t, p.sink().Send(t.Context(), []event.Event{alert}))

	messages := p.moto.Messages(t, p.queue, 20*time.Second, harness.AtLeast(1))
	want, err := event.Append(nil, &alert)
	require.NoError(t, err)
	assert.JSONEq(t, string(want), *messages[0].Body)
	got := map[string]string{}
	for name, a := range messages[0].MessageAttributes {
		got[name] = *a.DataType + " " + *a.StringValue
	}
	assert.Equal(t, map[string]string{
		"severity": "Number 17", "state": "String stopped", "class": "String exit.error", "expected": "String false", "site": "String prod-eu",
		"workload": "String pay", "runtime": "String docker", "scope": "String shop", "owner": "String team-payments", "node": "String web-7",
	}, got)
}

func TestSNSThrottleIsRetried(t *testing.T) {
	p := newPager(t)
	throttle := p.proxy.Inject(faults.Rule{Operation: "PublishBatch", Fault: faults.Throttle(), Times: 3})
	require.NoError(t, p.sink().Send(t.Context(), sinktest.Alerts()[:2]))
	assert.Equal(t, 3, throttle.Hits())
	p.bodies(2)

	endless := p.proxy.Inject(faults.Rule{Operation: "PublishBatch", Fault: faults.Throttle()})
	err := p.sink().Send(t.Context(), sinktest.Alerts()[2:4])
	assert.Equal(t, sinktest.Throttled, sinktest.ClassOf(err), "%v", err)
	assert.Equal(t, awsclient.Attempts, endless.Hits())
	endless.Off()
	require.NoError(t, p.sink().Send(t.Context(), sinktest.Alerts()[2:4]))
	p.bodies(2)
}

// A lost answer repeats an alert at most once; after that the mark holds against any redelivery.
func TestSNSLostAnswer(t *testing.T) {
	p := newPager(t)
	p.proxy.Inject(faults.Rule{Operation: "PublishBatch", Fault: faults.LoseResponse(), Times: 1})
	alert := sinktest.Alerts()[:1]
	for range 4 {
		require.NoError(t, p.sink().Send(t.Context(), alert))
	}
	assert.Equal(t, 2, p.proxy.Calls("PublishBatch"))
	p.bodies(2)
	assert.Len(t, p.marks.values, 1)
}

func TestSNSResetsAndServerErrors(t *testing.T) {
	p := newPager(t)
	p.proxy.Inject(faults.Rule{Operation: "PublishBatch", Fault: faults.Reset(), Times: 2})
	p.proxy.Inject(faults.Rule{Operation: "PublishBatch", Fault: faults.Status(503, ""), Times: 2})
	require.NoError(t, p.sink().Send(t.Context(), sinktest.Alerts()[:1]))
	p.bodies(1)
}

func TestSNSWrongTopicAndRegion(t *testing.T) {
	p := newPager(t)
	good := p.cfg.TopicARN
	p.cfg.TopicARN = good + "-typo"
	for name, err := range map[string]error{
		"check": p.sink().Check(t.Context()),
		"send":  p.sink().Send(t.Context(), sinktest.Alerts()[:1]),
	} {
		assert.ErrorContains(t, err, p.cfg.TopicARN, name)
		assert.ErrorContains(t, err, "topic_arn", name)
		assert.Equal(t, sinktest.Permanent, sinktest.ClassOf(err), name)
	}

	p.cfg.TopicARN, p.cfg.Region = good, "ap-south-1"
	_, err := sns.New(p.cfg, sns.Deps{Name: "pager"})
	assert.ErrorContains(t, err, "ap-south-1")
	assert.ErrorContains(t, err, "topic_arn")
}

func TestSNSRoleIsAssumed(t *testing.T) {
	p := newPager(t)
	p.cfg.RoleARN = "arn:aws:iam::123456789012:role/bellbuoy"
	require.NoError(t, p.sink().Send(t.Context(), sinktest.Alerts()[:1]))
	s := p.sink()
	for _, alert := range sinktest.Alerts()[1:4] {
		require.NoError(t, s.Send(t.Context(), []event.Event{alert}))
	}
	p.bodies(4)
	assert.Equal(t, 2, p.proxy.Calls("AssumeRole"), "one per sink of this test, not one per alert")
}

func TestSNSFIFO(t *testing.T) {
	p := newPager(t)
	p.cfg.TopicARN, p.queue = p.moto.TopicWithQueue(t, fmt.Sprintf("alerts-%d.fifo", time.Now().UnixNano()))
	p.cfg.Format = sns.JSON
	alerts := sinktest.Alerts()[:5]
	p.marks = &marks{values: map[string][]byte{}}
	require.NoError(t, p.sink().Send(t.Context(), alerts))
	clear(p.marks.values)
	require.NoError(t, p.sink().Send(t.Context(), alerts), "the marks are lost")

	messages := p.moto.Messages(t, p.queue, 20*time.Second, harness.AtLeast(len(alerts)))
	messages = append(messages, p.moto.Messages(t, p.queue, time.Second, nil)...)
	require.Len(t, messages, len(alerts), "the topic drops what has the same id")
	for i, m := range messages {
		e, err := event.Decode([]byte(*m.Body))
		require.NoError(t, err)
		assert.Equal(t, alerts[i].ID, e.ID, "in the order of the batch")
	}
}
