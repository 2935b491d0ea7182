package e2e_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReload reads the config again on SIGHUP: a fault is told and changes nothing, a sound one is used.
func TestReload(t *testing.T) {
	p := newProgram(t, watches(stand.Docker(t)))
	p.up(t)
	sound, err := os.ReadFile(p.config)
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(p.config, append(sound, []byte("sinsk: {}\n")...), 0o600))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	eventually(t, within, "the fault is told", func() bool { return strings.Contains(p.err.String(), `unknown key "sinsk"; did you mean "sinks"?`) })
	assert.Contains(t, p.err.String(), "the new config is not used")
	p.alive(t)
	assert.Equal(t, 1, strings.Count(p.out.String(), "next: "), "the old config goes on")

	require.NoError(t, os.WriteFile(p.config, append(sound, []byte("sinks: {healer: {restart: {}}}\n")...), 0o600))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	eventually(t, time.Minute, "the new config is used", func() bool { return strings.Contains(p.out.String(), "restarts: healer looks after") })
	status, text := p.ready(t)
	assert.Equal(t, 200, status, text)
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}
