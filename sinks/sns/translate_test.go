package sns

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

func TestPeopleText(t *testing.T) {
	cfg := configFor("")
	sinktest.Golden(t, "testdata/people.txt", *update, func(e *event.Event) string {
		m, err := render(cfg, e)
		require.NoError(t, err)
		return "Subject: " + m.subject + "\n\n" + m.body
	})
}

func TestJSONIsTheEvent(t *testing.T) {
	cfg := configFor("")
	cfg.Format = JSON
	for _, s := range sinktest.Samples() {
		m, err := render(cfg, &s.Event)
		require.NoError(t, err)
		want, err := event.Append(nil, &s.Event)
		require.NoError(t, err)
		assert.JSONEq(t, string(want), m.body, s.Name)
		assert.False(t, m.truncated)
	}
}

// What does not fit goes in a fixed order, and the event says so.
func TestJSONIsCutInTheEvent(t *testing.T) {
	cfg := configFor("")
	cfg.Format, cfg.MaxMessageBytes = JSON, minMessageBytes
	for _, s := range sinktest.Samples() {
		if s.Name != "huge" {
			continue
		}
		m, err := render(cfg, &s.Event)
		require.NoError(t, err)
		assert.True(t, m.truncated)
		assert.LessOrEqual(t, m.size(), cfg.MaxMessageBytes)
		got, err := event.Decode([]byte(m.body))
		require.NoError(t, err)
		assert.Contains(t, got.Data.Truncated, "task.log")
		assert.Nil(t, got.Data.Task.Log)
		assert.NotNil(t, s.Event.Data.Task.Log, "the event of the batch stays whole")
		assert.Equal(t, s.Event.ID, got.ID)
	}
	e := sinktest.Alerts()[0]
	e.Data.Message = strings.Repeat("x", 10_000)
	_, err := render(cfg, &e)
	var permanent *sinks.Permanent
	require.ErrorAs(t, err, &permanent)
	assert.Equal(t, "too_large", permanent.Reason)
}

func TestFitCutsBetweenCharacters(t *testing.T) {
	text := strings.Repeat("日本語👩‍🚒 ", 500)
	for budget := 200; budget < 230; budget++ {
		got, cut := fit(text, budget, "id")
		assert.True(t, cut)
		assert.LessOrEqual(t, len(got), budget)
		assert.Greater(t, len(got), budget-utf8.UTFMax)
		assert.True(t, utf8.ValidString(got))
		assert.Contains(t, got, "[cut to the topic's size limit; event id has the rest]")
	}
}

func TestFIFOIDs(t *testing.T) {
	e := sinktest.Alerts()[0]
	assert.Equal(t, "prod-eu/shop/pay", fifoID(group(&e)))
	assert.Equal(t, e.ID, fifoID(dedup(&e)))
	a, b := fifoID(strings.Repeat("a", 200)+"1"), fifoID(strings.Repeat("a", 200)+"2")
	assert.NotEqual(t, a, b, "long names stay different")
	assert.NotEqual(t, fifoID("зар"), fifoID("при"), "so do names that are not ASCII")
	for _, id := range []string{a, b, fifoID(""), fifoID("зар")} {
		assert.True(t, fifoIDValid(id), id)
	}
	opened := event.Event{Type: event.IncidentOpened, ID: "x", Data: event.Data{Incident: &event.Incident{ID: "inc", Transition: 1}}}
	resolved := event.Event{Type: event.IncidentResolved, ID: "y", Data: event.Data{Incident: &event.Incident{ID: "inc", Transition: 2}}}
	assert.Equal(t, group(&opened), group(&resolved))
	assert.NotEqual(t, dedup(&opened), dedup(&resolved), "a recovery is no repetition")
}

// TestNoIncidentIsRefused: thousands of odd incidents and other events in each format, on both kinds of topic: the
// documented rules of SNS hold for every one, and those of the reader behind the topic.
func TestNoIncidentIsRefused(t *testing.T) {
	t.Parallel()
	rnd, all := rand.New(rand.NewPCG(1, 2)), make([]event.Event, odd())
	for i := range all {
		if all[i] = oddIncident(rnd, i); i%7 == 0 {
			all[i] = oddEvent(rnd, i)
		}
	}
	for _, format := range []string{People, JSON, Chat, PagerDuty} {
		for _, arn := range []string{topic, topic + ".fifo"} {
			t.Run(format+" "+arn, func(t *testing.T) {
				t.Parallel()
				for limit, events := range map[int][]event.Event{minMessageBytes: all[:700], defaultMessageBytes: all} {
					fake := &fakeSNS{limit: limit}
					cfg := configFor("")
					cfg.Format, cfg.TopicARN, cfg.MaxMessageBytes = format, arn, limit
					for i := range events {
						e := events[i]
						m, err := render(cfg, &e)
						if format == JSON && limit == minMessageBytes && err != nil {
							continue // Too large even without its bulk: a dead letter, never a broken request.
						}
						require.NoError(t, err)
						require.Empty(t, fake.check(wire(arn, m)), "event %d: %+v", i, m)
						require.Empty(t, unread(format, &e, m), "event %d: %+v", i, m)
					}
				}
			})
		}
	}
}

