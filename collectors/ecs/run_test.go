package ecs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/awsproxy"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const patience = 60 * time.Second

// socketed is a collector on real sockets: the stand-in behind a proxy, and a real bus.
type socketed struct {
	aws      *awsfake.AWS
	proxy    *awsproxy.Proxy
	queue    *awsfake.Queue
	dead     *awsfake.Queue
	letters  *letters
	reporter *collectortest.Reporter
	deps     Deps
	cfg      Config
}

func newSocketed(t *testing.T, publisher collectors.Publisher) *socketed {
	t.Helper()
	environment(t)
	s := &socketed{aws: awsfake.Start(t, awsfake.Options{}), letters: &letters{}, reporter: &collectortest.Reporter{}}
	s.proxy = awsproxy.Start(t, s.aws.URL)
	s.dead = s.aws.CreateQueue("dead", nil)
	s.queue = s.aws.CreateQueue("events", map[string]string{
		"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"1000"}`, s.dead.ARN),
	})
	s.cfg = DefaultConfig()
	s.cfg.QueueURL, s.cfg.Endpoint = s.queue.URL, s.proxy.URL
	s.deps = Deps{
		Site: "test", Node: "node", Publisher: publisher, Reporter: s.reporter, Bucket: newMemoryStore(), Quarantine: s.letters,
		AWS: loader(t), Registerer: prometheus.NewRegistry(),
	}
	return s
}

// run runs a collector with a machine that tells each fact once until the returned function is called.
func (s *socketed) run(t *testing.T) (end func()) {
	t.Helper()
	c, err := New(s.cfg, s.deps)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.run(ctx, work{machine: &echo{}, read: readWord}) }()
	return func() {
		t.Helper()
		cancel()
		require.NoError(t, <-done)
	}
}

// Nothing is lost and nothing is told twice, whatever AWS does; the collector is ended and started again
// meanwhile.
func TestEveryMessageOnceUnderFaults(t *testing.T) {
	b := bustest.New(t)
	s := newSocketed(t, strictly{bustest.Publisher(t, b)})
	const tasks, copies, poisonous = 1500, 150, 3
	bodies := words(tasks)
	bodies = append(bodies, bodies[:copies]...)
	for i := range poisonous {
		bodies = append(bodies, fmt.Sprintf("bad/%d", i))
	}
	rand.Shuffle(len(bodies), func(i, j int) { bodies[i], bodies[j] = bodies[j], bodies[i] })
	s.queue.Send(bodies...)
	for _, r := range []awsproxy.Rule{
		{Op: "sqs:ReceiveMessage", P: 0.05, Fault: awsproxy.Throttled},
		{Op: "sqs:ReceiveMessage", P: 0.05, Fault: awsproxy.Reset},
		{Op: "sqs:ReceiveMessage", P: 0.05, Fault: awsproxy.LoseResponse},
		{Op: "sqs:DeleteMessageBatch", P: 0.1, Fault: awsproxy.LoseResponse},
		{Op: "sqs:DeleteMessageBatch", P: 0.1, Fault: awsproxy.PartialBatch},
		{Op: "sqs:DeleteMessageBatch", P: 0.05, Fault: awsproxy.Denied},
		{Op: "sqs:DeleteMessageBatch", P: 0.05, Fault: awsproxy.Twice},
	} {
		s.proxy.Add(r)
	}
	deadline := time.Now().Add(patience)
	for round := 0; s.queue.Len() > 0 && time.Now().Before(deadline); round++ {
		end := s.run(t)
		last := s.queue.Len()
		require.Eventually(t, func() bool { n := s.queue.Len(); return n == 0 || n < last-300 || s.queue.Visible() == 0 }, patience, 10*time.Millisecond)
		end()
		s.aws.Advance(visibility) // what was lost on its way comes again
	}
	assert.Zero(t, s.queue.Len())
	assert.Zero(t, s.dead.Len())
	assert.Len(t, s.letters.all(), poisonous)
	seen := map[string]bool{}
	for _, e := range bustest.Events(t, b, tasks) {
		seen[e.ID] = true
	}
	assert.Len(t, seen, tasks)
}

