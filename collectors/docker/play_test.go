package docker_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/docker"
)

func TestPlayTellsWhatReplayTells(t *testing.T) {
	long := `{"Type":"volume","Action":"create","Actor":{"ID":"v","Attributes":{"note":"` + strings.Repeat("x", 200<<10) + `"}},"timeNano":1}` + "\n"
	files, err := filepath.Glob("testdata/*.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		text = append([]byte(long+"{\n\n"), text...)
		want, err := docker.Replay(bytes.NewReader(text), docker.ReplayOptions{Site: "s", Node: "n", Ended: true})
		require.NoError(t, err)
		var got []docker.Result
		require.NoError(t, docker.Play(bytes.NewReader(text), docker.ReplayOptions{Site: "s", Node: "n", Ended: true}, func(r docker.Result) error {
			got = append(got, r)
			return nil
		}))
		slices.SortStableFunc(got, func(a, b docker.Result) int { return a.Line - b.Line })
		require.Equal(t, brief(want), brief(got), file)
	}
}

// brief leaves out when a result was made.
func brief(results []docker.Result) []string {
	lines := make([]string, len(results))
	for i, r := range results {
		lines[i] = fmt.Sprintf("%d %q", r.Line, r.Ignored)
		if r.Event != nil {
			lines[i] += string(r.Event.Type) + " " + r.Event.ID + " " + r.Event.Data.Message
		}
		if r.Err != nil {
			lines[i] += "can't be read"
		}
	}
	return lines
}