// longTests makes as many incidents as a release wants to see; make test uses fewer, for the race detector's sake.
const longTests = "BELLBUOY_E2E_LONG"

func odd() int {
	if os.Getenv(longTests) != "" {
		return 7000
	}
	return 1500
}

// unread says what the reader behind a topic of the format would not take.
func unread(format string, e *event.Event, m message) string {
	switch format {
	case JSON:
		if _, err := event.Decode([]byte(m.body)); err != nil {
			return err.Error()
		}
	case Chat:
		return chatFault(e, m.body)
	case PagerDuty:
		return alarmFault(e, m)
	}
	return ""
}

// chatFault checks a body against the schema that Amazon documents for custom notifications.
func chatFault(e *event.Event, body string) string {
	var c chat
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	switch err := dec.Decode(&c); {
	case err != nil:
		return err.Error()
	case c.Version != "1.0" || c.Source != "custom":
		return "version or source"
	case c.Content.TextType != "client-markdown" || c.Content.Description == "":
		return "content"
	case utf8.RuneCountInString(c.Content.Title) > 250 || utf8.RuneCountInString(c.Metadata.Summary) > 250:
		return "title"
	case strings.ContainsAny(c.Content.Title+c.Metadata.Summary+strings.Join(c.Content.NextSteps, ""), "<>`"):
		return "a mention could be forged"
	case c.Metadata.ThreadID == "" || e.Data.Incident != nil && c.Metadata.ThreadID != fifoID(e.Data.Incident.ID):
		return "threadId"
	}
	return ""
}

// alarmFault checks that a body can be merged by its name, and that the subject says the same.
func alarmFault(e *event.Event, m message) string {
	var a alarm
	state := stateAlarm
	if e.Data.Incident != nil && e.Data.Incident.State == "resolved" {
		state = stateOK
	}
	switch err := json.Unmarshal([]byte(m.body), &a); {
	case err != nil:
		return err.Error()
	case a.NewStateValue != state || !strings.HasPrefix(m.subject, state+": "):
		return "state"
	case a.AlarmName == "" || !strings.Contains(m.subject, a.AlarmName):
		return "name"
	case a.AWSAccountID == "" || a.Region == "" || a.AlarmDescription == "" || a.NewStateReason == "":
		return "empty"
	}
	other := *e
	if e.Data.Incident != nil {
		section := *e.Data.Incident
		section.State, section.Transition, section.Title, section.Stops = "resolved", section.Transition+1, "another title", 99
		other.Data.Incident, other.ID = &section, "another"
		if alarmName(&other) != a.AlarmName {
			return "the name is not stable"
		}
	}
	return ""
}

// oddIncident is a transition of an incident with odd, missing and huge members.
func oddIncident(rnd *rand.Rand, i int) event.Event {
	e := oddEvent(rnd, i)
	types := []event.Type{event.IncidentOpened, event.IncidentUpdated, event.IncidentResolved}
	e.Type = types[rnd.IntN(len(types))]
	s := &event.Incident{
		ID: fmt.Sprintf("incident-%d", i/3), State: "open", Transition: int64(1 + rnd.IntN(9)), Title: oddText(rnd, 300), Family: oddText(rnd, 20),
		Reason:   []string{"", "again", "worse", "reminder", "escalated", "silence_ended", "crash_loop", oddText(rnd, 9)}[rnd.IntN(8)],
		Recovery: oddText(rnd, 200), Silenced: oddText(rnd, 9), Stops: rnd.Int64N(1e6), Restarts: rnd.Int64N(1e6), Flaps: rnd.Int64N(9),
		TaskCount: rnd.Int64N(2000), Running: rnd.Int64N(50), Desired: rnd.Int64N(50), Opened: time.Unix(rnd.Int64N(2e9), 0), Last: time.Unix(rnd.Int64N(2e9), 0),
	}
	for range []int{0, 1, 2, 20}[rnd.IntN(4)] {
		s.Tasks, s.Nodes = append(s.Tasks, oddText(rnd, 40)), append(s.Nodes, oddText(rnd, 40))
		s.Done, s.Recent, s.Causes = append(s.Done, oddText(rnd, 60)), append(s.Recent, oddText(rnd, 60)), append(s.Causes, oddText(rnd, 20))
	}
	if e.Type == event.IncidentResolved {
		s.State, s.Resolved, s.DowntimeMS = "resolved", time.Unix(rnd.Int64N(2e9), 0), rnd.Int64()
	}
	e.Data.Incident = s
	return e
}

