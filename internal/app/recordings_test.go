package app

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

var update = flag.Bool("update", false, "write the golden files")

// TestRecordings explains every recorded stream of a daemon that the collectors' tests have. The golden
// table was read line by line against what was done to the containers, which the files are named after.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("../../collectors/*/testdata/*.jsonl")
	require.NoError(t, err)
	require.Greater(t, len(files), 50, "recordings of every runtime")
	p := &Program{Config: config.Default(), Err: io.Discard}
	table := "file | stop of | class | confidence | expected | by | row | what was said\n"
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var out bytes.Buffer
		p.Out = &out
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		require.NoError(t, p.Explain(t.Context(), []Recording{{name, bytes.NewReader(text)}}, ExplainOptions{Output: "ndjson"}))
		table += tableOf(t, name, out.Bytes())
	}
	const golden = "testdata/recordings.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(table), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), table)
}

// tableOf is a line for each stop, and one that counts all events of the file.
func tableOf(t *testing.T, file string, lines []byte) string {
	var b strings.Builder
	counts := map[string]int{}
	for line := range bytes.Lines(lines) {
		var l struct {
			Event   json.RawMessage `json:"event"`
			Ignored string          `json:"ignored"`
			Error   string          `json:"error"`
		}
		require.NoError(t, json.Unmarshal(line, &l))
		require.Empty(t, l.Error, file)
		if l.Event == nil {
			require.NotEmpty(t, l.Ignored, file)
			counts["ignored"]++
			continue
		}
		e, err := event.Decode(l.Event)
		require.NoError(t, err, file)
		counts[e.Type.Event()]++
		if c := e.Data.Cause; c != nil {
			again := ""
			if e.Data.Supersedes != "" {
				again = "; amends"
			}
			fmt.Fprintf(&b, "%s | %s | %s | %s | %s | %s | %s | %s%s\n", file, e.Data.Workload, c.Class, c.Confidence,
				map[bool]string{true: "yes", false: "no"}[c.Expected], c.Initiator, c.Rule, c.Say, again)
		}
	}
	var all []string
	for name, n := range counts {
		all = append(all, fmt.Sprintf("%d %s", n, name))
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(a[strings.Index(a, " "):], b[strings.Index(b, " "):]) })
	fmt.Fprintf(&b, "%s: %s\n", file, strings.Join(all, ", "))
	return b.String()
}
