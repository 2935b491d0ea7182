package app

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
)

func TestQuarantinedMessagesAreShownAndNeverRedriven(t *testing.T) {
	ctx := t.Context()
	server := bustest.Server(t, natsserver.Options{Listen: "127.0.0.1:0"})
	b := bustest.Connect(t, bus.Options{Server: server})
	cfg := config.Default()
	cfg.NATS.URL = server.ClientURL()
	var out bytes.Buffer
	p := &Program{Config: cfg, Out: &out}
	require.NoError(t, b.DeadLetters().Quarantine(ctx, bus.Letter{
		Collector: "ecs-2", Source: "https://sqs.eu-west-1.amazonaws.com/123456789012/events", ID: "m-1",
		Class: "transformed", Reason: "an input transformer removed the envelope", Body: []byte(`{"x":1}`),
	}))
	require.NoError(t, p.ListDeadLetters(ctx, "text"))
	assert.Regexp(t, `^ +1  \S+ \S+  ecs-2 +transformed +an input transformer removed the envelope\n$`, out.String())

	out.Reset()
	require.NoError(t, p.ShowDeadLetter(ctx, 1))
	var shown map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &shown))
	assert.Equal(t, map[string]any{"x": 1.0}, shown["body"])
	assert.Equal(t, "m-1", shown["message_id"])
	assert.Equal(t, "https://sqs.eu-west-1.amazonaws.com/123456789012/events", shown["source"])
	assert.NotContains(t, shown, "event")

	require.ErrorContains(t, p.RedriveDeadLetters(ctx, 1), "never was an event")
	out.Reset()
	require.NoError(t, p.RedriveDeadLetters(ctx, 0))
	assert.Equal(t, "1 quarantined message left: no route could take what never was an event\n0 redriven\n", out.String())
	out.Reset()
	require.NoError(t, p.DropDeadLetters(ctx, 0))
	assert.Equal(t, "1 dropped\n", out.String())
}
