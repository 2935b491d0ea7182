package ecs

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// secret is in the environment, the commands and the texts of the fixtures, and must never come out.
const secret = "sw0rdfish-in-clear"

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return text
}

// replayed is what each record of a fixture became, a row each, under the id of its envelope. The fixtures are
// made up in the shapes of real events.
func replayed(t *testing.T, text []byte) (rows string, events []event.Event) {
	t.Helper()
	results, err := Replay(t.Context(), bytes.NewReader(text), ReplayOptions{Site: "test"})
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var b strings.Builder
	for _, r := range results {
		var envelope struct {
			ID string `json:"id"`
		}
		require.NoError(t, json.Unmarshal(lines[r.Line-1], &envelope))
		require.NoError(t, r.Err, envelope.ID)
		if r.Event == nil {
			fmt.Fprintf(&b, "%s | no event: %s\n", envelope.ID, r.Ignored)
			continue
		}
		d := &r.Event.Data
		require.NoError(t, event.Validate(r.Event), envelope.ID)
		whole, err := event.Append(nil, r.Event)
		require.NoError(t, err)
		assert.NotContains(t, string(whole), secret, envelope.ID)
		fmt.Fprintf(&b, "%s | %s.%s %s | %s", envelope.ID, r.Event.Type.Kind(), r.Event.Type.Event(), r.Event.Severity, r.Event.Subject)
		if c := d.Cause; c != nil {
			fmt.Fprintf(&b, " | %s expected=%t by %s %s", c.Class, c.Expected, c.Initiator, strings.TrimSpace(c.InitiatorName+" "+c.Token))
		}
		fmt.Fprintf(&b, " | %s\n", d.Message)
		events = append(events, *r.Event)
	}
	return b.String(), events
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *updateGolden {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	assert.Equal(t, string(fixture(t, name)), got, "if this is meant, write it with -update")
}

// Every class of the table has a record that leads to it.
func TestStops(t *testing.T) {
	t.Parallel()
	rows, events := replayed(t, fixture(t, "stops.ndjson"))
	golden(t, "stops.golden", rows)
	have := map[string]bool{}
	for _, e := range events {
		require.Equal(t, event.TaskStopped, e.Type, e.Subject)
		have[e.Data.Cause.Class] = true
	}
	// What needs more than one record, or AWS, is in the tests of the machine.
	elsewhere := map[string]bool{"deploy.replaced": true, "unknown.lost": true}
	for _, row := range cause.ECS() {
		assert.True(t, have[row.Class] || elsewhere[row.Class], "no stop of class %s", row.Class)
	}
}

func TestOthers(t *testing.T) {
	t.Parallel()
	text := fixture(t, "others.ndjson")
	rows, events := replayed(t, text)
	golden(t, "others.golden", rows)
	again, _ := replayed(t, text)
	assert.Equal(t, rows, again)
	ids := map[string]string{}
	for _, e := range events {
		assert.Empty(t, ids[e.ID], "%s and %s have one id", e.Data.Message, ids[e.ID])
		ids[e.ID] = e.Data.Message
		if e.Type.Kind() != "task" {
			assert.True(t, json.Valid([]byte(e.Data.Native.Record)), e.Data.Message)
		}
	}
}

// The envelope does not matter: what EventBridge sends, what a topic or a pipe makes of it, and what tools print.
func TestWrappings(t *testing.T) {
	t.Parallel()
	plain := bytes.SplitN(fixture(t, "stops.ndjson"), []byte("\n"), 2)[0]
	body := jsonOf(t, string(plain))
	sns := `{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:eu-west-1:123456789012:t","Message":` + body + `}`
	want, err := decodeRecord(plain)
	require.NoError(t, err)
	for name, body := range map[string]string{
		"plain": string(plain), "spaces and a mark": "\ufeff \n" + string(plain) + "\n", "topic": sns,
		"pipe": "[" + string(plain) + "]", "pipe from a queue": `[{"messageId":"1","body":` + body + `}]`,
		"pipe from a queue behind a topic": `[{"messageId":"1","body":` + jsonOf(t, sns) + `}]`,
	} {
		got, err := decodeRecord([]byte(body))
		require.NoError(t, err, name)
		got.Raw, want.Raw = nil, nil
		assert.Equal(t, want, got, name)
		assert.True(t, Recorded([]byte(body)), name)
	}
	for name, text := range map[string]string{
		"a function's": `{"Records":[{"messageId":"1","body":` + body + `}]}`, "receive-message": `{"Messages":[{"MessageId":"1","Body":` + body + `}]}`,
		"events": `{"events":[` + string(plain) + `]}`, "an array": "[" + string(plain) + "," + string(plain) + "]",
	} {
		results, err := Replay(t.Context(), strings.NewReader(text), ReplayOptions{Site: "test"})
		require.NoError(t, err)
		require.NotEmpty(t, results, name)
		require.NoError(t, results[0].Err, name)
		assert.Equal(t, "spot.interruption", results[0].Event.Data.Cause.Class, name)
	}
}

// jsonOf is a value as JSON.
func jsonOf(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func TestPoison(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct{ class, reason string }{
		"":                                       {classUndecodable, "empty"},
		`{"version":"0","id":"`:                  {classUndecodable, "not JSON"},
		`{"hello":"world"}`:                      {classUndecodable, "detail-type or source is missing"},
		`"Task x is STOPPED"`:                    {classTransformed, "input transformer"},
		`Task x is STOPPED`:                      {classUndecodable, "not JSON"},
		`[]`:                                     {classUndecodable, "array of 0 records"},
		`[{},{}]`:                                {classUndecodable, "batch size to 1"},
		`{"taskArn":"arn:aws:ecs:x"}`:            {classTransformed, "without its envelope"},
		`{"detail-type":"x","source":"aws.ecs"}`: {classUndecodable, "without a detail"},
		`{"detail-type":"x","source":"aws.ecs","detail":[]}`:     {classUndecodable, "without a detail"},
		`{"Type":"SubscriptionConfirmation","TopicArn":"arn:t"}`: {classUndecodable, "confirm"},
		`{"detail-type":"x","source":"aws.ecs","resources":7}`:   {classUndecodable, "resources is not"},
		strings.Repeat("[", 9) + "{}" + strings.Repeat("]", 9):   {classUndecodable, "wrappings"},
		`{"a":"` + strings.Repeat("x", maxRecord) + `"}`:         {classOversize, "bytes"},
		`{"password":"` + secret + `"` + "\x00":                  {classUndecodable, "not JSON"},
	} {
		_, err := decodeRecord([]byte(body))
		class, reason := poisonOf(err)
		name := cutText(body, 60)
		assert.Equal(t, want.class, class, name)
		assert.Contains(t, reason, want.reason, name)
		assert.NotContains(t, reason, secret)
	}
}

func TestDescribedTasksAreReplayed(t *testing.T) {
	t.Parallel()
	text := `{"tasks":[{"taskArn":"arn:aws:ecs:eu-west-1:123456789012:task/prod/1","clusterArn":"arn:aws:ecs:eu-west-1:123456789012:cluster/prod",
		"taskDefinitionArn":"arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7","group":"service:web","lastStatus":"RUNNING","desiredStatus":"RUNNING",
		"createdAt":1762135200.123,"startedAt":"2026-11-03T02:00:30.5+01:00","healthStatus":"UNHEALTHY","version":4,"tags":[{"key":"bellbuoy:owner","value":"till"}],
		"containers":[{"name":"app","image":"web:7","imageDigest":"sha256:4f2c9d0f6a1b","lastStatus":"RUNNING","healthStatus":"UNHEALTHY"}]}],
		"failures":[{"arn":"arn:aws:ecs:eu-west-1:123456789012:task/prod/2","reason":"MISSING"}]}`
	assert.True(t, Recorded([]byte(text)))
	results, err := Replay(t.Context(), strings.NewReader(text), ReplayOptions{Site: "test"})
	require.NoError(t, err)
	require.Len(t, results, 3)
	assert.Equal(t, event.TaskStarted, results[0].Event.Type)
	assert.Equal(t, "web:7@4f2c9d0f", results[0].Event.Data.Revision)
	assert.Equal(t, "till", results[0].Event.Data.Owner)
	assert.Equal(t, event.TaskUnhealthy, results[1].Event.Type)
	assert.Contains(t, results[2].Ignored, "MISSING")
}

// FuzzReplay: whatever comes, nothing falls over, and what comes out is valid and tells no secret of an override.
func FuzzReplay(f *testing.F) {
	for _, name := range []string{"stops.ndjson", "others.ndjson"} {
		for i, line := range bytes.Split(bytes.TrimSpace(fixture(f, name)), []byte("\n")) {
			if i%7 == 0 {
				f.Add(line)
			}
		}
	}
	f.Add([]byte(`[{"messageId":"1","body":"{}"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		results, err := Replay(t.Context(), bytes.NewReader(text), ReplayOptions{Site: "test"})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Event == nil {
				continue
			}
			if _, err := event.Append(nil, r.Event); err != nil {
				t.Fatalf("%v: %s", err, r.Event.Type)
			}
		}
	})
}

// TestMutations does the same with 20,000 records that are broken in some way. The coverage of the SDK makes the
// fuzzer slow here.
func TestMutations(t *testing.T) {
	t.Parallel()
	seeds := bytes.Split(bytes.TrimSpace(slices.Concat(fixture(t, "stops.ndjson"), fixture(t, "others.ndjson"))), []byte("\n"))
	dice := rand.New(rand.NewPCG(1, 2))
	read, made := reader(origin{Site: "test"}, time.Now), 0
	m := newMachine(machineOptions{Table: cause.ECS()})
	for range 20_000 {
		body := bytes.Clone(seeds[dice.IntN(len(seeds))])
		for range 1 + dice.IntN(3) {
			at := dice.IntN(len(body))
			switch dice.IntN(4) {
			case 0:
				body[at] = byte(dice.IntN(256))
			case 1:
				body = slices.Delete(body, at, min(len(body), at+1+dice.IntN(20)))
			case 2:
				other := seeds[dice.IntN(len(seeds))]
				from := dice.IntN(len(other))
				body = slices.Insert(body, at, other[from:min(len(other), from+dice.IntN(60))]...)
			default: // a value of another type
				body = bytes.Replace(body, []byte(`:"`), []byte([]string{":7,\"", ":null,\"", ":[\"", ":{\""}[dice.IntN(4)]), 1)
			}
		}
		f, err := read(body)
		if err != nil {
			class, reason := poisonOf(err)
			require.Contains(t, poisonClasses, class)
			require.NotContains(t, reason, secret)
			continue
		}
		made++
		require.NoError(t, m.handle(t.Context(), f, func(_ context.Context, o out) error {
			_, err := event.Append(nil, &o.event)
			return err
		}), "%s", body)
	}
	assert.Greater(t, made, 2000)
}

// FuzzQuarantine: what is kept of a body has no list of an override.
func FuzzQuarantine(f *testing.F) {
	f.Add(fixture(f, "stops.ndjson")[:1500])
	f.Fuzz(func(t *testing.T, text []byte) {
		kept := safeBody(string(text))
		if len(kept) > maxBody+100 {
			t.Fatalf("%d bytes are kept", len(kept))
		}
	})
}

func BenchmarkRead(b *testing.B) {
	body := bytes.SplitN(fixture(b, "stops.ndjson"), []byte("\n"), 2)[0]
	read := reader(origin{Site: "test"}, nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := read(body); err != nil {
			b.Fatal(err)
		}
	}
}
