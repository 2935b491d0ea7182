package event

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2/event"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

// stop returns a realistic event of about 1 KB.
func stop() Event {
	code := int64(3)
	at := time.Date(2026, 11, 3, 2, 14, 7, 123456789, time.UTC)
	return Event{
		ID: NewID("docker", "engine-1", "4f2c"), Source: SourceOf("prod-eu", Docker, "web-7"),
		Type: TaskStopped, Subject: SubjectOf("shop", "web", "4f2c"), Time: at, Recorded: at.Add(time.Millisecond),
		Severity: Error, PartitionKey: SubjectOf("shop", "web", "4f2c"), Sequence: "01762136047123-0000000042",
		Data: Data{
			Site: "prod-eu", Runtime: Docker, Scope: "shop", Node: "web-7", Workload: "web", Revision: "sha256:9b2a",
			Observed: ObservedStream, Owner: "payments",
			Labels:  map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "team": "payments"},
			Message: "web stopped: exit code 3",
			Task: &Task{
				ID: "4f2c", Name: "shop-web-1", Run: "2026-11-03T02:10:00Z", State: StateStopped, PreviousState: StateRunning,
				Containers: []Container{{ID: "4f2c", Name: "shop-web-1", Image: "shop/web:1.4", ExitCode: &code, RestartPolicy: "no"}},
				Times:      Times{Created: at.Add(-time.Hour), Started: at.Add(-4 * time.Minute), Stopped: at},
				Log:        &Log{Lines: []string{"boom", "panic: \"x\" <y>"}},
			},
			Cause: &Cause{
				Class: "exit.error", Confidence: Fact, Initiator: "app", Say: "The process ended with exit code 3.",
				Evidence: []string{"exit code 3", "no stop request in the last 15 s"}, Rule: "exit-error",
			},
			Native: &Native{Action: "die", TimeNano: "1762136047123456789"},
		},
	}
}

func TestAppendThenDecodeIsTheSameEvent(t *testing.T) {
	e := stop()
	b, err := Append([]byte("before"), &e)
	require.NoError(t, err)
	require.Equal(t, "before{", string(b[:7]))
	back, err := Decode(b[6:])
	require.NoError(t, err)
	require.Equal(t, e, back)
	require.NoError(t, Validate(&e))
}

func TestAppendDoesNotAllocate(t *testing.T) {
	e := stop()
	b := make([]byte, 0, MaxSize)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := Append(b, &e); err != nil {
			t.Fatal(err)
		}
	}))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = Append(make([]byte, 0, 2048), &e) }), 2.0)
}

func TestManyLabelsCostOneAllocation(t *testing.T) {
	e := stop()
	for i := range 60 {
		e.Data.Labels["label-"+strconv.Itoa(i)] = "x"
	}
	b := make([]byte, 0, MaxSize)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = Append(b, &e) }), 2.0)
}

// plain is the same event for a JSON library.
func plain(e *Event) envelope {
	return envelope{SpecVersion: specVersion, DataContentType: dataType, Event: *e}
}

func BenchmarkEncode(b *testing.B) {
	e := stop()
	size, err := Append(nil, &e)
	require.NoError(b, err)
	run := func(name string, encode func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(size)))
			b.ReportAllocs()
			for b.Loop() {
				if err := encode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	buf := make([]byte, 0, MaxSize)
	run("append", func() error { _, err := Append(buf, &e); return err })
	run("json-v2", func() error { _, err := jsonv2.Marshal(plain(&e)); return err })
	run("encoding-json", func() error { _, err := json.Marshal(plain(&e)); return err })
	run("sdk", func() error {
		out := sdk.New()
		out.SetID(e.ID)
		out.SetSource(e.Source)
		out.SetType(string(e.Type))
		out.SetSubject(e.Subject)
		out.SetTime(e.Time)
		out.SetExtension("recordedtime", e.Recorded)
		out.SetExtension("partitionkey", e.PartitionKey)
		out.SetExtension("sequence", e.Sequence)
		out.SetExtension("severitynumber", int32(e.Severity))
		if err := out.SetData(dataType, e.Data); err != nil {
			return err
		}
		_, err := out.MarshalJSON()
		return err
	})
}

func BenchmarkDecode(b *testing.B) {
	e := stop()
	in, err := Append(nil, &e)
	require.NoError(b, err)
	header := map[string][]string{"Content-Type": {ContentType}, "Nats-Msg-Id": {e.ID}}
	run := func(name string, decode func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if err := decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("decode", func() error { _, err := Decode(in); return err })
	run("message", func() error { _, err := DecodeMessage(header, in); return err })
	run("encoding-json", func() error { var env envelope; return json.Unmarshal(in, &env) })
	run("sdk", func() error {
		var out sdk.Event
		if err := out.UnmarshalJSON(in); err != nil {
			return err
		}
		var data Data
		return out.DataAs(&data)
	})
}

func BenchmarkNATSSubject(b *testing.B) {
	e := stop()
	b.ReportAllocs()
	for b.Loop() {
		_ = NATSSubject(&e)
	}
}

func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = NewID("docker", "engine-7", "4f2c1d9b8a7e6f504132a1b2c3d4e5f60718293a4b5c6d7e8f901a2b3c4d5e6f", "die", "1793672047123456789")
	}
}
