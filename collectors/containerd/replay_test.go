package containerd_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/containerd"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

var update = flag.Bool("update", false, "rewrite golden files")

func replay(t *testing.T, text string) []containerd.Result {
	t.Helper()
	results, err := containerd.Replay(strings.NewReader(text), containerd.ReplayOptions{Site: "test", Node: "n1"})
	require.NoError(t, err)
	return results
}

func recordings(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.jsonl")
	require.NoError(t, err)
	require.Greater(t, len(files), 18)
	return files
}

// TestRecordings plays every recording of a real containerd and compares what becomes of each record.
func TestRecordings(t *testing.T) {
	t.Parallel()
	for _, file := range recordings(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var got strings.Builder
			ids := map[string]bool{}
			for _, r := range replay(t, string(text)) {
				require.NoError(t, r.Err)
				fmt.Fprintf(&got, "%3d %s\n", r.Line, describe(r))
				if r.Event == nil {
					continue
				}
				require.NoError(t, event.Validate(r.Event))
				assert.False(t, ids[r.Event.ID], "line %d: id twice", r.Line)
				ids[r.Event.ID] = true
				_, err := event.Append(nil, r.Event)
				require.NoError(t, err)
			}
			golden := strings.TrimSuffix(file, ".jsonl") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got.String())
		})
	}
}

func describe(r containerd.Result) string {
	e := r.Event
	if e == nil {
		return "- " + r.Ignored
	}
	s := fmt.Sprintf("%s %s [%s] %s", e.Type.Event(), e.Subject[:strings.LastIndex(e.Subject, "/")], e.Severity, e.Data.Message)
	if c := e.Data.Cause; c != nil {
		s += fmt.Sprintf(" {%s %s by %s expected=%t rule=%s}", c.Class, c.Confidence, c.Initiator, c.Expected, c.Rule)
		for _, line := range c.Evidence {
			s += "\n      · " + line
		}
	}
	if e.Data.Supersedes != "" {
		s += "\n      amends"
	}
	return s
}

// TestClasses holds the causes of the recordings against what was done when they were made.
func TestClasses(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"containerd1.6-exec-pause-kill-restart":       "exit.sigkill exit.sigkill",
		"containerd1.6-exit-3":                        "exit.error",
		"containerd1.6-image-import":                  "",
		"containerd1.6-moby-exit-3":                   "exit.error",
		"containerd1.6-moby-exits-while-dockerd-down": "exit.error exit.error exit.error oom",
		"containerd1.6-moby-oom":                      "oom",
		"containerd1.6-moby-restart-on-failure":       "exit.error exit.error exit.error exit.error",
		"containerd1.6-oom":                           "oom",
		"containerd1.6-start-failed":                  "",
		"containerd1.7-exec-pause-kill-restart":       "exit.sigkill",
		"containerd1.7-exit-3":                        "exit.error",
		"containerd1.7-oom":                           "oom",
		"containerd2.4-exec-pause-kill-restart":       "exit.sigkill exit.sigkill",
		"containerd2.4-exit-3":                        "exit.error",
		"containerd2.4-image-import":                  "",
		"containerd2.4-k8s.io-pod":                    "exit.error oom exit.sigkill",
		"containerd2.4-oom":                           "oom",
		"containerd2.4-start-failed":                  "",
		"cri2.4-container-events":                     "exit.error oom exit.sigkill",
	}
	for _, file := range recordings(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var got []string
		for _, r := range replay(t, string(text)) {
			if r.Event != nil && r.Event.Type == event.TaskStopped {
				got = append(got, r.Event.Data.Cause.Class)
			}
		}
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		class, listed := want[name]
		require.True(t, listed, name)
		assert.Equal(t, class, strings.Join(got, " "), name)
	}
}

