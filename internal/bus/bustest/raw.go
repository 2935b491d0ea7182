package bustest

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/natsserver"
)

// Raw stores a body that need not be an event, as a program that is not ours may do.
func Raw(t testing.TB, s *natsserver.Server, subject string, body []byte) {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s.Conn()))
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), subject, body)
	require.NoError(t, err)
}
