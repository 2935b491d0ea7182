package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// direct carries requests to a handler in this process without a socket, so that they pass in virtual time.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// trouble stands before a handler and refuses calls by operation, such as ReceiveMessage, or changes answers.
type trouble struct {
	next http.Handler

	mu     sync.Mutex // guards faults
	faults map[string]func(http.ResponseWriter, *http.Request) (answered bool)
}

func (p *trouble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	p.mu.Lock()
	fault := p.faults[op]
	p.mu.Unlock()
	if fault == nil || !fault(w, r) {
		p.next.ServeHTTP(w, r)
	}
}

// on sets the fault of an operation; nil removes it.
func (p *trouble) on(op string, fault func(http.ResponseWriter, *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults == nil {
		p.faults = map[string]func(http.ResponseWriter, *http.Request) bool{}
	}
	p.faults[op] = fault
}

// refuse answers with an error of AWS.
func refuse(status int, code, message string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws.sqs#" + code, "message": message})
		return true
	}
}

// letters keeps quarantined messages; it may refuse.
type letters struct {
	mu    sync.Mutex // guards what follows
	kept  map[string]Letter
	fault error
}

func (l *letters) Quarantine(_ context.Context, letter Letter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		return l.fault
	}
	if l.kept == nil {
		l.kept = map[string]Letter{}
	}
	l.kept[letter.ID] = letter
	return nil
}

func (l *letters) refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = err
}

func (l *letters) all() map[string]Letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]Letter{}
	for id, letter := range l.kept {
		out[id] = letter
	}
	return out
}

// strict refuses what breaks the contract, as the bus does.
type strict struct{ *collectortest.Stream }

func (s strict) Publish(ctx context.Context, e event.Event) error {
	e.Recorded = time.Now().UTC()
	if err := event.Validate(&e); err != nil {
		return err
	}
	return s.Stream.Publish(ctx, e)
}

// echo is a machine that tells the event of each fact, once; a test may put something before that.
type echo struct {
	before func(ctx context.Context, f *fact) error

	mu   sync.Mutex // guards told
	told map[string]bool
}

func (e *echo) load(context.Context) error { return nil }

func (e *echo) resume(context.Context, func(context.Context, out) error) error { return nil }

func (e *echo) handle(ctx context.Context, f *fact, tell func(context.Context, out) error) error {
	if e.before != nil {
		if err := e.before(ctx, f); err != nil {
			return err
		}
	}
	e.mu.Lock()
	again := e.told[f.event.ID]
	e.mu.Unlock()
	if again {
		return nil
	}
	if err := tell(ctx, out{event: f.event}); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.told == nil {
		e.told = map[string]bool{}
	}
	e.told[f.event.ID] = true
	return nil
}

// readWord makes a fact of "task/version", a note of "note", and poison of "bad" and "bare".
func readWord(body []byte) (*fact, error) {
	var version int64
	word, rest, _ := strings.Cut(string(body), "/")
	switch word {
	case "bad":
		return nil, &poison{Class: classUndecodable, Reason: "not JSON"}
	case "bare":
		return nil, &poison{Class: classTransformed, Reason: "an input transformer removed the envelope"}
	case "odd":
		e := eventOf("odd", 0)
		e.Type = event.Type("io.example")
		return &fact{event: e}, nil
	case "note":
		return &fact{event: eventOf("note", 0), note: &note{Deployment: "d"}}, nil
	}
	_, _ = fmt.Sscan(rest, &version)
	return &fact{event: eventOf(word, version), task: &task{ARN: word, Version: version}}, nil
}

func eventOf(id string, version int64) event.Event {
	subject := event.SubjectOf("prod", "web", id)
	return event.Event{
		ID: event.NewID("ecs", id, fmt.Sprint(version)), Source: "arn:aws:ecs:eu-west-1:123456789012:cluster/prod",
		Type: event.TaskUpdated, Severity: event.Info, Sequence: "0-0", Subject: subject, PartitionKey: subject, Time: time.Unix(1_770_000_000+version, 0).UTC(),
		Data: event.Data{
			Site: "test", Runtime: event.ECS, Scope: "prod", Workload: "web", Observed: event.ObservedStream,
			Task: &event.Task{ID: id, Run: id, State: event.StateRunning},
		},
	}
}

// rig is an intake on a queue of the stand-in.
type rig struct {
	t        testing.TB
	aws      *awsfake.AWS
	trouble  *trouble
	queue    *awsfake.Queue
	dead     *awsfake.Queue
	stream   *collectortest.Stream
	reporter *collectortest.Reporter
	bucket   *awayBucket
	letters  *letters
	machine  *echo
	registry *prometheus.Registry
	restored atomic.Pointer[collectors.Gap]
	in       *intake
	end      func()
}

// awayBucket is a bucket that may not answer.
type awayBucket struct {
	Store
	away atomic.Bool
}

func (b *awayBucket) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if b.away.Load() {
		return nil, 0, errors.New("no responders")
	}
	return b.Store.Get(ctx, key)
}

const maxReceives = 5

func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{
		t: t, stream: &collectortest.Stream{}, reporter: &collectortest.Reporter{}, bucket: &awayBucket{Store: newMemoryStore()}, letters: &letters{},
		machine: &echo{}, registry: prometheus.NewRegistry(), aws: awsfake.New(awsfake.Options{}),
	}
	r.trouble = &trouble{next: r.aws}
	r.dead = r.aws.CreateQueue("dead", nil)
	r.queue = r.aws.CreateQueue("events", map[string]string{
		"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"%d"}`, r.dead.ARN, maxReceives),
	})
	cfg := DefaultConfig()
	cfg.QueueURL = r.queue.URL
	for _, f := range change {
		f(&cfg)
	}
	m, err := newIntakeMetrics("ecs", r.registry)
	require.NoError(t, err)
	c := &Collector{cfg: cfg, metrics: m, deps: Deps{
		Name: "ecs", Publisher: strict{r.stream}, Reporter: r.reporter, Bucket: r.bucket, Quarantine: r.letters, Logger: discard(),
	}}
	client := sqs.NewFromConfig(aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: &http.Client{Transport: direct{r.trouble}},
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
		Retryer:     func() aws.Retryer { return awsclient.Retryer(0) },
	})
	r.in = c.newIntake(client, r.machine, readWord, func(g collectors.Gap) { r.restored.Store(&g) })
	return r
}

// start runs the intake until end is called, at the latest at the end of the test.
func (r *rig) start() *rig {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.in.run(ctx)
	}()
	r.end = sync.OnceFunc(func() { cancel(); <-done })
	return r
}

func (r *rig) send(bodies ...string) { r.queue.Send(bodies...) }

func (r *rig) value(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	require.NoError(r.t, err)
	sum := 0.0
	for _, family := range families {
		if family.GetName() != "bellbuoy_ecs_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			text := fmt.Sprint(m.GetLabel())
			matches := true
			for _, l := range labels {
				matches = matches && strings.Contains(text, `"`+l+`"`)
			}
			if matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// inBubble runs a test in virtual time on a rig of its own that has ended before the test returns.
func inBubble(t *testing.T, test func(t *testing.T, r *rig), change ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, change...)
		defer func() {
			if r.end != nil {
				r.end()
			}
		}()
		test(t, r)
		require.NoError(t, r.stream.Faults())
	})
}

// after waits in virtual time and until nobody has anything to do.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