func TestChat(t *testing.T) {
	golden(t, Chat)
}

func TestPagerDuty(t *testing.T) {
	golden(t, PagerDuty)
}

func golden(t *testing.T, format string) {
	t.Helper()
	cfg := configFor("")
	cfg.Format = format
	sinktest.Golden(t, "testdata/"+format+".txt", *update, func(e *event.Event) string {
		m, err := render(cfg, e)
		require.NoError(t, err)
		var body bytes.Buffer
		require.NoError(t, json.Indent(&body, []byte(m.body), "", "  "))
		return "Subject: " + m.subject + "\n\n" + body.String()
	})
}

// The same through the SDK and the wire, with full batches.
func TestNoEventIsRefusedOnTheWire(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	fake := &fakeSNS{}
	s := open(t, configFor(serve(t, fake)), Deps{})
	sent := 0
	for i := range 40 {
		var batch []event.Event
		for j := range 1 + i%23 {
			e := oddEvent(rnd, i*100+j)
			if skip(&e) == "" {
				sent++
			}
			batch = append(batch, e)
		}
		require.NoError(t, s.Send(t.Context(), batch))
	}
	assert.Empty(t, fake.refused)
	assert.Len(t, fake.all(), sent)
}

func FuzzRender(f *testing.F) {
	f.Add("pay", "boom", uint64(1))
	f.Add("\x00\xff\u202e\ufffe", strings.Repeat("日", 300), uint64(2))
	f.Fuzz(func(t *testing.T, name, text string, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		e := oddEvent(rnd, 0)
		e.Data.Workload, e.Data.Site, e.Data.Cause = name, text, &event.Cause{Class: text, Say: name}
		e.Data.Task = &event.Task{ID: name, Name: text, State: event.State(text)}
		for _, arn := range []string{topic, topic + ".fifo"} {
			cfg := configFor("")
			cfg.TopicARN = arn
			m, err := render(cfg, &e)
			require.NoError(t, err)
			require.Empty(t, (&fakeSNS{}).check(wire(arn, m)))
		}
	})
}

// wire is the message as the server reads it.
func wire(arn string, m message) published {
	p := published{Topic: arn, Subject: m.subject, Message: m.body, Group: m.group, Dedup: m.dedup, Attributes: map[string][2]string{}}
	for name, a := range m.attributes {
		p.Attributes[name] = [2]string{*a.DataType, *a.StringValue}
	}
	return p
}

// oddEvent is an event with odd, missing and huge members.
func oddEvent(rnd *rand.Rand, i int) event.Event {
	all := sinktest.Events()
	e := all[rnd.IntN(len(all))]
	e.ID = fmt.Sprintf("odd-%d", i)
	for _, s := range []*string{&e.Data.Site, &e.Data.Scope, &e.Data.Node, &e.Data.Workload, &e.Data.Revision, &e.Data.Owner, &e.Data.Message} {
		if rnd.IntN(3) == 0 {
			*s = oddText(rnd, 300)
		}
	}
	if c := e.Data.Cause; c != nil && rnd.IntN(2) == 0 {
		c.Class, c.Say, c.Evidence = oddText(rnd, 80), oddText(rnd, []int{100, 2000}[rnd.IntN(2)]), []string{oddText(rnd, 300), ""}
	}
	if task := e.Data.Task; task != nil && rnd.IntN(2) == 0 {
		task.Name, task.State, task.Log = oddText(rnd, 300), event.State(oddText(rnd, 30)), &event.Log{}
		long := []int{1, 5, 10, 600}[rnd.IntN(4)]
		for range []int{1, 2, 20, 60}[rnd.IntN(4)] {
			task.Log.Lines = append(task.Log.Lines, oddText(rnd, long))
		}
	}
	return e
}

// oddText is up to n characters, of kinds that break something somewhere.
func oddText(rnd *rand.Rand, n int) string {
	pieces := []string{"a", " ", "\n", "\x00", "\x1b[31m", "\xff", "é", "日", "💶", "👩‍🚒", "\u202e", "\ufffe", "\uffff", "\u2028", "\"", "<&>", "'", "%", "\\", "=", "…", "\t"}
	var b strings.Builder
	for range rnd.IntN(n) {
		b.WriteString(pieces[rnd.IntN(len(pieces))])
	}
	return b.String()
}
