package app

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/internal/config"
)

func TestDockerOfTheEnvironment(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://docker.example:2376")
	t.Setenv("DOCKER_CERT_PATH", "/certs")
	t.Setenv("DOCKER_TLS_VERIFY", "")
	found := detectDocker(t.Context())
	require.Len(t, found, 1)
	assert.Equal(t, "tcp://docker.example:2376", found[0].Docker.Host)
	assert.Equal(t, docker.TLS{CA: "/certs/ca.pem", Cert: "/certs/cert.pem", Key: "/certs/key.pem"}, found[0].Docker.TLS)

	t.Setenv("HOME", "/home/me")
	t.Setenv("DOCKER_CERT_PATH", "")
	assert.Empty(t, detectDocker(t.Context())[0].Docker.TLS)
	t.Setenv("DOCKER_TLS_VERIFY", "1")
	assert.Equal(t, "/home/me/.docker/ca.pem", detectDocker(t.Context())[0].Docker.TLS.CA)
}

func TestCheckWarnsOfADaemonWithoutTLS(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	open := docker.DefaultConfig()
	open.Host = "tcp://docker.example:2375"
	cfg.Collectors = []config.Collector{{Docker: &open}}
	var out bytes.Buffer
	p := &Program{Config: cfg, Out: &out}
	require.NoError(t, p.Check(t.Context(), false))
	assert.Contains(t, out.String(), "[!] collectors[0] host: tcp://docker.example:2375 is reached without TLS")
}
