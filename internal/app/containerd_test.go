package app

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/config"
)

func TestExplainTellsTheRuntimeFromTheRecords(t *testing.T) {
	t.Parallel()
	const exit = `{"timestamp":"2026-11-23T03:13:49Z","namespace":"shop","topic":"/tasks/exit","event":{"containerId":"web","id":"web","pid":7,"exitStatus":3,"exitedAt":"2026-11-23T03:13:49Z"}}`
	for name, tt := range map[string]struct{ text, runtime, want string }{
		"told":              {exit, "", `"runtime":"containerd"`},
		"behind a cut line": {exit[20:] + "\n" + exit, "", `"runtime":"containerd"`},
		"named":             {exit, "containerd", `"scope":"shop"`},
		"Docker's":          {killed, "", `"runtime":"docker"`},
		"unknown topic":     {`{"timestamp":"2026-11-23T03:13:49Z","namespace":"a","topic":"/sky/fell","event":{}}`, "", `{"ignored":"/sky/fell is no transition"}`},
	} {
		var out bytes.Buffer
		p := &Program{Config: config.Default(), Out: &out, Err: io.Discard}
		err := p.Explain(t.Context(), []Recording{{name, strings.NewReader(tt.text)}}, ExplainOptions{Output: "ndjson", Runtime: tt.runtime})
		assert.Equal(t, strings.Contains(out.String(), `"error"`), err != nil, name)
		assert.Contains(t, out.String(), tt.want, name)
	}
	p := &Program{Config: config.Default(), Out: io.Discard, Err: io.Discard}
	err := p.Explain(t.Context(), []Recording{{"stdin", strings.NewReader(exit)}}, ExplainOptions{Runtime: "podman"})
	require.ErrorContains(t, err, "there are docker, containerd and ecs")
}

func TestContainerdIsFoundBesideDocker(t *testing.T) {
	dir := t.TempDir()
	sock := filepath.Join(dir, "containerd.sock")
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "docker.sock"))
	t.Setenv("CONTAINERD_ADDRESS", sock)
	assert.Empty(t, detect(t.Context()), "nothing answers")

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", sock)
	require.NoError(t, err)
	defer l.Close()
	found := detect(t.Context())
	require.Len(t, found, 1)
	assert.Equal(t, sock, found[0].Containerd.Address)
	assert.Contains(t, found[0].Containerd.SkipNamespaces, "moby", "Docker's collector tells of its containers")
	assert.Equal(t, sock, (&Program{}).watchedBy(found[0], nil).name)

	d, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "docker.sock"))
	require.NoError(t, err)
	defer d.Close()
	found = detect(t.Context())
	require.Len(t, found, 2)
	assert.NotNil(t, found[0].Docker)
	assert.Equal(t, "unix://"+filepath.Join(dir, "docker.sock"), dockerHostOf(t.Context(), &config.Config{}))

	assert.Empty(t, refused(t.Context()))
	if os.Getuid() != 0 { // root may use any socket
		require.NoError(t, os.Chmod(sock, 0))
		assert.Equal(t, []string{sock}, refused(t.Context()))
	}
}
