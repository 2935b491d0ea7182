package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/e2e/servers"
)

const machineSocket = "/var/run/docker.sock"

// Docker is a daemon, private unless servers.DockerHostVariable says otherwise. It is shared: a test gives its
// containers names of its own.
type Docker struct {
	Version    string // such as "20.10"; the whole of it when the daemon is not private
	Host       string
	Image      string // busybox and all its commands
	Containerd string // the socket of the daemon's containerd; empty when the daemon is not private

	stand  *Stand
	client *client.Client
	daemon *daemon // nil when the daemon is not private
	inner  *Containerd
}

// Docker returns the machine's daemon, 20.10 on Debian 12, private and running: it is started again if an earlier
// test has stopped it.
func (s *Stand) Docker(t testing.TB) *Docker {
	t.Helper()
	d, err := s.docker.get(func() (*Docker, error) { return s.startDocker(context.Background()) })
	return s.running(t, d, err)
}

// Docker29 is Docker with a daemon of the 29 line.
func (s *Stand) Docker29(t testing.TB) *Docker {
	t.Helper()
	d, err := s.docker29.get(func() (*Docker, error) {
		return s.startPrivate(context.Background(), "29", (*servers.Kit).Docker29)
	})
	return s.running(t, d, err)
}

// EachDocker runs a subtest with each daemon, named after its version; with the one daemon that the tests were
// given, if they were.
func (s *Stand) EachDocker(t *testing.T, f func(t *testing.T, d *Docker)) {
	t.Helper()
	t.Run("20.10", func(t *testing.T) { f(t, s.Docker(t)) })
	if os.Getenv(servers.DockerHostVariable) == "" {
		t.Run("29", func(t *testing.T) { f(t, s.Docker29(t)) })
	}
}

func (s *Stand) running(t testing.TB, d *Docker, err error) *Docker {
	t.Helper()
	s.must(t, err)
	if d.daemon != nil {
		d.StartDaemon(t)
	}
	return d
}

func (s *Stand) startDocker(ctx context.Context) (*Docker, error) {
	if host := machineDocker(ctx); host != "" {
		return s.borrowDocker(ctx, host)
	}
	return s.startPrivate(ctx, "20.10", (*servers.Kit).Docker)
}

func (s *Stand) startPrivate(ctx context.Context, version string, find func(*servers.Kit) (servers.Docker, error)) (*Docker, error) {
	if os.Getuid() != 0 {
		return nil, &servers.MissingError{Server: "docker", Needs: []servers.Need{
			{What: "root to start dockerd " + version, Cure: "sudo go test ./e2e/..."},
		}}
	}
	kit, dir, err := s.open("docker")
	if err != nil {
		return nil, err
	}
	found, err := find(kit)
	if err != nil {
		return nil, err
	}
	own, err := newDaemon(found, dir)
	if err != nil {
		return nil, err
	}
	s.onClose(own.close)
	if err := own.start(ctx); err != nil {
		return nil, err
	}
	d := &Docker{
		Version: version, Host: daemonHost(dir), Image: "bellbuoy-test/busybox:latest",
		Containerd: filepath.Join(dir, "exec", "containerd", "containerd.sock"),
		stand:      s, client: own.client, daemon: own,
	}
	d.inner = newContainerd(found.Containerd, d.Containerd)
	d.inner.cell, d.inner.launch = own.cell, own.start
	return d, importImage(ctx, d.client, found.Busybox, d.Image)
}

// machineDocker is the daemon to borrow: the one that was named, or, for who may not start one, the
// machine's when it answers.
func machineDocker(ctx context.Context) string {
	if host := os.Getenv(servers.DockerHostVariable); host != "" || os.Getuid() == 0 {
		return host
	}
	c, err := client.New(client.WithHost("unix://" + machineSocket))
	if err != nil {
		return ""
	}
	defer c.Close()
	if _, err := c.Ping(ctx, client.PingOptions{}); err != nil {
		return ""
	}
	return "unix://" + machineSocket
}

// borrowDocker uses a daemon that others use too. The image has a name of this run's, so that another
// run does not remove it from under this one.
func (s *Stand) borrowDocker(ctx context.Context, host string) (*Docker, error) {
	kit, _, err := s.open("docker")
	if err != nil {
		return nil, err
	}
	busybox, err := kit.Busybox()
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("make Docker client: %w", err)
	}
	server, err := c.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask %s for its version: %w", host, err), c.Close())
	}
	d := &Docker{
		Version: server.Version, Host: host, Image: fmt.Sprintf("bellbuoy-test/busybox:%d", os.Getpid()), stand: s, client: c,
	}
	s.onClose(func() error {
		_, err := c.ImageRemove(context.Background(), d.Image, client.ImageRemoveOptions{Force: true})
		return errors.Join(err, c.Close())
	})
	return d, importImage(ctx, c, busybox, d.Image)
}

// Client is the daemon's API, for what the other methods do not do. It is closed for the test.
func (d *Docker) Client() *client.Client { return d.client }

// Inner is the daemon's containerd, for containers of which Docker knows nothing. What it does to the daemon it does
// to dockerd, with which the containerd ends.
func (d *Docker) Inner(t testing.TB) *Containerd {
	t.Helper()
	d.private(t)
	return d.inner
}

// StartDaemon starts the daemon unless it runs; flags such as --live-restore add to its usual ones.
func (d *Docker) StartDaemon(t testing.TB, flags ...string) {
	t.Helper()
	d.private(t)
	if err := d.daemon.start(t.Context(), flags...); err != nil {
		t.Fatal(err)
	}
}

// StopDaemon lets the daemon stop its containers and end.
func (d *Docker) StopDaemon(t testing.TB) { t.Helper(); d.order(t, "stop") }

// KillDaemon ends the daemon as a crash would. Its containers run on; its containerd ends with it.
func (d *Docker) KillDaemon(t testing.TB) { t.Helper(); d.order(t, "kill") }

// RestartDaemon stops and starts the daemon.
func (d *Docker) RestartDaemon(t testing.TB) {
	t.Helper()
	d.StopDaemon(t)
	d.StartDaemon(t)
}

// CPU is the time for which dockerd has been on a core since it started, in steps of 10 ms. Its containerd, shims
// and containers are not in it.
func (d *Docker) CPU(t testing.TB) time.Duration {
	t.Helper()
	d.private(t)
	spent, err := d.daemon.cpu()
	check(t, "read CPU of dockerd", err)
	return spent
}

func (d *Docker) order(t testing.TB, command string) {
	t.Helper()
	d.private(t)
	if _, _, err := d.daemon.order(command); err != nil {
		t.Fatal(err)
	}
}

// private ends a test that would stop a daemon which others use.
func (d *Docker) private(t testing.TB) {
	t.Helper()
	if d.daemon == nil {
		d.stand.lack(t, &servers.MissingError{Server: "docker", Needs: []servers.Need{
			{What: "private daemon that may be stopped", Cure: "sudo env -u " + servers.DockerHostVariable + " go test ./e2e/..."},
		}})
	}
}
