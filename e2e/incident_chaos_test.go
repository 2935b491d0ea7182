package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/router/notify"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// ledger is what the stream says of incidents, and what became of their notices.
type ledger struct {
	transitions map[string]event.Event // by event id
	notes       map[string][]notify.Note
}

func readLedger(t *testing.T, url string) ledger {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{URL: url, Manage: bus.Off})
	require.NoError(t, err)
	defer b.Close()
	l := ledger{map[string]event.Event{}, map[string][]notify.Note{}}
	filter := event.SubjectPrefix + "*.*.*.incident.>"
	require.NoError(t, b.Tail(t.Context(), bus.TailOptions{Filter: filter}, func(d bus.Delivery) error {
		l.transitions[d.Event.ID] = d.Event
		return d.Err
	}))
	bucket, err := b.Bucket(t.Context(), bus.IncidentsBucket)
	require.NoError(t, err)
	for _, e := range l.transitions {
		id := e.Data.Incident.ID
		if l.notes[id] == nil {
			l.notes[id], err = notify.Of(t.Context(), bucket.Each, id)
			require.NoError(t, err)
		}
	}
	return l
}

// of says what became of a transition at a route.
func (l ledger) of(e event.Event, route string) notify.Note {
	for _, n := range l.notes[e.Data.Incident.ID] {
		if n.Route == route && n.Transition == e.Data.Incident.Transition {
			return n
		}
	}
	return notify.Note{}
}

// state counts the transitions, and the incidents that are over.
func (l ledger) resolved() int {
	n := 0
	for _, e := range l.transitions {
		if e.Type == event.IncidentResolved {
			n++
		}
	}
	return n
}

// arrived counts the messages about each transition.
func arrived(t *testing.T, messages []sqstypes.Message) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, m := range messages {
		e, err := event.Decode([]byte(*m.Body))
		require.NoError(t, err)
		counts[e.ID]++
	}
	return counts
}

// compareNotices holds what arrived against the stream: each transition that was to be told is there once.
func compareNotices(t *testing.T, l ledger, route string, counts map[string]int) (sent, folded, repeats int) {
	t.Helper()
	for id, e := range l.transitions {
		note := l.of(e, route)
		what := fmt.Sprintf("%s %d of %s (%s): %s %s", e.Type.Event(), e.Data.Incident.Transition, e.Data.Incident.ID, e.Data.Incident.Title, note.Outcome, note.Why)
		switch note.Outcome {
		case notify.Sent:
			sent++
			assert.GreaterOrEqual(t, counts[id], 1, what)
			repeats += max(counts[id]-1, 0)
		case notify.Folded:
			folded++
			assert.Zero(t, counts[id], what)
		default:
			t.Errorf("nothing became of %s", what)
		}
	}
	return sent, folded, repeats
}

