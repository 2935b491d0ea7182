package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListsOfContainerdReplaceItsDefaults(t *testing.T) {
	l, err := Load([]string{write(t, `
version: 1
collectors:
  - containerd: {address: /run/containerd/containerd.sock, skip_namespaces: [moby, plugins.moby]}
  - containerd: {namespaces: [k8s.io], logs: {folders: [/var/log/pods]}, host_root: /host}
`)})
	require.NoError(t, err)
	first, second := l.Config.Collectors[0].Containerd, l.Config.Collectors[1].Containerd
	assert.Equal(t, []string{"moby", "plugins.moby"}, first.SkipNamespaces)
	assert.Equal(t, 20, first.Logs.Lines)
	assert.Equal(t, []string{"moby", "plugins.moby", "k8s.io"}, second.SkipNamespaces)
	assert.Equal(t, []string{"/var/log/pods"}, second.Logs.Folders)
	assert.Equal(t, "/host", second.HostRoot)
}

func TestFaultsOfContainerdHaveTheirPlace(t *testing.T) {
	_, err := Load([]string{write(t, "version: 1\ncollectors:\n  - containerd: {address: here, namespaces: [a/b], logs: {folders: [/]}, host_root: x}\n")})
	require.Error(t, err)
	for _, want := range []string{
		`:3:27: collectors[0].containerd.address: "here" is no path of a socket`, `namespaces: "a/b" can't be the name of a namespace`,
		`logs.folders: "/" is no folder of logs`, `host_root: "x" is no full path`,
	} {
		assert.ErrorContains(t, err, want)
	}
	_, err = Load([]string{write(t, "version: 1\ncollectors:\n  - podman: {}\n")})
	require.ErrorContains(t, err, "known are containerd, docker")
}
