package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// subscriber is somebody's automation: a NATS client and a JSON parser, nothing of ours.
type subscriber struct {
	conn *nats.Conn

	mu       sync.Mutex // guards messages
	messages []received
}

type received struct {
	*nats.Msg
	at time.Time
}

// plain is as much of an event as a stranger reads who knows the reference of the fields.
type plain struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Type        string `json:"type"`
	Data        struct {
		Workload string            `json:"workload"`
		Labels   map[string]string `json:"labels"`
		Task     struct {
			Name       string `json:"name"`
			Containers []struct {
				ExitCode *int64 `json:"exit_code"`
			} `json:"containers"`
			Log struct {
				Lines []string `json:"lines"`
			} `json:"log"`
		} `json:"task"`
		Cause struct {
			Class    string `json:"class"`
			Expected bool   `json:"expected"`
		} `json:"cause"`
		Collector struct {
			Reason string `json:"reason"`
		} `json:"collector"`
	} `json:"data"`
}

// dial connects a NATS client to the running program.
func (p *program) dial(t *testing.T) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(p.url())
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func subscribe(t *testing.T, conn *nats.Conn, subject string) *subscriber {
	t.Helper()
	s := &subscriber{conn: conn}
	_, err := conn.Subscribe(subject, func(m *nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.messages = append(s.messages, received{m, time.Now()})
	})
	require.NoError(t, err)
	require.NoError(t, conn.FlushTimeout(within))
	return s
}

func (s *subscriber) all() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.messages...)
}

// arrivals tells by workload when its first message came.
func (s *subscriber) arrivals(t *testing.T) func(workload string) (time.Time, bool) {
	t.Helper()
	first := map[string]time.Time{}
	for _, m := range s.all() {
		var e plain
		require.NoError(t, json.Unmarshal(m.Data, &e))
		if _, ok := first[e.Data.Workload]; !ok {
			first[e.Data.Workload] = m.at
		}
	}
	return func(workload string) (time.Time, bool) { at, ok := first[workload]; return at, ok }
}

// await waits for an event of this type about the task and returns it with its message.
func (s *subscriber) await(t *testing.T, eventType, task string) (plain, received) {
	t.Helper()
	var found plain
	var message received
	eventually(t, within, eventType+" of "+task, func() bool {
		for _, m := range s.all() {
			var e plain
			if json.Unmarshal(m.Data, &e) == nil && e.Type == eventType && (task == "" || e.Data.Task.Name == task) {
				found, message = e, m
				return true
			}
		}
		return false
	})
	return found, message
}

// structured is a NATS message as the SDK's reader wants it.
type structured struct{ body []byte }

func (structured) ReadEncoding() binding.Encoding { return binding.EncodingStructured }

func (s structured) ReadStructured(ctx context.Context, w binding.StructuredWriter) error {
	return w.SetStructuredEvent(ctx, format.JSON, bytes.NewReader(s.body))
}

func (structured) ReadBinary(context.Context, binding.BinaryWriter) error {
	return binding.ErrNotBinary
}

func (structured) Finish(error) error { return nil }

// TestSubscriber reads the events as others do: with a NATS client and any JSON parser, with the SDK of
// CloudEvents, live and afterwards, and of one workload only.
func TestSubscriber(t *testing.T) {
	const stopped = "io.bellbuoy.task.stopped.v1"
	d := stand.Docker(t)
	p := newProgram(t, watches(d))
	p.up(t)
	project := fmt.Sprintf("shop%d", time.Now().UnixNano())
	conn := p.dial(t)
	everything := subscribe(t, conn, "bellbuoy.events.v1.>")
	web := subscribe(t, conn, "bellbuoy.events.v1.*.docker."+project+".*.*.web.>")
	stops := subscribe(t, conn, "bellbuoy.events.v1.*.*.*.task.stopped.>")

	for service, code := range map[string]string{"web": "3", "webhook": "4"} {
		d.Run(t, harness.RunSpec{
			Name: project + "-" + service + "-1", Cmd: sh("echo from " + service + "; exit " + code),
			Labels: map[string]string{"com.docker.compose.project": project, "com.docker.compose.service": service},
		})
	}
	other, _ := everything.await(t, stopped, project+"-webhook-1")
	assert.EqualValues(t, 4, *other.Data.Task.Containers[0].ExitCode)
	e, m := everything.await(t, stopped, project+"-web-1")
	assert.Equal(t, "1.0", e.SpecVersion)
	assert.Equal(t, "application/cloudevents+json", m.Header.Get("Content-Type"))
	assert.Equal(t, e.ID, m.Header.Get("Nats-Msg-Id"))
	assert.EqualValues(t, 3, *e.Data.Task.Containers[0].ExitCode)
	assert.Equal(t, []string{"from web"}, e.Data.Task.Log.Lines)
	assert.False(t, e.Data.Cause.Expected)

	for _, m := range everything.all() {
		read, err := binding.ToEvent(t.Context(), structured{m.Data})
		require.NoError(t, err)
		require.NoError(t, read.Validate())
		assert.Equal(t, m.Header.Get("Nats-Msg-Id"), read.ID())
		assert.NotEmpty(t, read.Extensions()["partitionkey"])
	}

	web.await(t, stopped, project+"-web-1")
	for _, m := range web.all() {
		assert.Contains(t, string(m.Data), `"workload":"web"`)
	}
	assert.GreaterOrEqual(t, len(web.all()), 3, "created, started, stopped")
	for _, m := range stops.all() {
		assert.Contains(t, string(m.Data), stopped)
	}
	assert.Equal(t, kinds(t, web.all()), history(t, conn, "bellbuoy.events.v1.*.docker."+project+".*.*.web.>"), "who comes late reads the same")
}

func kinds(t *testing.T, messages []received) []string {
	t.Helper()
	var words []string
	for _, m := range messages {
		words = append(words, typeOf(t, m.Data))
	}
	return words
}

func typeOf(t *testing.T, body []byte) string {
	t.Helper()
	var e plain
	require.NoError(t, json.Unmarshal(body, &e))
	return strings.TrimSuffix(strings.TrimPrefix(e.Type, "io.bellbuoy."), ".v1")
}

// history reads the stream from its beginning.
func history(t *testing.T, conn *nats.Conn, subject string) []string {
	t.Helper()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	c, err := js.OrderedConsumer(t.Context(), "BELLBUOY_EVENTS", jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	require.NoError(t, err)
	defer func() { assert.NoError(t, js.DeleteConsumer(t.Context(), "BELLBUOY_EVENTS", c.CachedInfo().Name)) }()
	var words []string
	for pending := c.CachedInfo().NumPending; pending > 0; {
		m, err := c.Next(jetstream.FetchMaxWait(within))
		require.NoError(t, err)
		words = append(words, typeOf(t, m.Data()))
		meta, err := m.Metadata()
		require.NoError(t, err)
		pending = meta.NumPending
	}
	return words
}
