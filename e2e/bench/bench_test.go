package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain lets the test binary be the children of a bench, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && roles()[os.Args[1]] != nil {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// TestShort runs every case once. A run fails by itself when an event did not arrive exactly once.
func TestShort(t *testing.T) {
	var out, errOut bytes.Buffer
	require.Zero(t, run([]string{"-short"}, &out, &errOut), errOut.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var figures map[string]*float64
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &figures), out.String())
	assert.Len(t, figures, 25)
	for _, name := range []string{"rate_ratio", "cpu_ratio", "durable_ratio", "p99_ms_at_10k", "translate_ratio"} {
		require.NotNil(t, figures[name], out.String())
		assert.Positive(t, *figures[name], name)
	}
	for _, name := range []string{"idle_cpu_ms_min", "idle_calls_min", "mib_per_1000", "ecs_events_s", "ecs_strict_events_s", "classify_us", "reconcile_s", "reconcile_throttled"} {
		assert.NotNil(t, figures[name], name)
	}
	assert.Nil(t, figures["docker_p99_ms"], "-short leaves Docker out")
	assert.Nil(t, figures["snapshot_ms"], "-short leaves Docker out")
}

func TestRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{{"-only", "everything"}, {"-rounds", "0"}, {"path"}, {"-fast"}} {
		var out, errOut bytes.Buffer
		assert.Equal(t, 1, run(args, &out, &errOut), args)
		assert.Contains(t, errOut.String(), "bench:", args)
	}
}

func TestStubCountsTwicesAndMisses(t *testing.T) {
	s, err := startStub(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	body := strings.Repeat(`{"create":{"_index":"i","_id":"a"}}`+"\n{}\n", 2) + `{"create":{"_index":"i","_id":"b"}}` + "\n{}\n"
	res, err := s.client.Post(s.url+"/_bulk", "application/x-ndjson", strings.NewReader(body))
	require.NoError(t, err)
	defer res.Body.Close()
	var answer struct {
		Errors bool
		Items  []map[string]struct{ Status int }
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
	assert.Len(t, answer.Items, 3)
	require.ErrorContains(t, s.expect(t.Context(), 3), "3 documents of 3 events arrived, 2 different ones")
	require.NoError(t, s.expect(t.Context(), 0), "counting starts again")
}
