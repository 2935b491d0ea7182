package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/faults"
	"github.com/bellbuoy/bellbuoy/schemas"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// TestCheckSaysWhere: eight faults of one file, each on a line of its own with its place, and what to
// write.
func TestCheckSaysWhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bellbuoy.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`version: 1
sit: prod
http: {listen: 0.0.0.0:8377}
collectors:
  - docker: {logs: {lines: 20000}}
sinks:
  pager: {sns: {topic_arn: "arn:aws:sqs:eu-west-1:123456789012:alerts"}}
  search: {opensearch: {addresses: ["https://u@search.example"], password: "${file:/nowhere/secret}"}}
  screen: {consol: {}}
routes:
  - {name: all, to: search, when: 'severity >= wran'}
`), 0o600))
	p := newProgram(t, "")
	out, errs, code := p.run(t, "check", path)
	assert.Equal(t, 78, code)
	assert.Empty(t, out)
	lines := strings.Split(strings.TrimSpace(errs), "\n")
	want := []struct{ at, says string }{
		{"2:1", `unknown key "sit"; did you mean "site"?`},
		{"3:16", "loopback"},
		{"5:28", "20000 lines"},
		{"7:28", "of sqs, not of sns"},
		{"8:37", "user name"},
		{"8:76", "/nowhere/secret"},
		{"9:12", `unknown key "consol"; did you mean "console"?`},
		{"11:35", `unknown name wran, at character 13 of "severity >= wran"; did you mean "warn"?`},
	}
	for _, w := range want {
		place := path + ":" + w.at + ": "
		i := indexOf(lines, func(line string) bool { return strings.HasPrefix(line, place) })
		if assert.GreaterOrEqual(t, i, 0, "nothing at %s:\n%s", w.at, errs) {
			assert.Contains(t, lines[i], w.says)
		}
	}
	assert.Len(t, lines, len(want), errs)
	for _, line := range lines {
		assert.Regexp(t, regexp.MustCompile(`^\S+\.yaml:\d+:\d+: .+`), line)
	}
	_, errs, code = p.run(t, "up", "-c", path)
	assert.Equal(t, 78, code, "up tells the same")
	assert.Equal(t, lines, strings.Split(strings.TrimSpace(errs), "\n"))
}

func indexOf(lines []string, ok func(string) bool) int {
	for i, line := range lines {
		if ok(line) {
			return i
		}
	}
	return -1
}

// TestPortTaken: up ends at once and names the key and the address.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not wait
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	taken := l.Addr().String()
	for key, config := range map[string]string{
		"nats.embedded.listen": "http: {listen: \"off\"}\nnats: {embedded: {listen: \"" + taken + "\"}}\n",
		"http.listen":          "http: {listen: \"" + taken + "\"}\nnats: {embedded: {listen: \"off\"}}\n",
	} {
		said := newProgram(t, config).fails(t)
		assert.Contains(t, said, key)
		assert.Contains(t, said, taken)
		assert.Contains(t, said, "off", "it says what to do")
		assert.Len(t, strings.Split(strings.TrimSpace(said), "\n"), 1, said)
	}
}

// TestWrongUse: exit 2, nothing on standard output.
func TestWrongUse(t *testing.T) {
	p := newProgram(t, "")
	for _, args := range [][]string{{"fly"}, {"up", "--fast"}, {"drill"}, {"drill", "dance"}, {"tail", "-o", "xml"}, {"dlq", "show", "first"}} {
		out, errs, code := p.run(t, args...)
		assert.Equal(t, 2, code, "%v: %s", args, errs)
		assert.Empty(t, out, "%v", args)
		assert.NotEmpty(t, errs, "%v", args)
	}
}

// explained is a line of explain -o ndjson.
type explained struct {
	Event   json.RawMessage `json:"event"`
	Routes  []route         `json:"routes"`
	Ignored string          `json:"ignored"`
	Error   string          `json:"error"`
}

type route struct {
	Name  string `json:"name"`
	Match bool   `json:"match"`
	Why   string `json:"why"`
}

func explain(t *testing.T, p *program, file string) (lines []explained, code int) {
	t.Helper()
	out, _, code := p.run(t, "explain", "-c", p.config, "-o", "ndjson", file)
	for line := range strings.Lines(out) {
		var x explained
		require.NoError(t, json.Unmarshal([]byte(line), &x), "%s: %s", file, line)
		set := 0
		for _, there := range []bool{x.Event != nil, x.Ignored != "", x.Error != ""} {
			if there {
				set++
			}
		}
		require.Equal(t, 1, set, "%s: %s", file, line)
		lines = append(lines, x)
	}
	return lines, code
}

