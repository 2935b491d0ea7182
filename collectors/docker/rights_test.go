//go:build unix

package docker_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/docker"
)

const rightsHost = "BELLBUOY_TEST_RIGHTS_HOST"

func TestCheck(t *testing.T) {
	f := newFake(t)
	cfg := docker.DefaultConfig()
	cfg.Host = f.host()
	require.NoError(t, cfg.Check(t.Context()))
	f.stop()
	require.ErrorContains(t, cfg.Check(t.Context()), "ask the Docker daemon at unix://")
	f.start()
}

// TestSocketWithoutRights runs itself as a user who may not open the socket.
func TestSocketWithoutRights(t *testing.T) {
	if host := os.Getenv(rightsHost); host != "" {
		cfg := docker.DefaultConfig()
		cfg.Host = host
		_, _ = io.WriteString(os.Stdout, "answer: "+cfg.Check(t.Context()).Error()+"\n")
		return
	}
	f := newFake(t)
	require.NoError(t, os.Chmod(f.socket, 0))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSocketWithoutRights$")
	cmd.Env = append(os.Environ(), rightsHost+"="+f.host(), "GOCOVERDIR=")
	if os.Getuid() == 0 {
		const nobody = 65534
		cmd.Path = copyForAll(t)
		cmd.Dir = filepath.Dir(cmd.Path)
		openPath(t, filepath.Dir(f.socket))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "permission denied")
	assert.Contains(t, string(out), "run as root or as a member of the group that owns the socket")
}

// copyForAll copies this program to where every user may run it.
func copyForAll(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "self")
	require.NoError(t, os.WriteFile(path, text, 0o755))
	openPath(t, filepath.Dir(path))
	return path
}

// openPath lets every user pass to a folder of the test.
func openPath(t *testing.T, dir string) {
	t.Helper()
	for range 2 {
		require.NoError(t, os.Chmod(dir, 0o755))
		dir = filepath.Dir(dir)
	}
}
