package e2e_test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// onStream is as much of an event as the test of two collectors asks for.
type onStream struct {
	Type string `json:"type"`
	Data struct {
		Site       string `json:"site"`
		Message    string `json:"message"`
		Supersedes string `json:"supersedes"`
		Task       struct {
			Name string `json:"name"`
		} `json:"task"`
		Collector struct {
			Name, Peer, Reason string
			To                 string
		} `json:"collector"`
	} `json:"data"`
}

// keptBy returns the events of a site that the stream has kept.
func keptBy(t *testing.T, js jetstream.JetStream, site string) []onStream {
	t.Helper()
	stream, err := js.Stream(t.Context(), "BELLBUOY_EVENTS")
	require.NoError(t, err)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	var kept []onStream
	for seq := info.State.FirstSeq; seq > 0 && seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		var e onStream
		require.NoError(t, json.Unmarshal(m.Data, &e))
		if e.Data.Site == site {
			kept = append(kept, e)
		}
	}
	return kept
}

// TestDockerTwoCollectors: two programs watch one daemon. The stream keeps each event once, and one event
// names the two; when one goes, another says so.
func TestDockerTwoCollectors(t *testing.T) {
	d, n := stand.Docker(t), stand.NATS(t, "")
	const site = "pair"
	collector := func(node string) *program {
		return newProgram(t, "site: "+site+"\nnode: "+node+"\nhttp: {listen: \"off\"}\nnats: {url: \""+n.URL+"\"}\ncollectors: [{docker: {host: \""+d.Host+"\"}}]\n")
	}
	one, two := collector("left"), collector("right")
	require.NoError(t, one.start("collect"))
	require.NoError(t, two.start("collect"))
	eventually(t, time.Minute, "both greet", func() bool {
		return strings.Contains(one.out.String(), "next: ") && strings.Contains(two.out.String(), "next: ")
	})
	conn, err := nats.Connect(n.URL)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	of := func(typ string, keep func(onStream) bool) (found []onStream) {
		for _, e := range keptBy(t, js, site) {
			if e.Type == "io.bellbuoy."+typ+".v1" && keep(e) {
				found = append(found, e)
			}
		}
		return found
	}
	names := []string{uniqueName("pair"), uniqueName("pair"), uniqueName("pair")}
	for _, name := range names {
		d.Run(t, harness.RunSpec{Name: name, Cmd: sh("exit 3")})
	}
	conflicts := func() []onStream { return of("collector.conflict", func(onStream) bool { return true }) }
	eventually(t, time.Minute, "the conflict is told", func() bool { return len(conflicts()) > 0 })
	for _, name := range names {
		for _, typ := range []string{"task.created", "task.started", "task.stopped"} {
			assert.Len(t, of(typ, func(e onStream) bool { return e.Data.Task.Name == name }), 1, "%s of %s", typ, name)
		}
	}
	told := conflicts()[0]
	assert.Contains(t, told.Data.Message, "docker on left")
	assert.Contains(t, told.Data.Message, "docker on right")
	require.Equal(t, 0, two.stop(t, syscall.SIGTERM))
	eventually(t, time.Minute, "the end of the conflict is told", func() bool { return len(conflicts()) > 1 })
	over := conflicts()
	require.Len(t, over, 2, "one event of both sides")
	assert.Contains(t, over[1].Data.Message, " no longer watch the same runtime")
	assert.NotEmpty(t, over[1].Data.Supersedes)
}
