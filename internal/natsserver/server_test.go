package natsserver

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, s *Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s.Conn()))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func startServer(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	return s
}

func TestInProcessOnlyAndDurable(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		s := startServer(t, Options{Dir: dir, Strict: true})
		assert.Empty(t, s.ClientURL())
		require.NoError(t, s.Healthz())
		assert.Positive(t, s.MaxStore())

		nc := connect(t, s)
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		stream, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
		require.NoError(t, err)
		assert.EqualValues(t, i, stream.CachedInfo().State.Msgs, "what the last life acknowledged is there")
		_, err = js.Publish(t.Context(), "s", []byte("x"))
		require.NoError(t, err)
		nc.Close()
		s.Shutdown()
	}
}

func TestListens(t *testing.T) {
	s := startServer(t, Options{Listen: "127.0.0.1:0"})
	require.NotEmpty(t, s.ClientURL())
	nc, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	assert.Equal(t, 1, s.remoteClients())

	began := time.Now()
	s.Shutdown() // a remote client is there: it is told to go before the end
	assert.Less(t, time.Since(began), 3*lameDuck)
	require.Error(t, s.Healthz())
}

func TestStartErrorsSayWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	held := startServer(t, Options{})
	defer held.Shutdown()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	newer := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(newer, markerFile), []byte(`{"api_level":99,"server":"9.1.0"}`), 0o600))
	damaged := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(damaged, markerFile), []byte(`{`), 0o600))

	for name, tc := range map[string]struct {
		o    Options
		want []string
	}{
		"port taken":  {Options{Dir: t.TempDir(), Listen: taken.Addr().String()}, []string{taken.Addr().String(), "nats.embedded.listen", "off"}},
		"no address":  {Options{Dir: t.TempDir(), Listen: "4222"}, []string{`"4222"`, "nats.embedded.listen", "127.0.0.1:4222"}},
		"foreign":     {Options{Dir: t.TempDir(), Listen: "192.0.2.1:4222"}, []string{"192.0.2.1:4222", "nats.embedded.listen"}},
		"locked":      {Options{Dir: held.dir}, []string{"in use by another process", "data_dir"}},
		"no folder":   {Options{}, []string{"data_dir"}},
		"not a dir":   {Options{Dir: file}, []string{"data_dir", file}},
		"newer store": {Options{Dir: newer}, []string{"9.1.0", "level 99", "backup"}},
		"damaged":     {Options{Dir: damaged}, []string{markerFile}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), tc.o)
			require.Error(t, err)
			for _, want := range tc.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

func TestStartEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Options{Dir: t.TempDir()})
	require.ErrorIs(t, err, context.Canceled)
}