// TestKilledDuringIncidents kills the program 50 times while 20 containers crash, come back and stay. Each
// transition is told once on a FIFO topic, and at best once on a standard one.
func TestKilledDuringIncidents(t *testing.T) {
	const kills, containers = 50, 20
	d, m := stand.Docker(t), stand.Moto(t)
	fifo, ordered := m.TopicWithQueue(t, uniqueName("once")+".fifo")
	standard, plain := m.TopicWithQueue(t, uniqueName("often"))
	p := newProgram(t, quiet+`
aws: {endpoint: "`+m.URL+`"}
collectors: [{docker: {host: "`+d.Host+`"}}]
incidents: {stable: 3s}
notices: {per_minute: 0} # forty problems in a minute would be a storm
sinks:
  ordered: {sns: {topic_arn: "`+fifo+`", format: json}}
  plain: {sns: {topic_arn: "`+standard+`", format: json}}
`)
	p.up(t)
	name, seed := uniqueName("flaky"), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for n := range containers {
		d.Run(t, harness.RunSpec{
			Name: fmt.Sprintf("%s-%02d", name, n), Restart: container.RestartPolicy{Name: "on-failure"},
			Cmd: sh(fmt.Sprintf(`n=$(cat /n 2>/dev/null || echo 0); echo $((n+1)) > /n; [ $n -lt %d ] || exec sleep 1000; exit 3`, 7+n%3)),
		})
	}
	for range kills {
		wait := time.NewTimer(300*time.Millisecond + time.Duration(random.Int64N(int64(1500*time.Millisecond))))
		<-wait.C
		require.NoError(t, p.kill())
		require.NoError(t, p.start("up"))
	}
	var l ledger
	eventually(t, 2*time.Minute, "all incidents are over", func() bool {
		p.alive(t)
		list, _, code := p.run(t, "incident", "list", "-c", p.config) // it fails until the program is up again
		all, _, _ := p.run(t, "incident", "list", "--all", "-c", p.config)
		return code == 0 && list == "no open incidents\n" && strings.Count(all, "resolved") >= containers
	})
	taken := m.Messages(t, ordered, time.Minute, func(all []sqstypes.Message) bool {
		l = readLedger(t, p.url())
		settled := true
		for _, e := range l.transitions {
			settled = settled && l.of(e, "ordered").Outcome != "" && l.of(e, "plain").Outcome != ""
		}
		return settled
	})
	taken = append(taken, m.Messages(t, ordered, within, nil)...)
	sent, folded, repeats := compareNotices(t, l, "ordered", arrived(t, taken))
	t.Logf("killed %d times during %d incidents: %d transitions, %d resolved", kills, containers, len(l.transitions), l.resolved())
	t.Logf("FIFO topic:     %d told, %d folded, %d repeats", sent, folded, repeats)
	assert.Zero(t, repeats, "a FIFO topic tells once")
	sent, folded, repeats = compareNotices(t, l, "plain", arrived(t, m.Messages(t, plain, within, nil)))
	t.Logf("standard topic: %d told, %d folded, %d repeats", sent, folded, repeats)
	assert.Contains(t, p.deadLetters(t), "no dead letters")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

// TestTwoRouters: of two routers on one stream one works; when it is killed the other goes on within 20 s, and
// nothing is told twice.
func TestTwoRouters(t *testing.T) {
	const rounds = 4
	d, m, n := stand.Docker(t), stand.Moto(t), stand.NATS(t, "")
	fifo, ordered := m.TopicWithQueue(t, uniqueName("once")+".fifo")
	standard, plain := m.TopicWithQueue(t, uniqueName("often"))
	config := "http: {listen: \"off\"}\nnats: {url: \"" + n.URL + "\"}\naws: {endpoint: \"" + m.URL + "\"}\nincidents: {stable: 2s}\n"
	sinks := "sinks:\n  ordered: {sns: {topic_arn: \"" + fifo + "\", format: json}}\n  plain: {sns: {topic_arn: \"" + standard + "\", format: json}}\n"
	watcher := newProgram(t, config+"collectors: [{docker: {host: \""+d.Host+"\"}}]\n")
	require.NoError(t, watcher.start("collect"))
	routers := []*program{newProgram(t, config+"node: left\n"+sinks), newProgram(t, config+"node: right\n"+sinks)}
	for _, r := range append(routers, watcher) {
		if r != watcher {
			require.NoError(t, r.start("route"))
		}
		eventually(t, time.Minute, "it is up", func() bool { return strings.Contains(r.out.String(), "next: ") })
	}
	worked := func(r *program, name string) bool { return strings.Contains(r.err.String(), `"title":"`+name) }
	var taken []sqstypes.Message
	told := func(name string) bool {
		taken = append(taken, m.Messages(t, ordered, within, nil)...)
		for _, message := range taken {
			if strings.Contains(*message.Body, name) {
				return true
			}
		}
		return false
	}
	run := func(name string) string {
		return d.Run(t, harness.RunSpec{Name: name, Cmd: sh(`[ -e /again ] && exec sleep 1000; touch /again; exit 3`)})
	}
	first := uniqueName("first")
	ids := []string{run(first)}
	eventually(t, time.Minute, "the first is told", func() bool { return told(first) })
	for round := range rounds {
		victim := routers[0]
		for _, r := range routers {
			if worked(r, first) {
				victim = r
			}
		}
		begin := time.Now()
		require.NoError(t, victim.kill())
		name := uniqueName(fmt.Sprintf("round-%d", round))
		ids = append(ids, run(name))
		eventually(t, time.Minute, "the other tells", func() bool { return told(name) })
		took := time.Since(begin)
		t.Logf("round %d: told %s after the kill", round, took.Round(time.Millisecond))
		assert.Less(t, took, 20*time.Second)
		require.NoError(t, victim.start("route"))
		first = name
	}
	for _, id := range ids {
		d.Start(t, id)
	}
	var l ledger
	eventually(t, time.Minute, "all are over and told", func() bool {
		l = readLedger(t, n.URL)
		for _, e := range l.transitions {
			if l.of(e, "ordered").Outcome == "" || l.of(e, "plain").Outcome == "" {
				return false
			}
		}
		return l.resolved() >= len(ids)
	})
	taken = append(taken, m.Messages(t, ordered, within, nil)...)
	sent, _, repeats := compareNotices(t, l, "ordered", arrived(t, taken))
	t.Logf("FIFO topic:     %d told, %d repeats", sent, repeats)
	assert.Zero(t, repeats)
	sent, _, repeats = compareNotices(t, l, "plain", arrived(t, m.Messages(t, plain, within, nil)))
	t.Logf("standard topic: %d told, %d repeats", sent, repeats)
	for _, r := range append(routers, watcher) {
		assert.Zero(t, r.stop(t, syscall.SIGTERM))
	}
}