// TestExplain plays the recordings offline: each record is an event that fits the schemas, with a verdict
// of every route, or is left out with a reason.
func TestExplain(t *testing.T) {
	p := newProgram(t, quiet+`
sinks: {pager: {sns: {topic_arn: "arn:aws:sns:eu-west-1:123456789012:alerts"}}, search: {opensearch: {addresses: ["http://127.0.0.1:9"]}}}
routes: [{name: page-oom, to: pager, when: 'event == "stopped" && cause.class == "oom"'}]
`)
	v, err := schemas.New()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join("..", "collectors", "docker", "testdata", "*.jsonl"))
	require.NoError(t, err)
	stops, paged, causes := 0, 0, map[string]int{}
	for _, file := range files {
		text, _, code := p.run(t, "explain", "-c", p.config, file)
		require.Zero(t, code, text)
		lines, code := explain(t, p, file)
		require.Zero(t, code, file)
		for _, x := range lines {
			if x.Event == nil {
				continue
			}
			require.NoError(t, v.Validate(x.Event), "%s: %s", file, x.Event)
			e, err := event.Decode(x.Event)
			require.NoError(t, err)
			require.Len(t, x.Routes, 2)
			for _, r := range x.Routes {
				require.NotEmpty(t, r.Why)
				require.True(t, r.Match || r.Name != "search", "a route without a condition takes all")
			}
			if e.Type != event.TaskStopped {
				continue
			}
			stops++
			causes[e.Data.Cause.Class]++
			require.NotEmpty(t, e.Data.Cause.Evidence, "%s: %s", file, x.Event)
			require.Contains(t, text, e.Data.Cause.Class)
			require.Equal(t, e.Data.Cause.Class == "oom", x.Routes[0].Match, "%s: %+v", file, x.Routes)
			if x.Routes[0].Match {
				paged++
			}
		}
	}
	t.Logf("%d recordings, %d stops, %d for the page, causes %v", len(files), stops, paged, causes)
	assert.NotZero(t, paged)
}

// TestExplainOfTheOutOfMemoryRecording is what a person reads who asks why.
func TestExplainOfTheOutOfMemoryRecording(t *testing.T) {
	p := newProgram(t, "")
	file := filepath.Join("..", "collectors", "docker", "testdata", "docker20.10-oom.jsonl")
	text, _, code := p.run(t, "explain", file)
	assert.Zero(t, code)
	assert.Contains(t, text, "cause oom, fact, by host, not expected")
	assert.Contains(t, text, "the kernel reported an out-of-memory kill in this task")
	assert.Contains(t, text, "to  screen (route screen)")
	lines, _ := explain(t, p, file)

	own := filepath.Join(t.TempDir(), "own.jsonl")
	var events []string
	for _, x := range lines {
		if x.Event != nil {
			events = append(events, string(x.Event))
		}
	}
	broken := append([]string{events[0], "garbage", `{"specversion":"1.0"}`}, events[1:]...)
	require.NoError(t, os.WriteFile(own, []byte(strings.Join(broken, "\n")), 0o600))
	again, code := explain(t, p, own)
	assert.Equal(t, 1, code, "what can't be read is told by the exit code")
	require.Len(t, again, len(broken))
	assert.JSONEq(t, events[0], string(again[0].Event), "our own event is read as it is")
	assert.NotEmpty(t, again[1].Error)
	assert.NotEmpty(t, again[2].Error)
	assert.NotNil(t, again[3].Event, "it goes on behind what it can't read")
}

