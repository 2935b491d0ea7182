package docker_test

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

	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

var update = flag.Bool("update", false, "rewrite golden files")

func replay(t *testing.T, text string, change ...func(*docker.ReplayOptions)) []docker.Result {
	t.Helper()
	o := docker.ReplayOptions{Site: "test", Node: "n1"}
	for _, c := range change {
		c(&o)
	}
	results, err := docker.Replay(strings.NewReader(text), o)
	require.NoError(t, err)
	return results
}

// TestRecordings plays every recording of a real daemon and compares what becomes of each record.
func TestRecordings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.jsonl")
	require.NoError(t, err)
	require.Greater(t, len(files), 30)
	for _, file := range files {
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
				enc, err := event.Append(nil, r.Event)
				require.NoError(t, err)
				assert.NotContains(t, string(enc), "abc123", "a command line got through")
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

func describe(r docker.Result) string {
	e := r.Event
	if e == nil {
		return "- " + r.Ignored
	}
	s := fmt.Sprintf("%s [%s] %s", e.Type.Event(), e.Severity, e.Data.Message)
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
	for file, want := range map[string]string{
		"docker20.10-daemon-sigterm":                            "host.shutdown host.shutdown host.shutdown",
		"docker20.10-exec-noise":                                "user.remove",
		"docker20.10-exit-0":                                    "exit.ok",
		"docker20.10-exit-3":                                    "exit.error",
		"docker20.10-health-timeout":                            "health.container",
		"docker20.10-health-transitions":                        "health.container user.remove",
		"docker20.10-kill":                                      "user.kill",
		"docker20.10-kill-signals-then-rm-f":                    "user.remove",
		"docker20.10-label-spoofs-exitcode-pause-rename-update": "user.remove",
		"docker20.10-oom":                                       "oom",
		"docker20.10-oom-child-survives":                        "exit.ok",
		"docker20.10-oom-missed":                                "exit.sigkill",
		"docker20.10-restart":                                   "user.stop",
		"docker20.10-restart-always-backoff-then-stop":          "exit.error exit.error exit.error exit.error exit.error exit.error",
		"docker20.10-restart-on-failure-3":                      "exit.error exit.error exit.error exit.error",
		"docker20.10-rm-auto":                                   "exit.error",
		"docker20.10-start-failed-126":                          "start.error",
		"docker20.10-start-failed-127":                          "start.error",
		"docker20.10-start-failed-port":                         "start.error",
		"docker20.10-stop-graceful":                             "user.stop",
		"docker20.10-stop-timeout":                              "user.stop",
		"docker20.10-unless-stopped-kill-then-external-sigkill": "user.kill exit.sigkill",
		"docker29-daemon-sigterm":                               "host.shutdown host.shutdown",
		"docker29-exit-3":                                       "exit.error",
		"docker29-health-transitions":                           "health.container",
		"docker29-kill-label-spoofs-exitcode":                   "user.kill",
		"docker29-oom":                                          "oom",
		"docker29-oom-after-die":                                "oom",
		"docker29-restart":                                      "user.stop",
		"docker29-restart-on-failure-2":                         "exit.error exit.error exit.error",
		"docker29-rm-auto":                                      "exit.error",
		"docker29-start-failed-127":                             "start.error",
		"docker29-stop-timeout":                                 "user.stop",
		"docker29-swarm-service-task-restarts":                  "exit.error exit.error exit.error",
		// Podman keeps no record of a stop, of a restart by hand and of memory that ran out.
		"podman4.3-mixed": "exit.error exit.sigkill user.kill exit.sigkill exit.error exit.sigkill exit.sigkill exit.error exit.error exit.error start.error",
	} {
		text, err := os.ReadFile(filepath.Join("testdata", file+".jsonl"))
		require.NoError(t, err)
		var got []string
		at := map[string]int{}
		for _, r := range replay(t, string(text)) {
			if r.Event == nil || r.Event.Type != event.TaskStopped {
				continue
			}
			if first := r.Event.Data.Supersedes; first != "" {
				got[at[first]] = r.Event.Data.Cause.Class
				continue
			}
			at[r.Event.ID] = len(got)
			got = append(got, r.Event.Data.Cause.Class)
		}
		assert.Equal(t, want, strings.Join(got, " "), file)
	}
}

func TestForgedExitCodeIsNotBelieved(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/docker29-kill-label-spoofs-exitcode.jsonl")
	require.NoError(t, err)
	for _, r := range replay(t, string(text)) {
		if r.Event != nil && r.Event.Type == event.TaskStopped {
			assert.Nil(t, r.Event.Data.Task.Containers[0].ExitCode)
		}
	}
	die := `{"Type":"container","Action":"die","Actor":{"ID":"abc","Attributes":{"exitCode":"3","name":"x"}},"timeNano":1700000000000000000}`
	alone := replay(t, die)
	require.Len(t, alone, 1)
	assert.Equal(t, event.Likely, alone[0].Event.Data.Cause.Confidence)
	assert.Contains(t, alone[0].Event.Data.Cause.Evidence, "exit code 3, as the event says")
}

func TestRecordForms(t *testing.T) {
	t.Parallel()
	one := `{"Type":"container","Action":"create","Actor":{"ID":"abc","Attributes":{"name":"x","image":"i"}},"timeNano":1700000000000000000}`
	two := strings.Replace(one, `"create"`, `"pause"`, 1)
	for name, text := range map[string]string{
		"one a line": one + "\n\n" + two + "\n", "array": "[\n" + one + ",\n\n" + two + "\n]",
	} {
		got := replay(t, text)
		require.Len(t, got, 2, name)
		assert.NotNil(t, got[1].Event, name)
		assert.Greater(t, got[1].Line, got[0].Line+1, name)
	}
	assert.Len(t, replay(t, "\n "+strings.ReplaceAll(one, ",", ",\n")), 1)
	assert.Empty(t, replay(t, " \n"))

	bad := replay(t, one+"\nnot json password=hunter2\n{\"a\":1}\n[1]\n"+two)
	require.Len(t, bad, 5)
	assert.NotNil(t, bad[0].Event)
	require.ErrorContains(t, bad[1].Err, "not JSON")
	assert.NotContains(t, bad[1].Err.Error(), "hunter2")
	require.ErrorContains(t, bad[2].Err, "Type or Action is missing")
	require.ErrorContains(t, bad[3].Err, "must be an object")
	assert.NotNil(t, bad[4].Event)

	odd := replay(t, `{"Type":"container","Action":"prune","Actor":{"ID":"","Attributes":{"reclaimed":"0"}},"timeNano":1700000000000000000}`+
		"\n"+strings.Replace(one, `"abc"`, `""`, 1))
	require.Len(t, odd, 2)
	assert.Equal(t, "prune is no transition", odd[0].Ignored)
	require.ErrorContains(t, odd[1].Err, "Actor.ID is missing")

	cut := replay(t, "["+one+",{\"Type\":")
	require.Len(t, cut, 2)
	require.Error(t, cut[1].Err)

	_, err := docker.Replay(iotest.ErrReader(errors.New("gone")), docker.ReplayOptions{})
	require.ErrorContains(t, err, "read recording: gone")
}

func TestReplayIsDeterministic(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/docker20.10-restart-on-failure-3.jsonl")
	require.NoError(t, err)
	a, b := replay(t, string(text)), replay(t, string(text))
	for i := range a {
		if a[i].Event != nil {
			assert.Equal(t, a[i].Event.ID, b[i].Event.ID)
		}
	}
}

func FuzzReplay(f *testing.F) {
	for _, name := range []string{"docker20.10-oom", "docker29-stop-timeout", "docker20.10-rm-auto"} {
		text, err := os.ReadFile("testdata/" + name + ".jsonl")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`[{"Type":"container","Action":"kill","Actor":{"ID":"a","Attributes":{"signal":"9"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		results, err := docker.Replay(bytes.NewReader(text), docker.ReplayOptions{Site: "s", Node: "n"})
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

// Where a recording ends with a stop of all, the daemon may have gone down; that it has is the caller's to
// know.
func TestRecordingThatEndsWithAShutdown(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/docker20.10-daemon-sigterm.jsonl")
	require.NoError(t, err)
	last := func(text string, ended bool) (class string, confidence event.Confidence) {
		for _, r := range replay(t, text, func(o *docker.ReplayOptions) { o.Ended = ended }) {
			if r.Event != nil && r.Event.Type == event.TaskStopped {
				class, confidence = r.Event.Data.Cause.Class, r.Event.Data.Cause.Confidence
			}
		}
		return class, confidence
	}
	for name, c := range map[string]struct {
		text       string
		ended      bool
		class      string
		confidence event.Confidence
	}{
		"known":          {string(text), true, "host.shutdown", event.Likely},
		"guessed":        {string(text), false, "host.shutdown", event.Guess},
		"others go on":   {string(text) + other("start"), false, "user.stop", event.Likely},
		"one came later": {string(text) + other("create"), false, "user.stop", event.Likely},
	} {
		class, confidence := last(c.text, c.ended)
		assert.Equal(t, []any{c.class, c.confidence}, []any{class, confidence}, name)
	}
}

func other(action string) string {
	return `{"Type":"container","Action":"` + action + `","Actor":{"ID":"other","Attributes":{"name":"x"}},"timeNano":1900000000000000000}` + "\n"
}
