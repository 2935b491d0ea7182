package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// An end is one way for a container to end, and what must come of it.
type end struct {
	name       string
	spec       harness.RunSpec
	act        func(t *testing.T, d *harness.Docker, id string)
	unexpected bool
	runs       int // runs that a restart handler may lead to in all; 1 without one
}

func ends() []end {
	sleeper := []string{"sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"}
	optedIn := map[string]string{"bellbuoy.restart": "on-failure"}
	return []end{
		{name: "exit-0", spec: harness.RunSpec{Cmd: []string{"true"}}, runs: 1},
		{name: "exit-3", spec: harness.RunSpec{Cmd: []string{"sh", "-c", "echo boom; exit 3"}}, unexpected: true, runs: 1},
		{name: "oom", spec: harness.RunSpec{Cmd: []string{"sh", "-c", "x=a; while :; do x=$x$x; done"}, Memory: 16 << 20}, unexpected: true, runs: 1},
		{name: "kill", spec: harness.RunSpec{Cmd: sleeper}, act: func(t *testing.T, d *harness.Docker, id string) { d.Kill(t, id, "KILL") }, runs: 1},
		{name: "stop", spec: harness.RunSpec{Cmd: sleeper}, act: func(t *testing.T, d *harness.Docker, id string) { d.Stop(t, id, 5*time.Second) }, runs: 1},
		{name: "rm-exit-3", spec: harness.RunSpec{Cmd: []string{"sh", "-c", "exit 3"}, AutoRemove: true}, unexpected: true, runs: 1},
		{name: "rm-exit-0", spec: harness.RunSpec{Cmd: []string{"true"}, AutoRemove: true}, runs: 1},
		{
			name: "restarted", unexpected: true, runs: 2,
			spec: harness.RunSpec{Labels: optedIn, Cmd: []string{"sh", "-c", "[ -e /tmp/x ] && exec sleep 1000; echo > /tmp/x; exit 3"}},
		},
	}
}

// life is one container of the test.
type life struct {
	end
	id, container string
}

// TestChaos ends 200 containers in every way while the program is killed 20 times. What the daemon knows
// must be in the index once, in the queue at least once if nobody wanted it, and restarted at most once
// per stop.
func TestChaos(t *testing.T) {
	d, m := stand.Docker(t), stand.Moto(t)
	x := newIndex(t)
	topic, queue := m.TopicWithQueue(t, fmt.Sprintf("chaos-%d", time.Now().UnixNano()))
	p := newProgram(t, quiet+`
aws: {endpoint: "`+m.URL+`"}
collectors: [{docker: {host: "`+d.Host+`"}}]
sinks:
  pager: {sns: {topic_arn: "`+topic+`"}}
  search: {opensearch: {addresses: ["`+x.node.URL+`"], prefix: "`+x.prefix+`", refresh_interval: 1s}}
  healer: {restart: {mode: act, verify_after: 1s}}
`)
	p.up(t)
	truth, seed := newWitness(t, d), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	enough := harass(t, p, rand.New(rand.NewPCG(seed, 0)))
	lives := live(t, d, 200)
	killed := enough()

	expect := tally(lives)
	eventually(t, 2*time.Minute, "every stop is in the index", func() bool { return len(x.stopsPerRun(t)) >= expect.stops })
	alerts := m.Messages(t, queue, 2*time.Minute, func(taken []sqstypes.Message) bool {
		return len(alerted(lives, taken)) >= expect.unexpected
	})
	alerts = append(alerts, m.Messages(t, queue, within, nil)...)

	told := alerted(lives, alerts)
	starts := startsOf(t, d, x, lives)
	indexed := x.stopsPerRun(t)
	missing, double := compare(lives, truth, indexed)
	t.Logf("killed %d times\n%s", killed, table(lives, truth, indexed, told, starts))
	assert.GreaterOrEqual(t, killed, 20)
	for _, l := range lives {
		if _, ends := truth.of(l.id); indexed[l.id] != ends {
			t.Logf("%s ended %d times and is in the index with %v", l.container, ends, x.sources(t, `event.name:"task.stopped" AND task.id:`+l.id))
		}
	}
	assert.Zero(t, missing, "stops that are not in the index")
	assert.Zero(t, double, "stops that are in the index twice")
	for _, l := range lives {
		if l.unexpected {
			assert.NotZero(t, told[l.id], "no alert of %s", l.container)
		} else {
			assert.Zero(t, told[l.id], "an alert of %s, which was wanted", l.container)
		}
		begun, _ := truth.of(l.id)
		assert.Equal(t, l.runs, begun, "starts of %s, as the daemon tells", l.container)
		assert.Equal(t, l.runs, starts[l.id], "starts of %s in the index", l.container)
	}
	assert.Contains(t, p.deadLetters(t), "no dead letters")
}

// harass kills the program at random and starts it again until the function that it returns is called,
// but at least 20 times. That returns how often.
func harass(t *testing.T, p *program, random *rand.Rand) func() int {
	t.Helper()
	enough, done := make(chan struct{}), make(chan struct{})
	killed := 0
	go func() {
		defer close(done)
		for wanted := true; wanted || killed < 20; killed++ {
			timer := time.NewTimer(500*time.Millisecond + time.Duration(random.Int64N(int64(1500*time.Millisecond))))
			select {
			case <-timer.C:
			case <-enough:
				wanted = false
				<-timer.C
			}
			_ = p.kill()
			if err := p.start("up"); !assert.NoError(t, err) {
				return
			}
		}
	}()
	var once sync.Once
	stop := func() int {
		once.Do(func() { close(enough) })
		<-done
		return killed
	}
	t.Cleanup(func() { stop() })
	return stop
}

