package docker

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorded returns the lines of all recordings.
func recorded(tb testing.TB) [][]byte {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.jsonl")
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	var lines [][]byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(tb, err)
		for line := range bytes.Lines(text) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestRecordedEventsAreDecodedAsTheLibraryDoes(t *testing.T) {
	t.Parallel()
	for _, line := range recorded(t) {
		var got, want events.Message
		require.NoError(t, decodeMessage(line, &got))
		require.NoError(t, json.Unmarshal(line, &want))
		if !attributesRead(&want) {
			want.Actor.Attributes = nil
		}
		require.Equal(t, want, got)
	}
}

func TestDecodeMessage(t *testing.T) {
	t.Parallel()
	message := events.Message{
		Type: "container", Action: "die", Scope: "local", Time: 1700000000, TimeNano: 1700000000123456789,
		Actor: events.Actor{ID: "abc", Attributes: map[string]string{"name": "ä\n\"\\\U0001f600", "é": "", "exitCode": "137"}},
	}
	text, err := json.Marshal(message)
	require.NoError(t, err)
	big := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		text   string
		change func(*events.Message)
	}{
		"as it is":       {string(text), nil},
		"space":          {" " + strings.NewReplacer(`:`, " :\t", `,`, "\r\n,").Replace(string(text)) + "\n", nil},
		"unknown":        {`{"status":"die","x":[1,{"y":null}],"z":-1.5e3,` + string(text[1:]), nil},
		"null":           {strings.Replace(string(text), `"scope":"local"`, `"scope":null`, 1), func(m *events.Message) { m.Scope = "" }},
		"negative":       {strings.Replace(string(text), `"time":17`, `"time":-17`, 1), func(m *events.Message) { m.Time *= -1 }},
		"broken UTF-8":   {strings.Replace(string(text), `ä`, "\xff", 1), func(m *events.Message) { m.Actor.Attributes["name"] = "\ufffd\n\"\\\U0001f600" }},
		"lone surrogate": {strings.Replace(string(text), `ä`, `\ud800`, 1), func(m *events.Message) { m.Actor.Attributes["name"] = "\ufffd\n\"\\\U0001f600" }},
		"a megabyte":     {strings.Replace(string(text), `"137"`, `"`+big+`"`, 1), func(m *events.Message) { m.Actor.Attributes["exitCode"] = big }},
	} {
		want := message
		want.Actor.Attributes = map[string]string{"name": "ä\n\"\\\U0001f600", "é": "", "exitCode": "137"}
		if c.change != nil {
			c.change(&want)
		}
		var got events.Message
		require.NoError(t, decodeMessage([]byte(c.text), &got), name)
		assert.Equal(t, want, got, name)
	}

	var got events.Message
	require.NoError(t, decodeMessage([]byte(`{"Actor":null}`), &got))
	assert.Zero(t, got)
	rest, err := decodeNext([]byte(string(text)+" "+string(text)), &got)
	require.NoError(t, err)
	assert.Equal(t, string(text), string(rest))
	assert.Equal(t, "abc", got.Actor.ID)
}

func TestDecodeMessageRefusesNonsense(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                  "column 1: expected an object",
		`[]`:                                "column 1: expected an object",
		`"hunter2"`:                         "column 1: expected an object",
		`{"Type":"container"`:               "column 20: expected a comma or the end of the object",
		`{"Type":"container",}`:             "column 21: expected a text in quotes",
		`{"Type":"conta`:                    "column 10: expected the end of the text",
		`{"Type" "hunter2"}`:                "column 9: expected a colon",
		`{"Type":7}`:                        "column 9: expected a text in quotes",
		"{\"Type\":\"hunter2\t\"}":          "column 10: expected a text without bare control characters",
		`{"Type":"\hunter2"}`:               "column 10: expected a text without bare control characters",
		`{"Type":"é\`:                       "column 10: expected the end of the text",
		`{"time":1.5}`:                      "column 10: expected a comma or the end of the object",
		`{"time":01}`:                       "column 10: expected a number of 64 bits",
		`{"time":"1"}`:                      "column 9: expected a number",
		`{"timeNano":99223372036854775807}`: "column 31: expected a number of 64 bits",
		`{"Actor":[]}`:                      "column 10: expected an object",
		`{"x":[1,}`:                         "column 6: expected a value",
		`{"Actor":{"Attributes":{"hunter2":"1","hunter2":"2"}}}`: "expected no attribute twice",
		`{"Type":"container"}{"Type":"container"}`:               "column 21: expected the end of the event",
	} {
		var got events.Message
		err := decodeMessage([]byte(text), &got)
		require.ErrorContains(t, err, "not an event of a Docker daemon: ", text)
		require.ErrorContains(t, err, want, text)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// What is taken must be JSON and mean what the library says; what the library can't read is refused.
func FuzzDecodeMessage(f *testing.F) {
	for _, line := range recorded(f)[:20] {
		f.Add(line)
	}
	f.Add([]byte(`{"Type":null,"x":[{}],"Actor":{"ID":"\u00e9","Attributes":{"a":"\ud83d\ude00"}},"time":-1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var got events.Message
		if decodeMessage(text, &got) != nil {
			return
		}
		require.True(t, json.Valid(text))
		again, err := json.Marshal(got)
		require.NoError(t, err)
		var back events.Message
		require.NoError(t, decodeMessage(again, &back))
		require.Equal(t, got, back)
	})
}

func BenchmarkDecodeMessage(b *testing.B) {
	lines := recorded(b)
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	for name, decode := range map[string]func([]byte, *events.Message) error{
		"wire": decodeMessage, "library": func(line []byte, into *events.Message) error { return json.Unmarshal(line, into) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(size / len(lines)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				var m events.Message
				if err := decode(lines[i%len(lines)], &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
