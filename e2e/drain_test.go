package e2e_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// TestRestartOfTheProgram: whoever stops the program well and starts it again finds everything delivered
// at once, not when the stream has given up waiting for the old process.
func TestRestartOfTheProgram(t *testing.T) {
	d, x := stand.Docker(t), newIndex(t)
	p := newProgram(t, watches(d)+fmt.Sprintf("sinks: {search: {opensearch: {addresses: [%q], prefix: %q, refresh_interval: 100ms}}, screen: {console: {}}}\n", x.node.URL, x.prefix))
	for range 3 {
		p.up(t)
		d.Run(t, harness.RunSpec{Name: uniqueName("drain"), Cmd: sh("exit 3")})
		require.Zero(t, p.stop(t, syscall.SIGTERM))
	}
	p.up(t)
	begun := time.Now()
	js, err := jetstream.New(p.dial(t))
	require.NoError(t, err)
	eventually(t, 90*time.Second, "all is in the index", func() bool {
		stream, err := js.Stream(t.Context(), "BELLBUOY_EVENTS")
		return err == nil && x.count("*:*") >= int(stream.CachedInfo().State.Msgs)
	})
	took := time.Since(begun)
	t.Logf("all was in the index %s after the start", took.Round(time.Millisecond))
	assert.Less(t, took, 10*time.Second)
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}
