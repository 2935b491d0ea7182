package event

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func FuzzToken(f *testing.F) {
	for _, pair := range [][2]string{{"", "_"}, {"a.b", "a=2Eb"}, {" ", "*"}, {">", "é"}, {strings.Repeat("x", 4096), strings.Repeat("x", 4097)}, {strings.Repeat("é", 33), "\x00\xff"}} {
		f.Add(pair[0], pair[1])
	}
	valid := regexp.MustCompile(`^([A-Za-z0-9_-]|=[0-9A-F]{2})+(=h[a-z2-7]{13})?$`)
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, name := range []string{a, b} {
			token := Token(name)
			if !valid.MatchString(token) || len(token) > maxToken {
				t.Fatalf("Token(%q) = %q", name, token)
			}
		}
		if (a == b) != (Token(a) == Token(b)) {
			t.Fatalf("%q and %q have the tokens %q and %q", a, b, Token(a), Token(b))
		}
		if (a == b) != (SubjectOf(a, b, a) == SubjectOf(b, a, b)) {
			t.Fatalf("%q and %q have the same subject", a, b)
		}
		e := Event{Type: Type(a), PartitionKey: b, Data: Data{Site: a, Runtime: Runtime(b), Scope: a, Workload: b}}
		subject := NATSSubject(&e)
		if parts := strings.Split(subject, "."); len(parts) != 10 || len(subject) > 512 || strings.ContainsAny(subject, " *>\t\r\n") {
			t.Fatalf("subject %q", subject)
		}
	})
}

func FuzzAppend(f *testing.F) {
	f.Add("id", "shop/web/1", "web", "boom\n", int64(3), int64(1793672047123456789), uint16(1))
	f.Add("\xff", "\x00\u0085\uffff", "\"\\\u2028", strings.Repeat("é", 300), int64(-1)<<63, int64(-1)<<63, uint16(300))
	f.Add("", strings.Repeat("\x00", 400), "", "", int64(0), int64(0), uint16(0))
	f.Fuzz(func(t *testing.T, id, attribute, label, line string, number, nano int64, count uint16) {
		at := time.Unix(nano, number)
		e := Event{
			ID: id, Source: "s", Type: TaskStopped, Subject: attribute, PartitionKey: attribute, TraceParent: label,
			Time: time.Unix(0, nano), Recorded: at, Severity: Severity(number),
			Data: Data{
				Site: label, Labels: map[string]string{label: line, line: label, "a": "b"},
				Task: &Task{
					ID: line, Containers: []Container{{ExitCode: &number, OOMKilled: number > 0, HealthOutput: line}},
					Times: Times{Created: at}, Log: &Log{Lines: make([]string, count%1000)},
				},
				Cause: &Cause{Evidence: []string{line}},
			},
		}
		for i := range e.Data.Task.Log.Lines {
			e.Data.Task.Log.Lines[i] = line
		}
		stable(t, &e)
	})
}

// stable checks what Append promises: it fits, it can be read, and it is a fixed point.
func stable(t *testing.T, e *Event) {
	t.Helper()
	first, err := Append(nil, e)
	if err != nil {
		require.ErrorIs(t, err, ErrInvalid)
		return
	}
	if len(first) > MaxSize {
		t.Fatalf("%d bytes", len(first))
	}
	back, err := Decode(first)
	if err != nil {
		t.Fatalf("%v\n%s", err, first)
	}
	second, err := Append(nil, &back)
	if err != nil || string(first) != string(second) {
		t.Fatalf("%v\n%s\n%s", err, first, second)
	}
	if _, err := url.Parse(back.Source); err != nil {
		return // Validate refuses it, and so does the SDK
	}
	if _, err := ToSDK(back); err != nil {
		t.Fatalf("the SDK: %v\n%s", err, first)
	}
}

func FuzzDecode(f *testing.F) {
	e := stop()
	valid, err := Append(nil, &e)
	require.NoError(f, err)
	f.Add(valid)
	f.Add([]byte(minimal))
	f.Add([]byte(strings.Replace(minimal, "{", `{"data":null,"data_base64":"e30=","severitynumber":-1,`, 1)))
	f.Add([]byte(strings.Replace(minimal, "{", `{"data":{"labels":{"\ud83d\ude00":"\u0000"},"task":{"times":{"created":"0001-01-01T00:00:00Z"},"containers":[{}]}},`, 1)))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := Decode(in)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		stable(t, &e)
	})
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add("Content-Type", "application/cloudevents+json", "1.0", "%41%", []byte(minimal))
	f.Add("ce-type", "io.bellbuoy.task.stopped.v1", "1.0", "2026-11-03T02:00:00Z", []byte(`{"task":{},"cause":{}}`))
	f.Fuzz(func(t *testing.T, name, value, version, text string, body []byte) {
		e, err := DecodeMessage(map[string][]string{
			name: {value}, "Ce-SpecVersion": {version}, "ce-id": {text}, "ce-source": {text}, "ce-type": {"t"}, "ce-time": {text},
		}, body)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		stable(t, &e)
	})
}