// TestDrill makes containers end on purpose while every kind of sink is there, and while one refuses.
func TestDrill(t *testing.T) {
	d, m, x := stand.Docker(t), stand.Moto(t), newIndex(t)
	proxy := faults.New(t, m.URL)
	topic, queue := m.TopicWithQueue(t, uniqueName("drill"))
	p := newProgram(t, watches(d)+fmt.Sprintf(`
aws: {endpoint: %q}
sinks:
  pager: {sns: {topic_arn: %q}}
  search: {opensearch: {addresses: [%q], prefix: %q, refresh_interval: 100ms}}
  healer: {restart: {mode: act}}
  screen: {console: {}}
`, proxy.URL, topic, x.node.URL, x.prefix))
	p.up(t)
	alerts := []string{"pager", "screen"}
	for kind, class := range map[string]string{"crash": "exit.error", "oom": "oom", "stop": "user.stop"} {
		out, errs, code := p.run(t, "drill", kind, "-c", p.config)
		t.Logf("drill %s:\n%s", kind, out)
		require.Zero(t, code, errs)
		assert.Contains(t, out, "cause      "+class)
		for _, sink := range []string{"search", "healer"} {
			assert.Regexp(t, sink+` +had it after \d`, out)
		}
		for _, sink := range alerts {
			if kind == "stop" {
				assert.Regexp(t, sink+` +not for it: `, out)
			} else {
				assert.Regexp(t, sink+` +had it after \d`, out)
			}
		}
	}
	drills := 0 // what ended right before the start is told, too
	for _, message := range m.Messages(t, queue, within, nil) {
		if strings.Contains(*message.Body, "bellbuoy-drill-") {
			drills++
			assert.Contains(t, *message.Body, "This is a drill", "nobody takes it for a real stop")
		}
	}
	assert.Equal(t, 4, drills, "the crash and the out-of-memory kill, and that each is over")
	assert.Equal(t, 3, x.count(`event.name:"task.stopped" AND service.name:bellbuoy-drill-*`))

	proxy.Inject(faults.Rule{Operation: "PublishBatch", Fault: faults.Throttle()})
	out, errs, code := p.run(t, "drill", "crash", "--timeout", "3s", "-c", p.config)
	assert.Equal(t, 1, code, errs)
	assert.Regexp(t, `pager +MISSED it`, out)
	assert.Regexp(t, `screen +had it after \d`, out)
	assert.Contains(t, errs, "pager")
	proxy.Clear()
	eventually(t, time.Minute, "it arrives late", func() bool { return len(m.Messages(t, queue, within, nil)) > 0 })
	left, err := d.Client().ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", "bellbuoy.drill")})
	require.NoError(t, err)
	assert.Empty(t, left.Items, "a drill leaves nothing behind")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

// TestDrillOfAWrongTopic: a dead letter is no delivery.
// TestDrillsOfHealthAndDeploys: a failing health check is an incident after its time, a deploy is none, and a drill for
// one sink is told by that one alone.
func TestDrillsOfHealthAndDeploys(t *testing.T) {
	d, m := stand.Docker(t), stand.Moto(t)
	topic, queue := m.TopicWithQueue(t, uniqueName("drill-to"))
	p := newProgram(t, watches(d)+"incidents: {unhealthy: 2s}\naws: {endpoint: \""+m.URL+"\"}\nsinks:\n  screen: {console: {}}\n  pager: {sns: {topic_arn: \""+topic+"\"}}\n")
	p.up(t)
	out := p.command(t, "drill", "unhealthy", "--to", "screen")
	t.Logf("drill unhealthy --to screen:\n%s", out)
	assert.Contains(t, out, "is unhealthy")
	assert.Regexp(t, `screen +had it after \d`, out)
	assert.NotContains(t, out, "pager")
	out = p.command(t, "drill", "deploy")
	t.Logf("drill deploy:\n%s", out)
	assert.Contains(t, out, "deploy.replaced")
	for _, sink := range []string{"screen", "pager"} {
		assert.Regexp(t, sink+` +not for it: `, out)
	}
	assert.Contains(t, p.refused(t, "drill", "crash", "--to", "nobody"), `no route leads to a sink "nobody"`)
	out = p.command(t, "drill", "crash", "--to", "pager")
	assert.Regexp(t, `pager +had it after \d`, out)
	taken := m.Messages(t, queue, time.Minute, func(all []sqstypes.Message) bool { return len(all) > 0 })
	for _, message := range append(taken, m.Messages(t, queue, within, nil)...) {
		assert.Contains(t, *message.Body, "This is a drill")
		assert.NotContains(t, *message.Body, "unhealthy", "that one was for the screen")
	}
	assert.NotContains(t, p.out.String(), "bellbuoy-drill-crash stopped", "this one was not")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

func TestDrillOfAWrongTopic(t *testing.T) {
	d, m := stand.Docker(t), stand.Moto(t)
	p := newProgram(t, watches(d)+"aws: {endpoint: \""+m.URL+"\"}\nsinks:\n  screen: {console: {}}\n"+
		"  pager: {sns: {topic_arn: \"arn:aws:sns:eu-west-1:123456789012:"+uniqueName("typo")+"\"}}\n")
	p.up(t)
	out, _, code := p.run(t, "drill", "crash", "-c", p.config)
	assert.Equal(t, 1, code)
	assert.Regexp(t, `pager +REFUSED it, see bellbuoy dlq show \d+: topic_not_found`, out)
	assert.Regexp(t, `screen +had it after \d`, out)
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}
