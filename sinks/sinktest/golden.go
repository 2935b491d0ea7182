package sinktest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Golden renders every sample and compares the whole with the file; update writes the file instead.
func Golden(t *testing.T, file string, update bool, render func(*event.Event) string) {
	t.Helper()
	var b strings.Builder
	for _, s := range Samples() {
		b.WriteString("=== " + s.Name + " ===\n" + strings.TrimRight(render(&s.Event), "\n") + "\n\n")
	}
	if update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "write it with -update")
	assert.Equal(t, string(want), b.String(), "if this is meant, write it with -update")
}
