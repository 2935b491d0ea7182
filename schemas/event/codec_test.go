package event

import (
	"testing"
	"time"

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

func BenchmarkAppend(b *testing.B) {
	e := stop()
	buf := make([]byte, 0, MaxSize)
	out, _ := Append(buf, &e)
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Append(buf, &e)
	}
}

func BenchmarkDecode(b *testing.B) {
	e := stop()
	in, _ := Append(nil, &e)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(in); err != nil {
			b.Fatal(err)
		}
	}
}