func TestRecordForms(t *testing.T) {
	t.Parallel()
	one := `{"timestamp":"2026-11-23T03:13:47Z","namespace":"a","topic":"/containers/create","event":{"id":"x","image":"i"}}`
	two := `{"timestamp":"2026-11-23T03:13:48Z","namespace":"a","topic":"/tasks/start","event":{"container_id":"x","pid":7}}`
	three := `{"timestamp":"2026-11-23T03:13:49Z","namespace":"a","topic":"/tasks/exit","event":{"container_id":"x","id":"x","pid":7,"exit_status":4294967295,"exited_at":"2026-11-23T03:13:49Z"}}`
	got := replay(t, "[\n"+one+",\n\n"+two+",\n"+three+"]")
	require.Len(t, got, 3)
	require.NotNil(t, got[2].Event)
	assert.Equal(t, int64(4294967295), *got[2].Event.Data.Task.Containers[0].ExitCode)
	assert.Equal(t, 5, got[2].Line)
	assert.Empty(t, replay(t, " \n"))

	bad := replay(t, strings.Join([]string{
		one, "not json password=hunter2", `{"a":1}`, `{"topic":"/tasks/oom","timestamp":"2026-11-23T03:13:48Z","event":{}}`,
		`{"topic":"/tasks/exit","timestamp":"hunter2"}`, `{"topic":"/tasks/exit","event":{"pid":"hunter2"}}`, `{"topic":"/tasks/exit","event":{}}`,
		`{"topic":"/shiny/new","timestamp":"2026-11-23T03:13:48Z","namespace":"a","event":{"x":1}}`,
		`{"type":"CONTAINER_NEW_EVENT","containerId":"y","createdAt":1,"pod":{"name":"p"},"containers":null}`,
		`{"type":"CONTAINER_STOPPED_EVENT","containerId":"y","createdAt":-1}`, two[:40], two,
	}, "\n"))
	require.Len(t, bad, 12)
	assert.NotNil(t, bad[0].Event)
	for i, want := range map[int]string{
		1: "not JSON", 2: "topic is missing", 3: "/tasks/oom without a container", 4: "not an event of containerd",
		5: "event.pid can't be string", 6: "timestamp is missing", 9: "createdAt", 10: "not JSON",
	} {
		require.ErrorContains(t, bad[i].Err, want)
		assert.NotContains(t, bad[i].Err.Error(), "hunter2")
	}
	assert.Equal(t, "/shiny/new is no transition", bad[7].Ignored)
	assert.NotEmpty(t, bad[8].Ignored)
	assert.Equal(t, event.TaskStarted, bad[11].Event.Type)

	_, err := containerd.Replay(iotest.ErrReader(errors.New("gone")), containerd.ReplayOptions{})
	require.ErrorContains(t, err, "read recording: gone")
}

func TestRecordedTellsItsOwn(t *testing.T) {
	t.Parallel()
	for _, file := range recordings(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		line, _, _ := bytes.Cut(text, []byte("\n"))
		assert.True(t, containerd.Recorded(line), file)
	}
	for _, other := range []string{"", "{}", "[]", `{"Type":"container","Action":"die"}`, `{"specversion":"1.0","type":"x"}`} {
		assert.False(t, containerd.Recorded([]byte(other)), other)
	}
}

func FuzzReplay(f *testing.F) {
	for _, name := range []string{"containerd1.6-oom", "containerd2.4-exec-pause-kill-restart", "cri2.4-container-events"} {
		text, err := os.ReadFile("testdata/" + name + ".jsonl")
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(text) { // short, or a worker is busy with making them so
			if len(line) < 400 {
				f.Add(line)
			}
		}
	}
	f.Add([]byte(`[{"topic":"/tasks/delete","timestamp":"2026-11-23T03:13:48Z","namespace":"a","event":{"container_id":"x","pid":4294967295}}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		results, err := containerd.Replay(bytes.NewReader(text), containerd.ReplayOptions{Site: "s", Node: "n"})
		require.NoError(t, err)
		for _, r := range results {
			ways := 0
			for _, is := range []bool{r.Event != nil, r.Ignored != "", r.Err != nil} {
				if is {
					ways++
				}
			}
			require.Equal(t, 1, ways, "line %d", r.Line)
			if r.Event != nil {
				_, err := event.Append(nil, r.Event)
				require.NoError(t, err)
			}
		}
	})
}
