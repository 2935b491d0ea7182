package ecs

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// What tools print, what functions get and what logs keep is read like the queue.
func TestBundles(t *testing.T) {
	t.Parallel()
	plain := string(bytes.SplitN(fixture(t, "stops.ndjson"), []byte("\n"), 2)[0])
	quoted := jsonOf(t, plain)
	sns := `{"Type":"Notification","TopicArn":"arn:aws:sns:eu-west-1:123456789012:t","Message":` + quoted + `}`
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, []byte(plain), "", "  "))
	for name, text := range map[string]string{
		"a function behind a topic": `{"Records":[{"EventSource":"aws:sns","Sns":` + sns + `}]}`,
		"a function, queue, topic":  `{"Records":[{"messageId":"1","body":` + jsonOf(t, sns) + `}]}`,
		"filter-log-events":         `{"events":[{"logStreamName":"x","timestamp":1,"message":` + quoted + `}]}`,
		"a query of logs":           `{"results":[[{"field":"@timestamp","value":"x"},{"field":"@message","value":` + quoted + `},{"field":"@ptr","value":"y"}]],"status":"Complete"}`,
		"a structured log":          `{"level":"INFO","message":` + plain + `}`,
		"a function's log":          `{"event":` + plain + `}`,
		"a line of a log":           "2026-11-03T02:00:30.000Z stream/1 " + plain + "\n",
		"over lines":                indented.String() + "\n" + indented.String(),
		"with a mark":               "\ufeff" + plain,
	} {
		results, err := Replay(t.Context(), strings.NewReader(text), ReplayOptions{Site: "test"})
		require.NoError(t, err)
		require.NotEmpty(t, results, name)
		require.NoError(t, results[0].Err, name)
		require.NotNil(t, results[0].Event, name)
		assert.Equal(t, "spot.interruption", results[0].Event.Data.Cause.Class, name)
	}
	for _, text := range []string{
		`{"events":[{"message":` + quoted + `}]}`, `{"Records":[{"Sns":` + sns + `}]}`, `{"event":` + plain + `}`, `{"tasks":[],"failures":[]}`,
	} {
		assert.True(t, Recorded([]byte(text)), text)
	}
	for _, text := range []string{
		`{"Type":"container","Action":"die","Actor":{"ID":"1"}}`, `{"events":[]}`, `{"message":"hello"}`, `{"Messages":[null,{}]}`, `7`, `null`, ``, `[]`, `{"event":{}}`,
		strings.Repeat(`{"event":`, 100) + "{}" + strings.Repeat("}", 100),
	} {
		assert.False(t, Recorded([]byte(text)), text)
	}
}

