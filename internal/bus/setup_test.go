package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/bus/bustest"
	"github.com/bellbuoy/bellbuoy/internal/natsserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// raw is a client beside the bus, for what an operator or a fault would do.
func raw(t testing.TB, s *natsserver.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s.Conn()))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func configs(t *testing.T, js jetstream.JetStream) map[string]jetstream.StreamConfig {
	t.Helper()
	out := map[string]jetstream.StreamConfig{}
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		out[info.Config.Name] = info.Config
	}
	require.NoError(t, list.Err())
	return out
}

func TestSetupMakesEverythingOnce(t *testing.T) {
	s := bustest.Server(t, natsserver.Options{})
	b := bustest.Connect(t, bus.Options{Server: s})
	js := raw(t, s)
	first := configs(t, js)
	assert.ElementsMatch(t, []string{
		"BELLBUOY_EVENTS", "BELLBUOY_DLQ", "BELLBUOY_ADVISORY", "KV_BELLBUOY_STATE", "KV_BELLBUOY_INCIDENTS",
		"KV_BELLBUOY_ACTIONS", "KV_BELLBUOY_SILENCES", "KV_BELLBUOY_CURSORS", "KV_BELLBUOY_VERSIONS",
	}, keys(first))

	events := first["BELLBUOY_EVENTS"]
	assert.Equal(t, []string{"bellbuoy.events.v1.>", "bellbuoy.retry.v1.>"}, events.Subjects)
	assert.Equal(t, 7*24*time.Hour, events.MaxAge)
	assert.Equal(t, 10*time.Minute, events.Duplicates)
	assert.Equal(t, jetstream.DiscardOld, events.Discard)
	assert.Positive(t, events.MaxBytes)
	assert.LessOrEqual(t, events.MaxBytes, s.MaxStore()/2)
	assert.True(t, events.AllowDirect && events.AllowAtomicPublish && events.AllowBatchPublish)
	assert.False(t, events.AllowRollup || events.AllowMsgTTL || events.AllowMsgSchedules || events.AllowMsgCounter)

	require.NoError(t, b.Setup(t.Context()))
	assert.Equal(t, first, configs(t, js), "a second Setup changes nothing")
	check, err := bus.Connect(t.Context(), bus.Options{Server: s, Manage: bus.Check})
	require.NoError(t, err)
	defer check.Close()
	require.NoError(t, check.Setup(t.Context()))
}

func keys[V any](m map[string]V) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

func TestSetupRaisesWhatIsSafeAndReportsDrift(t *testing.T) {
	s := bustest.Server(t, natsserver.Options{})
	js := raw(t, s)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{ // an older or a hand-made one
		Name: bus.EventsStream, Subjects: []string{"bellbuoy.events.v1.>"}, MaxAge: time.Hour, MaxBytes: 1 << 20,
		Storage: jetstream.MemoryStorage, AllowRollup: true,
	})
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: bus.DLQStream, Subjects: []string{"bellbuoy.dlq.v1.>"}, MaxAge: 365 * 24 * time.Hour, Duplicates: time.Hour,
		AllowDirect: true, Storage: jetstream.FileStorage,
	})
	require.NoError(t, err)

	check, err := bus.Connect(t.Context(), bus.Options{Server: s, Manage: bus.Check})
	require.NoError(t, err)
	defer check.Close()
	var drift *bus.DriftError
	require.ErrorAs(t, check.Setup(t.Context()), &drift)
	assert.Contains(t, drift.Drifts, bus.Drift{Asset: "BELLBUOY_ADVISORY", Have: "missing"})
	assert.Len(t, configs(t, js), 2, "check makes nothing")

	b, err := bus.Connect(t.Context(), bus.Options{Server: s})
	require.NoError(t, err)
	defer b.Close()
	require.ErrorAs(t, b.Setup(t.Context()), &drift)
	assert.Equal(t, []bus.Drift{
		{Asset: bus.EventsStream, Field: "storage", Have: "memory", Want: "file"},
		{Asset: bus.EventsStream, Field: "allow_rollup_hdrs", Have: "true", Want: "false"},
	}, drift.Drifts)
	require.ErrorContains(t, drift, "BELLBUOY_EVENTS: allow_rollup_hdrs is true, must be false")
	got := configs(t, js)
	assert.Len(t, got, 9, "the rest was made all the same")
	assert.Equal(t, 7*24*time.Hour, got[bus.EventsStream].MaxAge)
	assert.Contains(t, got[bus.EventsStream].Subjects, "bellbuoy.retry.v1.>")
	assert.True(t, got[bus.EventsStream].AllowAtomicPublish)
	assert.EqualValues(t, 1<<20, got[bus.EventsStream].MaxBytes, "the size is the operator's")
	assert.Equal(t, 365*24*time.Hour, got[bus.DLQStream].MaxAge, "what an operator raised is kept")

	off, err := bus.Connect(t.Context(), bus.Options{Server: s, Manage: bus.Off})
	require.NoError(t, err)
	defer off.Close()
	require.NoError(t, off.Setup(t.Context()))
}

func TestSetupFitsTheStore(t *testing.T) {
	s := bustest.Server(t, natsserver.Options{MaxStore: 256 << 20})
	bustest.Connect(t, bus.Options{Server: s})
	got := configs(t, raw(t, s))
	assert.EqualValues(t, 128<<20, got[bus.EventsStream].MaxBytes)

	// A server by URL does not say how much it has: the reservation is halved until it fits.
	remote := bustest.Server(t, natsserver.Options{MaxStore: 1 << 30, Listen: "127.0.0.1:0"})
	bustest.Connect(t, bus.Options{URL: remote.ClientURL()})
	got = configs(t, raw(t, remote))
	assert.EqualValues(t, 10<<30>>4, got[bus.EventsStream].MaxBytes)
}
