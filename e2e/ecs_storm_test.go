package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/awsproxy"
	"github.com/bellbuoy/bellbuoy/e2e/ecslife"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/internal/bus"
)

// storm is a collector of ECS as a process of its own, between a stand-in of AWS behind a proxy that fails as AWS
// does, and a NATS server that goes away.
type storm struct {
	t           *testing.T
	aws         *awsfake.AWS
	proxy       *awsproxy.Proxy
	nats        *harness.NATS
	queue, dead *awsfake.Queue
	p           *program
	wanted      map[string]bool // task and version of every state change
	kills       int
}

// weathered is what is there when the storm is over.
type weathered struct {
	once, twice, missing, strange int // of the state changes, in the stream
	left, dead, quarantined       int
}

func (w weathered) good(changes int) bool {
	return w == weathered{once: changes, quarantined: len(ecslife.Poison())}
}

func newStorm(t *testing.T, binary string, receives int) *storm {
	t.Helper()
	s := &storm{t: t, aws: awsfake.Start(t, awsfake.Options{}), nats: stand.NATS(t, ""), wanted: map[string]bool{}}
	s.proxy = awsproxy.Start(t, s.aws.URL)
	s.dead = s.aws.CreateQueue("dead", nil)
	s.queue = s.aws.CreateQueue("events", map[string]string{
		"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"%d"}`, s.dead.ARN, receives),
	})
	s.p = newProgram(t, `
http: {listen: "off"}
nats: {url: "`+s.nats.URL+`"}
aws: {endpoint: "`+s.proxy.URL+`"}
collectors: [{ecs: {queue_url: "`+s.queue.URL+`", pollers: 4}}]
`, "AWS_EC2_METADATA_DISABLED=true")
	if binary != "" {
		s.p.binary = binary
	}
	return s
}

// fill puts state changes into the queue, out of order, some of them twice with envelopes of their own, and what
// is no event between them.
func (s *storm) fill(tasks, copies int) int {
	s.t.Helper()
	life := ecslife.Churn(s.aws, "prod", tasks)
	for _, body := range life.Bodies {
		var e struct {
			Detail struct {
				ARN     string `json:"taskArn"`
				Version int64  `json:"version"`
			} `json:"detail"`
		}
		require.NoError(s.t, json.Unmarshal([]byte(body), &e))
		s.wanted[fmt.Sprint(e.Detail.ARN[strings.LastIndexByte(e.Detail.ARN, '/')+1:], " ", e.Detail.Version)] = true
	}
	require.Len(s.t, s.wanted, len(life.Bodies), "every change has a version of its own")
	bodies := ecslife.Disorder(7, copies, life.Bodies)
	for i, body := range slices.Sorted(maps.Values(ecslife.Poison())) {
		bodies = slices.Insert(bodies, (i+1)*len(bodies)/5, body)
	}
	s.queue.Send(bodies...)
	return len(life.Bodies)
}

// harm makes AWS fail.
func (s *storm) harm() {
	for _, r := range []awsproxy.Rule{
		{Op: "sqs:ReceiveMessage", P: 0.05, Fault: awsproxy.LoseResponse},
		{Op: "sqs:ReceiveMessage", P: 0.05, Fault: awsproxy.Reset},
		{Op: "sqs:DeleteMessageBatch", P: 0.05, Fault: awsproxy.LoseResponse},
		{Op: "sqs:DeleteMessageBatch", P: 0.05, Fault: awsproxy.Denied},
		{Op: "sqs:DeleteMessageBatch", P: 0.1, Fault: awsproxy.PartialBatch},
		{Op: "sqs:DeleteMessageBatch", P: 0.05, Fault: awsproxy.Twice},
		{Op: "sqs:*", P: 0.05, Fault: awsproxy.Throttled},
		{Op: "ecs:*", P: 0.1, Fault: awsproxy.Throttled},
		{Op: "ecs:*", P: 0.1, Fault: awsproxy.Reset},
	} {
		s.proxy.Add(r)
	}
}

// harass kills the collector every 1.5 s until until says so, and takes NATS away in the middle.
func (s *storm) harass(until func() bool, outage time.Duration) {
	s.t.Helper()
	begun, away, back := time.Now(), false, false
	for limit := time.Now().Add(4 * time.Minute); !until() || !back; {
		require.True(s.t, time.Now().Before(limit), "the storm does not end: %d messages are left", s.queue.Len())
		require.NoError(s.t, s.p.start("collect"))
		<-time.After(1500 * time.Millisecond)
		_ = s.p.kill()
		s.kills++
		s.aws.Advance(2 * time.Minute) // what was in hand is visible again
		switch since := time.Since(begun); {
		case !away && since > 4*time.Second:
			away = true
			s.nats.Kill(s.t)
		case away && !back && since > 4*time.Second+outage:
			back = true
			s.nats.Start(s.t)
		}
	}
}

// calm lets a collector finish in peace.
func (s *storm) calm(limit time.Duration) {
	s.t.Helper()
	s.proxy.Clear()
	require.NoError(s.t, s.p.start("collect"))
	for end := time.Now().Add(limit); s.queue.Len() > 0 && time.Now().Before(end); {
		<-time.After(500 * time.Millisecond)
		if s.queue.Visible() == 0 && s.queue.InFlight() > 0 {
			s.aws.Advance(2 * time.Minute)
		}
	}
	<-time.After(2 * time.Second) // what is told too late or twice
	_ = s.p.kill()
}

