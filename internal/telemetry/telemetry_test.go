package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLoggerWritesJSONOffATerminal(t *testing.T) {
	var out bytes.Buffer
	l := Logger(&out, slog.LevelInfo)
	l.Debug("not shown")
	l.Info("route ready", "route", "page")

	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	assert.Equal(t, "route ready", line["msg"])
	assert.Equal(t, "page", line["route"])
}

func TestRegistryTellsOfTheProcess(t *testing.T) {
	families, err := Registry().Gather()
	require.NoError(t, err)
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	assert.True(t, names["process_resident_memory_bytes"])
	assert.True(t, names["go_goroutines"])
}