func TestBundlesWithoutARecord(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"tasks":[],"failures":[]}`: "no record in it",
		`{"Messages":[]}`:            "no record in it",
		`{"tasks":[],"failures":[{"arn":"arn:aws:ecs:eu-west-1:123456789012:task/prod/2","reason":"MISSING"}]}`:        "MISSING",
		`{"events":[{"message":"START RequestId: 1"}]}`:                                                                "a line of a log",
		`{"results":[[{"field":"@message","value":"END"}]]}`:                                                           "a line of a log",
		`{"task":{"taskArn":"arn:aws:ecs:eu-west-1:123456789012:task/prod/2","lastStatus":"STOPPED"}}`:                 "",
		`[{"taskArn":"arn:aws:ecs:eu-west-1:123456789012:task/prod/2","lastStatus":"RUNNING","createdAt":1793671227}]`: "",
	} {
		results, err := Replay(t.Context(), strings.NewReader(text), ReplayOptions{Site: "test"})
		require.NoError(t, err)
		require.Len(t, results, 1, text)
		require.NoError(t, results[0].Err, text)
		if want != "" {
			assert.Contains(t, results[0].Ignored, want, text)
			continue
		}
		require.NotNil(t, results[0].Event, text)
		require.NoError(t, event.Validate(results[0].Event), text)
	}
	for text, want := range map[string]string{
		`{"Messages":[{"MessageId":"1","Body":"hello"}]}`: "not JSON",
		`{"events":[{"message":"{}"}]}`:                   "detail-type or source is missing",
		`{"tasks":[{"taskArn":"arn:x"}]}`:                 "lastStatus is missing",
		`{"tasks":[7]}`:                                   "input transformer",
	} {
		results, err := Replay(t.Context(), strings.NewReader(text), ReplayOptions{Site: "test"})
		require.NoError(t, err)
		require.Len(t, results, 1, text)
		require.ErrorContains(t, results[0].Err, want, text)
	}
}

// Other services repeat what ECS told them, in their own spelling and as JSON in a text.
func TestOverridesDoNotLeaveWithOthers(t *testing.T) {
	t.Parallel()
	overrides := `{"Overrides":{"ContainerOverrides":[{"Name":"app","Command":["` + secret + `"],"Environment":[{"Name":"A","Value":"` + secret + `]\""}]}]},"StoppedReason":"kept"}`
	require.True(t, json.Valid([]byte(overrides)))
	text := jsonOf(t, overrides)
	twice := jsonOf(t, `{"inner":`+text+`}`)
	for name, detail := range map[string]string{
		"as it is": overrides, "in a text": `{"cause":` + text + `}`, "in a text in a text": `{"input":` + twice + `}`, "as the summary": `{"Cause":` + text + `}`,
		"of old": `{"overrides":{"containerOverrides":[{"environment":[{"name":"A","value":"` + secret + `"}],"command":["` + secret + `"]}]},"why":"kept"}`,
	} {
		body := `{"id":"1","detail-type":"Step Functions Execution Status Change","source":"aws.states","account":"123456789012","time":"2026-11-03T02:02:06Z","region":"eu-west-1","detail":` + detail + `}`
		f, err := reader(origin{Site: "test"}, time.Now)([]byte(body))
		require.NoError(t, err, name)
		whole, err := event.Append(nil, &f.event)
		require.NoError(t, err, name)
		assert.NotContains(t, string(whole), secret, name)
		assert.Contains(t, f.event.Data.Native.Record, "kept", name)
		assert.NotContains(t, string(safeBody(body)), secret, name)
	}
}

// FuzzDecodeRecord: each body is a record or has a reason of a known class.
func FuzzDecodeRecord(f *testing.F) {
	for _, body := range []string{
		`{"id":"1","detail-type":"x","source":"y","detail":{}}`, `{"Type":"Notification","Message":"{\"detail-type\":\"x\",\"source\":\"y\",\"detail\":{}}"}`,
		`[{"messageId":"1","body":"[]"}]`, `{"taskArn":"a"}`, `"STOPPED"`, "\ufeff[", `{"time":1e9,"resources":null}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeRecord(body)
		if err == nil {
			if r.DetailType == "" || r.Source == "" || r.Detail[0] != '{' {
				t.Fatalf("a record without what makes it one: %+v", r)
			}
			return
		}
		class, reason := poisonOf(err)
		if reason == "" || class != classUndecodable && class != classTransformed && class != classOversize {
			t.Fatalf("%q: %s", class, reason)
		}
	})
}

// FuzzTranslate: whatever a detail has around an override, its event is valid and tells nothing of the override.
func FuzzTranslate(f *testing.F) {
	for _, k := range kindsOfRecords {
		f.Add(k.source, k.detailType, "overrides", `"lastStatus":"STOPPED","stopCode":"x","containers":[{"exitCode":"1"}],"eventName":"StopTask"`)
	}
	f.Add("aws.states", "x", "input", `"cause":7`)
	f.Fuzz(func(t *testing.T, source, detailType, name, rest string) {
		override := `{"containerOverrides":[{"environment":[{"name":"A","value":"` + secret + `"}],"command":["` + secret + `"]}]}`
		quote := func(s string) string { return jsonOf(t, s) }
		detail := `{"taskArn":"` + arnOfTask + `",` + quote(name) + `:` + override + `,` + quote(name+"2") + `:` + quote(override)
		if json.Valid([]byte("{" + rest + "}")) {
			detail += "," + rest
		}
		body := `{"id":"1","detail-type":` + quote(detailType) + `,"source":` + quote(source) + `,"time":"2026-11-03T02:02:06Z","detail":` + detail + `}}`
		r, err := decodeRecord([]byte(body))
		if err != nil {
			return
		}
		made := translate(&r, origin{Site: "test"})
		e := &made.event
		e.Recorded = e.Time
		if e.Severity == 0 {
			e.Severity = event.SeverityOf(e)
		}
		if err := event.Validate(e); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		whole, err := event.Append(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(whole, []byte(secret)) && !strings.Contains(rest+source+detailType+name, secret) {
			t.Fatalf("an override has left: %s", whole)
		}
	})
}