// tally reads the streams.
func (s *storm) tally() weathered {
	s.t.Helper()
	b, err := bus.Connect(s.t.Context(), bus.Options{URL: s.nats.URL, Manage: bus.Off})
	require.NoError(s.t, err)
	defer b.Close()
	told, w := map[string]int{}, weathered{left: s.queue.Len(), dead: s.dead.Len()}
	require.NoError(s.t, b.Tail(context.Background(), bus.TailOptions{}, func(d bus.Delivery) error {
		if d.Err != nil {
			return d.Err
		}
		if task := d.Event.Data.Task; task != nil {
			told[fmt.Sprint(task.ID, " ", task.Version)]++
		}
		return nil
	}))
	for change := range s.wanted {
		switch told[change] {
		case 0:
			w.missing++
		case 1:
			w.once++
		default:
			w.twice++
		}
		delete(told, change)
	}
	w.strange = len(told)
	letters, err := b.DeadLetters().List(s.t.Context(), 100)
	require.NoError(s.t, err)
	w.quarantined = len(letters)
	return w
}

// weather runs the storm: faults and kills with so many tasks, while NATS is away for a time.
func weather(t *testing.T, binary string, tasks, copies int, outage time.Duration) (w weathered, changes int) {
	s := newStorm(t, binary, 1000)
	changes = s.fill(tasks, copies)
	s.harm()
	s.harass(func() bool { return s.queue.Len() == 0 || s.kills >= 40 }, outage)
	s.calm(time.Minute)
	w = s.tally()
	t.Logf("%d state changes, %d copies, %d that are no event; %d calls of AWS of which faults hit %d; killed %d times, NATS away for %s: %+v",
		changes, copies, len(ecslife.Poison()), len(s.proxy.Calls()), faulty(s.proxy), s.kills, outage, w)
	return w, changes
}

func faulty(p *awsproxy.Proxy) (n int) {
	for _, c := range p.Calls() {
		if c.Faulty {
			n++
		}
	}
	return n
}

// becalmed takes NATS away from a collector that nobody kills, with a queue that gives a message up after two
// receives.
func becalmed(t *testing.T, binary string, tasks int, outage time.Duration) (w weathered, changes int) {
	s := newStorm(t, binary, 2)
	require.NoError(t, s.p.start("collect"))
	eventually(t, within, "the collector receives", func() bool { return s.proxy.Count("sqs:ReceiveMessage") > 0 })
	s.nats.Kill(t)
	changes = s.fill(tasks, 0)
	<-time.After(outage)
	s.nats.Start(t)
	for end := time.Now().Add(time.Minute); s.queue.Len() > 0 && time.Now().Before(end); {
		<-time.After(200 * time.Millisecond)
	}
	_ = s.p.kill()
	w = s.tally()
	t.Logf("%d state changes, NATS away for %s: %+v", changes, outage, w)
	return w, changes
}

// TestECSStorm: every state change is in the stream once, what is no event is in quarantine, the queue is empty
// and no good message has been given up, whatever AWS does and however often the collector is killed.
func TestECSStorm(t *testing.T) {
	w, changes := weather(t, "", 834, 500, 6*time.Second)
	assert.GreaterOrEqual(t, changes, 5000)
	assert.True(t, w.good(changes), "%+v", w)
}

// TestECSGate: while the stream is away, good messages are not received again and again.
func TestECSGate(t *testing.T) {
	w, changes := becalmed(t, "", 40, outage())
	assert.True(t, w.good(changes), "%+v", w)
}

// A mutant is the program with one of its promises broken.
type mutant struct {
	name  string
	edits []edit
	storm func(t *testing.T, binary string) (weathered, int)
}

type edit struct{ file, old, new string }

func mutants() []mutant {
	// A thousand changes are through before the collector is killed for the first time.
	storm := func(t *testing.T, binary string) (weathered, int) { return weather(t, binary, 834, 500, 4*time.Second) }
	gate := func(t *testing.T, binary string) (weathered, int) { return becalmed(t, binary, 40, 25*time.Second) }
	return []mutant{
		{"delete before the acknowledgement", []edit{{
			"intake.go", "\t\tin.settleAll(work, messages)\n\t\tin.remove(ctx, those(messages, outcomeSettled))", "\t\tin.remove(ctx, messages)\n\t\tin.settleAll(work, messages)",
		}}, storm},
		{"identity from the envelope", []edit{
			{"translate_task.go", "\tf.event.Data.Account = cmp.Or", "\tf.event.ID = event.NewID(r.ID)\n\tf.event.Data.Account = cmp.Or"},
			{"step.go", "repeated := r.sees(t.Version) ||", "repeated := false && r.sees(t.Version) ||"},
		}, storm},
		{"no gate", []edit{{"intake.go", "|| !in.gate.shut() {", "|| true {"}}, gate},
	}
}

// TestECSStormFindsMutants: the storm is no proof if it can't fail.
func TestECSStormFindsMutants(t *testing.T) {
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			w, changes := m.storm(t, m.build(t))
			assert.False(t, w.good(changes), "the storm does not notice")
		})
	}
}

// build builds the program with the edits, without a change of the source tree.
func (m *mutant) build(t *testing.T) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for _, e := range m.edits {
		path, err := filepath.Abs(filepath.Join("..", "collectors", "ecs", e.file))
		require.NoError(t, err)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), e.old), "%s has the place to change", e.file)
		replace[path] = filepath.Join(dir, e.file)
		require.NoError(t, os.WriteFile(replace[path], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	binary := filepath.Join(dir, "bellbuoy")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "github.com/bellbuoy/bellbuoy/cmd/bellbuoy")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}
