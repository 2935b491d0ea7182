package e2e_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/faults"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// longTests makes outages as long as a real one; make test uses a shorter one.
const longTests = "BELLBUOY_E2E_LONG"

func outage() time.Duration {
	if os.Getenv(longTests) != "" {
		return time.Minute
	}
	return 15 * time.Second
}

// load publishes stops at a steady pace; every tenth asks for an alert.
type load struct {
	t         *testing.T
	publisher *bus.Publisher
	pages     int
	at        map[string]time.Time // when each was published, by workload
}

func newLoad(t *testing.T, p *program) *load {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{URL: p.url(), Manage: bus.Off})
	require.NoError(t, err)
	l := &load{t: t, publisher: b.NewPublisher(), at: map[string]time.Time{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.publisher.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		b.Close()
	})
	return l
}

// run publishes 20 events a second for a time and returns the workloads in order.
func (l *load) run(name string, long time.Duration) []string {
	l.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var names []string
	for end := time.Now().Add(long); time.Now().Before(end); <-tick.C {
		e := stops(1)[0]
		workload := fmt.Sprintf("%s-%04d", name, len(names))
		e.ID = event.NewID("outage", l.t.Name(), workload)
		e.Data.Workload, e.Data.Task.ID, e.Data.Task.Name = workload, workload, workload
		e.Data.Labels = map[string]string{}
		if len(names)%10 == 0 {
			e.Data.Labels["page"] = "yes"
			l.pages++
		}
		e.Subject = event.SubjectOf("", workload, workload)
		e.PartitionKey, e.Time, e.Recorded = e.Subject, time.Now().UTC(), time.Now().UTC()
		l.at[workload] = time.Now()
		require.NoError(l.t, l.publisher.Publish(l.t.Context(), e))
		names = append(names, workload)
	}
	return names
}

// p99 is the time from publishing until somebody had it, which when tells by workload.
func (l *load) p99(when func(workload string) (time.Time, bool), names []string) time.Duration {
	var took []time.Duration
	for _, name := range names {
		if seen, ok := when(name); ok {
			took = append(took, seen.Sub(l.at[name]))
		}
	}
	require.Len(l.t, took, len(names), "every stop is there")
	slices.Sort(took)
	return took[len(took)*99/100]
}

// TestOutages takes OpenSearch away and lets SNS throttle under load. The terminal must not notice, and
// when both are back everything must arrive, once in the index, with nothing given up.
func TestOutages(t *testing.T) {
	x, m := newIndex(t), stand.Moto(t)
	proxy := faults.New(t, m.URL)
	topic, queue := m.TopicWithQueue(t, fmt.Sprintf("outage-%d", time.Now().UnixNano()))
	p := newProgram(t, quiet+`
aws: {endpoint: "`+proxy.URL+`"}
sinks:
  pager: {sns: {topic_arn: "`+topic+`"}}
  search: {opensearch: {addresses: ["`+x.node.URL+`"], prefix: "`+x.prefix+`", refresh_interval: 1s}}
  screen: {console: {}}
routes:
  - {name: page, to: pager, when: 'event == "stopped" && labels["page"] == "yes"'}
`, "DOCKER_HOST=unix:///nowhere/docker.sock", "XDG_RUNTIME_DIR=")
	p.up(t)
	l, others := newLoad(t, p), subscribe(t, p.dial(t), "bellbuoy.events.v1.*.*.*.task.stopped.>")

	before := l.run("before", 5*time.Second)
	throttle := proxy.Inject(faults.Rule{Operation: "PublishBatch", Fault: faults.Throttle()})
	x.node.Stop(t)
	during := l.run("during", outage())
	throttle.Off()
	x.node.Start(t)
	after := l.run("after", 2*time.Second)

	all := slices.Concat(before, during, after)
	eventually(t, 2*time.Minute, "the index has all", func() bool { return len(x.loaded(t)) >= len(all) })
	pages := m.Messages(t, queue, 2*time.Minute, func(taken []sqstypes.Message) bool { return len(taken) >= l.pages })
	eventually(t, within, "the terminal has all", func() bool { _, ok := p.out.when(all[len(all)-1] + " stopped"); return ok })

	shown := func(workload string) (time.Time, bool) { return p.out.when(workload + " stopped") }
	quietP99, outageP99 := l.p99(shown, before), l.p99(shown, during)
	t.Logf("outage of %s: %d events, %d alerts in %d messages; publish to terminal p99 %s before, %s during",
		outage(), len(all), l.pages, len(pages), quietP99.Round(time.Millisecond), outageP99.Round(time.Millisecond))
	assert.Less(t, outageP99, max(4*quietP99, 250*time.Millisecond), "the terminal does not notice")
	arrived := others.arrivals(t)
	quietP99, outageP99 = l.p99(arrived, before), l.p99(arrived, during)
	t.Logf("publish to another subscriber p99 %s before, %s during", quietP99.Round(time.Millisecond), outageP99.Round(time.Millisecond))
	assert.Less(t, outageP99, max(4*quietP99, 250*time.Millisecond), "subscribers do not notice")
	for name, n := range x.loaded(t) {
		assert.Equal(t, 1, n, name)
	}
	letters, _, _ := p.run(t, "dlq", "list", "-c", p.config)
	assert.Contains(t, letters, "no dead letters")
}

// loaded counts the documents of the load by task.
func (x *index) loaded(t *testing.T) map[string]int {
	counts := x.stopsPerRun(t)
	for name := range counts {
		if !strings.HasPrefix(name, "before-") && !strings.HasPrefix(name, "during-") && !strings.HasPrefix(name, "after-") {
			delete(counts, name)
		}
	}
	return counts
}