// strictly makes complete events of what the echo tells, as a link does.
type strictly struct{ collectors.Publisher }

func (s strictly) Publish(ctx context.Context, e event.Event) error {
	e.Recorded = time.Now().UTC()
	return s.Publisher.Publish(ctx, e)
}

func TestSessionThatEndsIsAssumedAgain(t *testing.T) {
	s := newSocketed(t, strict{&collectortest.Stream{}})
	s.cfg.RoleARN, s.cfg.ExternalID = "arn:aws:iam::123456789012:role/reader", "shared"
	end := s.run(t)
	defer end()
	require.Eventually(t, func() bool { return s.reporter.Last().Connected }, patience, 10*time.Millisecond)
	s.aws.ExpireSessions()
	s.queue.Send("a/1") // an open receive takes it; its delete is the first call that is refused
	require.Eventually(t, func() bool { return s.queue.Len() == 0 }, patience/2, 10*time.Millisecond)
	assert.GreaterOrEqual(t, s.aws.Count("sts:AssumeRole"), 2)
	assert.Equal(t, 1, s.queue.MostReceived())
}

func TestRoleThatIsRefusedIsNamed(t *testing.T) {
	s := newSocketed(t, strict{&collectortest.Stream{}})
	s.cfg.RoleARN = "arn:aws:iam::123456789012:role/reader"
	rule := s.proxy.Add(awsproxy.Rule{Op: "sts:AssumeRole", Fault: awsproxy.Denied})
	end := s.run(t)
	defer end()
	require.Eventually(t, func() bool { return s.reporter.Last().Err != nil }, patience, 10*time.Millisecond)
	require.ErrorContains(t, s.reporter.Last().Err, "allow sts:AssumeRole")
	rule.Off()
	require.Eventually(t, func() bool { return s.reporter.Last().Connected }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return len(s.reporter.Gaps()) == 1 }, patience, 10*time.Millisecond, "the gap is told")
	assert.Contains(t, s.reporter.Gaps()[0].Reason, "sts:AssumeRole")
}

func TestSkewedClockIsCorrectedOrTold(t *testing.T) {
	s := newSocketed(t, strict{&collectortest.Stream{}})
	rule := s.proxy.Add(awsproxy.Rule{Op: "sqs:ReceiveMessage", Fault: awsproxy.Skewed})
	end := s.run(t)
	defer end()
	require.Eventually(t, func() bool { return s.reporter.Last().Err != nil }, patience, 10*time.Millisecond)
	require.ErrorContains(t, s.reporter.Last().Err, "clock")
	rule.Off()
	require.Eventually(t, func() bool { return s.reporter.Last().Connected }, patience, 10*time.Millisecond)
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	environment(t)
	_, err := New(Config{}, Deps{})
	require.ErrorContains(t, err, "queue_url")
	_, err = New(valid(), Deps{})
	require.ErrorContains(t, err, "needs a publisher")
	registry := prometheus.NewRegistry()
	for range 2 {
		c, err := New(valid(), Deps{Site: "s", Node: "n", Publisher: &collectortest.Stream{}, Registerer: registry})
		require.NoError(t, err, "the collectors of two queues share their series")
		assert.Equal(t, "ecs", c.deps.Name)
	}
}

func TestOutagesGrow(t *testing.T) {
	t.Parallel()
	o := newOutages()
	at := time.Unix(1_770_000_000, 0)
	o.add(collectors.Gap{From: at, To: at.Add(time.Minute), Reason: "first"})
	o.add(collectors.Gap{From: at.Add(2 * time.Minute), To: at.Add(3 * time.Minute), Reason: "second"})
	<-o.wake
	g, ok := o.take()
	require.True(t, ok)
	assert.Equal(t, collectors.Gap{From: at, To: at.Add(3 * time.Minute), Reason: "first"}, g)
	_, ok = o.take()
	assert.False(t, ok)
}
