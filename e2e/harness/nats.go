package harness

import (
	"context"
	"testing"

	"github.com/bellbuoy/bellbuoy/e2e/process"
)

// NATS is an external nats-server with JetStream. Its store survives Stop, Kill and Start.
type NATS struct {
	*server
	URL string
}

// NATS starts a server of the test's own. Config is more text for its configuration file, such as
// `authorization {user: u, password: p}`, and may be empty.
func (s *Stand) NATS(t testing.TB, config string) *NATS {
	t.Helper()
	kit, dir, err := s.open("nats")
	s.must(t, err)
	found, err := kit.NATS()
	s.must(t, err)
	n, err := newServer(dir, func(ctx context.Context, dir string, port int) (*process.Process, int, error) {
		return found.Start(ctx, dir, port, config)
	})
	s.must(t, err)
	t.Cleanup(func() { n.Stop(t) })
	return &NATS{server: n, URL: "nats://" + n.address()}
}