// live starts n containers, one way of ending after another, and waits for their ends.
func live(t *testing.T, d *harness.Docker, n int) []life {
	t.Helper()
	kinds, run := ends(), time.Now().UnixNano()
	var lives []life
	for i := range n {
		l := life{end: kinds[i%len(kinds)]}
		if l.runs > 1 && i >= 10*len(kinds) { // what goes on living costs memory
			l.end = kinds[1]
		}
		l.container = fmt.Sprintf("c%d-%03d-%s", run, i, l.name)
		l.spec.Name = l.container
		l.id = d.Run(t, l.spec)
		if l.act != nil {
			l.act(t, d, l.id)
		}
		lives = append(lives, l)
	}
	return lives
}

type tallied struct{ stops, unexpected int }

func tally(lives []life) tallied {
	n := tallied{stops: len(lives)}
	for _, l := range lives {
		if l.unexpected {
			n.unexpected++
		}
	}
	return n
}

// stopsPerRun counts the documents of stops by task, without those that amend an earlier one.
func (x *index) stopsPerRun(t *testing.T) map[string]int {
	t.Helper()
	return x.perTask(t, "task.stopped")
}

func (x *index) perTask(t *testing.T, name string) map[string]int {
	t.Helper()
	if len(x.names()) == 0 {
		return nil
	}
	x.call(http.MethodPost, "/"+x.prefix+"-events-*/_refresh", "")
	query, err := json.Marshal(map[string]any{
		"size":  0,
		"query": map[string]any{"query_string": map[string]any{"query": `event.name:"` + name + `" AND NOT event.supersedes:*`}},
		"aggs":  map[string]any{"tasks": map[string]any{"terms": map[string]any{"field": "task.id", "size": 10000}}},
	})
	require.NoError(t, err)
	answer := x.call(http.MethodPost, "/"+x.prefix+"-events-*/_search", string(query))
	counts := map[string]int{}
	buckets := answer["aggregations"].(map[string]any)["tasks"].(map[string]any)["buckets"].([]any)
	for _, b := range buckets {
		bucket := b.(map[string]any)
		counts[bucket["key"].(string)] = int(bucket["doc_count"].(float64))
	}
	return counts
}

// sources are the documents that a query finds, for a reader who must explain a mismatch.
func (x *index) sources(t *testing.T, query string) []string {
	t.Helper()
	q, err := json.Marshal(map[string]any{"size": 10, "query": map[string]any{"query_string": map[string]any{"query": query}}})
	require.NoError(t, err)
	var found []string
	hits, _ := x.call(http.MethodPost, "/"+x.prefix+"-events-*/_search", string(q))["hits"].(map[string]any)
	list, _ := hits["hits"].([]any)
	for _, hit := range list {
		text, err := json.MarshalIndent(hit, "", " ")
		require.NoError(t, err)
		found = append(found, string(text))
	}
	return found
}

// compare holds the index against what the daemon told.
func compare(lives []life, truth *witness, indexed map[string]int) (missing, double int) {
	for _, l := range lives {
		_, ends := truth.of(l.id)
		missing += max(ends-indexed[l.id], 0)
		double += max(indexed[l.id]-ends, 0)
	}
	return missing, double
}

// alerted counts the messages about each container.
func alerted(lives []life, messages []sqstypes.Message) map[string]int {
	told := map[string]int{}
	for _, message := range messages {
		for _, l := range lives {
			if strings.Contains(*message.Body, l.container+" ") {
				told[l.id]++
			}
		}
	}
	return told
}

// startsOf waits until the containers that are to be restarted run again, and counts their starts: each
// has an event of its own, so a second start for one stop would show.
func startsOf(t *testing.T, d *harness.Docker, x *index, lives []life) map[string]int {
	t.Helper()
	for _, l := range lives {
		if l.runs > 1 {
			eventually(t, time.Minute, l.container+" runs again", func() bool { return d.Inspect(t, l.id).State.Running })
			eventually(t, time.Minute, l.container+" is told to run again", func() bool { return x.perTask(t, "task.started")[l.id] >= l.runs })
		}
	}
	return x.perTask(t, "task.started")
}

func table(lives []life, truth *witness, indexed, told, starts map[string]int) string {
	type row struct{ n, ends, begun, once, more, alerts, repeats, starts int }
	rows := map[string]*row{}
	for _, l := range lives {
		r := rows[l.name]
		if r == nil {
			r = &row{}
			rows[l.name] = r
		}
		r.n++
		r.starts += starts[l.id]
		begun, ends := truth.of(l.id)
		r.begun, r.ends = r.begun+begun, r.ends+ends
		r.once += min(indexed[l.id], ends)
		r.more += max(indexed[l.id]-ends, 0)
		if told[l.id] > 0 {
			r.alerts++
			r.repeats += told[l.id] - 1
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %5s %8s %8s %8s %8s %8s %8s %8s\n", "end", "n", "stops", "indexed", "double", "alerted", "repeats", "starts", "indexed")
	for _, e := range ends() {
		if r := rows[e.name]; r != nil {
			fmt.Fprintf(&b, "%-10s %5d %8d %8d %8d %8d %8d %8d %8d\n", e.name, r.n, r.ends, r.once, r.more, r.alerts, r.repeats, r.begun, r.starts)
		}
	}
	return b.String()
}
