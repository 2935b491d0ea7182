package docker

import (
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func TestWhatProbesSaid(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Date(2026, 11, 3, 2, 14, s, 5, time.FixedZone("CET", 3600)) }
	long := strings.Repeat("x", 5000)
	p := probesOf(&container.Health{FailingStreak: 4, Log: []*container.HealthcheckResult{
		{End: at(0), ExitCode: 1, Output: "too old"},
		{End: at(1), ExitCode: 1, Output: long + "\nmore"},
		nil,
		{End: at(2), ExitCode: 0, Output: "fine"},
		{End: at(3), ExitCode: -1, Output: "Health check exceeded timeout (1s)"},
		{End: at(4), ExitCode: 22, Output: "curl: password=hunter2\x1b[31m\nHTTP 503\n"},
	}})
	require.Len(t, p.log, 3)
	assert.Equal(t, int64(4), p.failures)
	assert.Equal(t, "curl: password=[redacted]\nHTTP 503", p.output)
	assert.True(t, strings.HasPrefix(p.log[0], "2026-11-03T01:14:01Z exit code 1: xxx"))
	assert.Less(t, len(p.log[0]), 300)
	assert.Equal(t, "2026-11-03T01:14:03Z no exit code: Health check exceeded timeout (1s)", p.log[1])
	assert.Equal(t, "2026-11-03T01:14:04Z exit code 22: curl: password=[redacted]", p.log[2])
	assert.Equal(t, probes{}, probesOf(&container.Health{}))
	assert.Equal(t, []string{"2026-11-03T01:14:00Z exit code 1"}, probesOf(&container.Health{Log: []*container.HealthcheckResult{{End: at(0), ExitCode: 1}}}).log)
}

func TestUnhealthyTellsItsProbes(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.send("a", "start", s.running("no", 0))
	s.after(30 * time.Second)
	f := s.running("no", 0)
	f.started, f.probes = s.at-int64(30*time.Second), probes{failures: 3, output: "refused", log: []string{"one", "two"}}
	sick := s.send("a", "health_status: unhealthy", f)
	require.Len(t, sick, 1)
	assert.Equal(t, event.TaskUnhealthy, sick[0].Type)
	assert.Equal(t, "web is unhealthy: its health probe failed 3 times in a row", sick[0].Data.Message)
	s.after(time.Second)
	s.send("a", "kill", nil, "signal", "15")
	stop := s.stopped(s.send("a", "die", nil, "exitCode", "0"))
	for _, e := range []event.Event{sick[0], stop} {
		only := e.Data.Task.Containers[0]
		assert.Equal(t, []any{"unhealthy", int64(3), "refused", []string{"one", "two"}}, []any{only.Health, only.HealthFailures, only.HealthOutput, only.HealthLog})
	}
	assert.Equal(t, "health.container", stop.Data.Cause.Class)
	s.send("a", "start", s.running("no", 0))
	again := s.stopped(s.send("a", "die", nil, "exitCode", "1"))
	assert.Empty(t, again.Data.Task.Containers[0].HealthLog)
}
