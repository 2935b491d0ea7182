package notice

import (
	"flag"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

var update = flag.Bool("update", false, "write the golden files")

func TestSamples(t *testing.T) {
	sinktest.Golden(t, "testdata/notices.txt", *update, func(e *event.Event) string {
		n := Of(e)
		text := n.Headline + "\n" + n.Opening + "\n"
		for _, part := range n.Parts {
			text += part.Label + ": " + strings.Join(part.Lines, "\n  ") + "\n"
		}
		return text
	})
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		"plain text":                        "plain text",
		"  a\tb\r\nc\u2028d\u00a0e ":        "a b  c d e",
		"\x1b[1;31mred\x1b[0m":              "red",
		"\x1b]0;title\x07x\x1b]8;;u\x1b\\y": "xy",
		"\x1b(Bx\x1bcy":                     "xy",
		"lone \x1b":                         "lone ^[",
		"a\x00b\x07c\x7fd":                  `a^@b^Gc\u007fd`,
		"\u009b31m":                         `\u009b31m`,
		"\u202egnp.exe":                     `\u202egnp.exe`,
		"bad \xff\xfe":                      "bad \uFFFD",
		"\ufffe\uffff\ufdd0":                `\ufffe\uffff\ufdd0`,
		"👩‍🚒 日本":                            "👩‍🚒 日本",
	} {
		assert.Equal(t, want, Clean(in), "%q", in)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0ms", 340 * time.Millisecond: "340ms", 4200 * time.Millisecond: "4s", time.Minute: "1m", 72 * time.Second: "1m12s",
		3*time.Hour + 5*time.Minute + 9*time.Second: "3h5m", 27 * time.Hour: "1d3h", 48 * time.Hour: "2d",
	} {
		assert.Equal(t, want, Duration(d))
	}
}

func TestExit(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	for want, c := range map[string]event.Container{
		"":            {},
		"exit code 3": {ExitCode: n(3)},
		"exit code 143, which is what SIGTERM leaves":    {ExitCode: n(143)},
		"exit code 137, ended by SIGKILL, out of memory": {ExitCode: n(137), Signal: "SIGKILL", OOMKilled: true},
		"ended by SIGSEGV":     {Signal: "SIGSEGV"},
		"exit code 3221225477": {ExitCode: n(3221225477)},
		"exit code -1":         {ExitCode: n(-1)},
	} {
		assert.Equal(t, want, exit(&c))
	}
}

// What is pasted into a shell names things that strangers named.
func TestALongErrorIsSaidOnce(t *testing.T) {
	const said = `exec: "nosuch": executable file not found in $PATH`
	e := event.Event{Type: event.TaskStopped, Data: event.Data{
		Cause: &event.Cause{
			Class: "start.error", Say: "could not start: " + said, Evidence: []string{"no process was started", "the runtime said: " + said},
		},
		Task: &event.Task{Containers: []event.Container{{Reason: said}}},
	}}
	n := Short(&e)
	assert.Equal(t, []Part{{"Why", []string{"Could not start: " + said + "."}}, {"Evidence", []string{"no process was started"}}}, n.Parts)
	e.Data.Task.Containers[0].Reason = "the port is taken"
	assert.Contains(t, Short(&e).Parts, Part{"Reason", []string{"the port is taken"}})
}

func TestTheSentenceOfAUsersRowIsTold(t *testing.T) {
	t.Parallel()
	code := int64(42)
	e := &event.Event{Type: event.TaskStopped, Data: event.Data{
		Workload: "batch",
		Task:     &event.Task{Containers: []event.Container{{ExitCode: &code}}},
		Cause:    &event.Cause{Class: "exit.error", Say: "found nothing to do", Rule: event.UserRule + "exit_code == 42"},
	}}
	assert.Contains(t, Of(e).Headline, "found nothing to do")
	e.Data.Cause.Rule = "failed"
	assert.Contains(t, Of(e).Headline, "exit code 42")
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"shop-pay-1": "shop-pay-1", "": "''", "-rf": "'-rf'", "a b": "'a b'", "$(reboot)": "'$(reboot)'", "it's": `'it'\''s'`, "зарплата": "'зарплата'",
	} {
		assert.Equal(t, want, quote(in))
	}
}

