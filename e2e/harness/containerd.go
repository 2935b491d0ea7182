package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/bellbuoy/bellbuoy/e2e/servers"
)

// Containerd is a private daemon without the Kubernetes plugin. It is shared: a test gives its containers ids,
// or its namespaces names, of its own.
//
// Process ids that it tells are those of its cell. Files that it logs to are this machine's.
type Containerd struct {
	Version string // such as "2.4"
	Address string // path of its socket
	Image   string // busybox and all its commands, in each namespace that Run or Import has seen

	found  servers.Containerd
	cell   *cell
	launch func(ctx context.Context, flags ...string) error

	count    atomic.Int64 // of ids given
	mu       sync.Mutex
	imported map[string]bool // by namespace
}

// EachContainerd runs a subtest with each version.
func (s *Stand) EachContainerd(t *testing.T, f func(t *testing.T, c *Containerd)) {
	t.Helper()
	for _, version := range servers.ContainerdVersions() {
		t.Run(version, func(t *testing.T) { f(t, s.Containerd(t, version)) })
	}
}

// Containerd returns the running daemon of a version ("1.6", "1.7", "2.4"), which it starts again if an earlier
// test has stopped it.
func (s *Stand) Containerd(t testing.TB, version string) *Containerd {
	t.Helper()
	c, err := s.containerdOf(version).get(func() (*Containerd, error) { return s.startContainerd(context.Background(), version) })
	s.must(t, err)
	c.StartDaemon(t)
	return c
}

func (s *Stand) containerdOf(version string) *shared[*Containerd] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.containerd == nil {
		s.containerd = make(map[string]*shared[*Containerd])
	}
	if s.containerd[version] == nil {
		s.containerd[version] = &shared[*Containerd]{}
	}
	return s.containerd[version]
}

func (s *Stand) startContainerd(ctx context.Context, version string) (*Containerd, error) {
	if os.Getuid() != 0 {
		return nil, &servers.MissingError{Server: "containerd", Needs: []servers.Need{
			{What: "root to start containerd", Cure: "sudo go test ./e2e/..."},
		}}
	}
	kit, dir, err := s.open("containerd")
	if err != nil {
		return nil, err
	}
	found, err := kit.Containerd(version)
	if err != nil {
		return nil, err
	}
	c := newContainerd(found, filepath.Join(dir, "containerd.sock"))
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, []byte(containerdConfig(dir, c.Address)), 0o600); err != nil {
		return nil, fmt.Errorf("write config of containerd: %w", err)
	}
	c.cell, err = newCell(cellSpec{
		name: "containerd", dir: dir, env: found.Env,
		args:   func(string) []string { return []string{found.Daemon, "--config", config} },
		answer: func(ctx context.Context) error { _, err := c.run(ctx, "version"); return err },
	})
	if err != nil {
		return nil, err
	}
	c.launch = c.cell.start
	s.onClose(c.cell.close)
	return c, c.launch(ctx)
}

func newContainerd(found servers.Containerd, address string) *Containerd {
	return &Containerd{
		Version: found.Version, Address: address, Image: "docker.io/bellbuoy-test/busybox:latest",
		found: found, imported: make(map[string]bool),
	}
}

// containerdConfig keeps everything in one folder, and off what is the machine's.
func containerdConfig(dir, address string) string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri"]
[grpc]
address = %q
[debug]
level = "warn"
[plugins."io.containerd.internal.v1.opt"]
path = %q
`, filepath.Join(dir, "root"), filepath.Join(dir, "state"), address, filepath.Join(dir, "opt"))
}

// Dial connects to the daemon until the end of the test.
func (c *Containerd) Dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	conn, err := c.dial()
	check(t, "dial containerd", err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (c *Containerd) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient("unix://"+c.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// StartDaemon starts the daemon unless it runs.
func (c *Containerd) StartDaemon(t testing.TB) {
	t.Helper()
	check(t, "start containerd", c.launch(t.Context()))
}

// StopDaemon lets the daemon end. Its containers run on.
func (c *Containerd) StopDaemon(t testing.TB) { t.Helper(); c.order(t, "stop") }

// KillDaemon ends the daemon as a crash would. Its containers run on.
func (c *Containerd) KillDaemon(t testing.TB) { t.Helper(); c.order(t, "kill") }

// RestartDaemon stops and starts the daemon.
func (c *Containerd) RestartDaemon(t testing.TB) {
	t.Helper()
	c.StopDaemon(t)
	c.StartDaemon(t)
}

func (c *Containerd) order(t testing.TB, command string) {
	t.Helper()
	_, _, err := c.cell.order(command)
	check(t, command+" containerd", err)
}

// CPU is the time for which the daemon has been on a core since it started, in steps of 10 ms. Shims are not in it.
func (c *Containerd) CPU(t testing.TB) time.Duration {
	t.Helper()
	spent, err := c.cell.cpu()
	check(t, "read CPU of containerd", err)
	return spent
}

// Ctr runs ctr in a namespace and returns what it wrote to its standard output. It fails the test when ctr fails.
func (c *Containerd) Ctr(t testing.TB, namespace string, args ...string) string {
	t.Helper()
	said, err := c.run(t.Context(), append([]string{"--namespace", namespace}, args...)...)
	check(t, "run ctr in "+namespace, err)
	return said
}

// run runs ctr where it sees the mounts of the daemon.
func (c *Containerd) run(ctx context.Context, args ...string) (string, error) {
	said, err := c.cell.inside(ctx, c.found.Ctr, append([]string{"--address", c.Address}, args...)...).Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return "", fmt.Errorf("ctr %q: %w: %s", args, err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("ctr %q: %w", args, err)
	}
	return string(said), nil
}
