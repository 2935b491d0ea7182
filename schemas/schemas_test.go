package schemas_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

var update = flag.Bool("update", false, "write testdata/subjects.txt anew")

// The golden events are frozen: what this version writes must be, byte for byte, what they hold.
func TestGoldenEventsAreFrozen(t *testing.T) {
	check := schematest.New(t)
	for _, e := range schematest.Golden(t) {
		t.Run(string(e.Type), func(t *testing.T) {
			text, err := schemas.Example(string(e.Type))
			require.NoError(t, err)
			golden := jsontext.Value(bytes.Clone(text))
			require.NoError(t, golden.Compact())
			again, err := event.Append(nil, &e)
			require.NoError(t, err)
			require.Equal(t, string(golden), string(again))
			require.Equal(t, event.SeverityOf(&e), e.Severity)
			check.Event(e)
		})
	}
}

func TestSubjectsOfGoldenEventsAreFrozen(t *testing.T) {
	var got strings.Builder
	for _, e := range schematest.Golden(t) {
		fmt.Fprintf(&got, "%s %s\n", e.ID, event.NATSSubject(&e))
	}
	const path = "testdata/subjects.txt"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

func TestValidateNamesPlaceAndRule(t *testing.T) {
	v, err := schemas.New()
	require.NoError(t, err)
	text, err := schemas.Example("task.stopped")
	require.NoError(t, err)
	for name, c := range map[string]struct{ old, new, want string }{
		"a section is missing":   {`"cause"`, `"cause_"`, `at '/data': missing property 'cause'`},
		"a number is a string":   {`"exit_code": 3`, `"exit_code": "3"`, `at '/data/task/containers/0/exit_code': got string, want integer`},
		"no time":                {`"time": "2026-11-03T02:14:07.123456789Z"`, `"time": "yesterday"`, `at '/time'`},
		"an id of another shape": {`"id": "u2hd2cfx6hvmxkcn6qctkj2kildw5wsq"`, `"id": "7"`, `at '/id'`},
		"a schema of another":    {`task.stopped/1.0`, `task.started/1.0`, `at '/dataschema'`},
		"not JSON":               {`{`, `{{`, "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			err := v.Validate([]byte(strings.Replace(string(text), c.old, c.new, 1)))
			require.ErrorIs(t, err, event.ErrInvalid)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestValidateAcceptsWhatLaterVersionsAdd(t *testing.T) {
	v, err := schemas.New()
	require.NoError(t, err)
	text, err := schemas.Example("task.stopped")
	require.NoError(t, err)
	for name, c := range map[string]struct{ old, new string }{
		"a minor version":      {`task.stopped/1.0`, `task.stopped/1.7`},
		"a field of data":      {`"site":`, `"tenant": {"id": 7}, "site":`},
		"a field of a section": {`"rule":`, `"score": 0.5, "rule":`},
		"a value of an enum":   {`"runtime": "docker"`, `"runtime": "podman"`},
		"an attribute":         {`"specversion"`, `"expirytime": "2026-11-04T00:00:00Z", "specversion"`},
		"a type":               {`io.bellbuoy.task.stopped.v1`, `io.bellbuoy.volume.filled.v1`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(string(text), c.old, c.new, 1)
			require.NotEqual(t, string(text), changed)
			require.NoError(t, v.Validate([]byte(changed)))
			_, err := event.Decode([]byte(changed))
			require.NoError(t, err)
		})
	}
}

func TestShowNeedsNoOtherDocument(t *testing.T) {
	for _, name := range schemas.List() {
		text, err := schemas.Show(name)
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		c := jsonschema.NewCompiler() // with no loader for https
		require.NoError(t, c.AddResource("schema.json", doc))
		compiled, err := c.Compile("schema.json")
		require.NoError(t, err, name)
		if name == schemas.Envelope {
			continue
		}
		example, err := schemas.Example(name)
		require.NoError(t, err)
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(example))
		require.NoError(t, err)
		require.NoError(t, compiled.Validate(instance), name)
	}
	whole, err := schemas.Show(string(event.TaskStopped))
	require.NoError(t, err)
	require.Contains(t, string(whole), event.EnvelopeSchema)
	for _, name := range []string{"task.exploded", "", "../json/envelope", "golden"} {
		_, err = schemas.Show(name)
		require.ErrorIs(t, err, schemas.ErrUnknown)
	}
}

func TestVersionIsTheHighestOfTheTypes(t *testing.T) {
	major, minor := 0, 0
	for _, info := range event.Types() {
		major, minor = max(major, info.Major), max(minor, info.Minor)
	}
	require.Equal(t, fmt.Sprintf("%d.%d", major, minor), schemas.Version)
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := schemas.New(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	v, err := schemas.New()
	require.NoError(b, err)
	text, err := schemas.Example("task.stopped")
	require.NoError(b, err)
	for b.Loop() {
		if err := v.Validate(text); err != nil {
			b.Fatal(err)
		}
	}
}