func TestCut(t *testing.T) {
	for limit, want := range map[int]string{0: "", 2: "", 3: "…", 5: "…", 6: "日…", 9: "日本語", 10: "日本語"} {
		assert.Equal(t, want, Cut("日本語", limit), limit)
	}
}

// Whatever an event holds, every string is one bounded line of visible characters.
func FuzzOf(f *testing.F) {
	for _, s := range sinktest.Samples() {
		d := &s.Event.Data
		say := ""
		if d.Cause != nil {
			say = d.Cause.Say
		}
		f.Add(string(s.Event.Type), string(d.Runtime), d.Workload, say, int64(137))
	}
	f.Fuzz(func(t *testing.T, kind, runtime, name, text string, code int64) {
		e := event.Event{ID: text, Type: event.Type(kind), Subject: name, Time: time.Unix(code%1e9, 0), Data: event.Data{
			Site: name, Runtime: event.Runtime(runtime), Scope: text, Node: name, Workload: name, Revision: text, Owner: text, Message: text,
			Cause: &event.Cause{Class: name, Say: text, Evidence: []string{text, name}},
			Task: &event.Task{ID: name, Name: text, Log: &event.Log{Lines: []string{text}, None: name}, Containers: []event.Container{
				{Name: name, Signal: text, ExitCode: &code, HealthOutput: text, Health: "unhealthy", Reason: text, RestartPolicy: text, Restarts: code},
			}},
			Incident: &event.Incident{ID: name, Title: text, Stops: code, Tasks: []string{name}, DowntimeMS: code},
			Action:   &event.Action{Kind: name, Reason: text}, Collector: &event.Collector{Name: name, Reason: text, Unknown: []string{text}},
			Native: &event.Native{Action: text},
		}}
		n := Of(&e)
		lines := []string{n.Headline, n.Where, n.Opening}
		for _, part := range n.Parts {
			assert.NotEmpty(t, part.Lines, part.Label)
			lines = append(append(lines, part.Label), part.Lines...)
		}
		for _, line := range lines {
			assert.True(t, utf8.ValidString(line), "%q", line)
			assert.LessOrEqual(t, len(line), MaxLine, "%q", line)
			assert.False(t, strings.ContainsFunc(line, func(r rune) bool { return unprintable(r) }), "%q", line)
		}
	})
}

func TestWhatAPlatformAdds(t *testing.T) {
	sample := func(name string) event.Event {
		for _, s := range sinktest.Samples() {
			if s.Name == name {
				return s.Event
			}
		}
		t.Fatalf("no sample %s", name)
		return event.Event{}
	}
	lines := func(n Notice, label string) []string {
		for _, p := range n.Parts {
			if p.Label == label {
				return p.Lines
			}
		}
		return nil
	}
	two := sample("ecs-two-containers")
	assert.Equal(t, []string{"Read the log of the container that ended first."}, lines(Short(&two), "Next"), "a reader at the machine gets the sentence alone")
	assert.Len(t, lines(Of(&two), "Next"), 3)
	assert.Equal(t, "web stopped: exit code 1 (ran 4s)", Of(&two).Headline, "the other container's SIGKILL came after it")
	assert.Empty(t, lines(Of(&two), "Exit"), "the evidence has it")
	assert.Equal(t, []string{"image app: web:6 → web:7"}, lines(Of(&two), "Changed"))
	assert.Equal(t, []string{"123456789012, eu-west-1, eu-west-1b, FARGATE"}, lines(Of(&two), "Place"))

	pull := sample("ecs-pull")
	assert.Equal(t, []string{"container app"}, lines(Of(&pull), "From"))
	assert.Empty(t, lines(Of(&pull), "Reason"), "the evidence has it")
	pull.Data.Cause.Evidence = nil
	assert.Len(t, lines(Of(&pull), "Reason"), 1)

	replaced := sample("ecs-replaced")
	assert.Equal(t, []string{"scheduler ecs-svc/6830"}, lines(Of(&replaced), "By"))
	assert.Len(t, lines(Of(&replaced), "Next"), 2, "an expected stop needs no advice")
}
