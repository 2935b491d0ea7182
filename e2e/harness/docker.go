package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/e2e/servers"
)

const machineSocket = "/var/run/docker.sock"

// Docker is a daemon, private unless servers.DockerHostVariable says otherwise. It is shared: a test gives its
// containers names of its own.
type Docker struct {
	Host       string
	Image      string // busybox and all its commands
	Containerd string // the socket of the daemon's containerd; empty when the daemon is not private

	stand  *Stand
	client *client.Client
	daemon *daemon // nil when the daemon is not private
}

// Docker returns the running daemon, which it starts again if an earlier test has stopped it.
func (s *Stand) Docker(t testing.TB) *Docker {
	t.Helper()
	d, err := s.docker.get(func() (*Docker, error) { return s.startDocker(context.Background()) })
	s.must(t, err)
	if d.daemon != nil {
		d.StartDaemon(t)
	}
	return d
}

func (s *Stand) startDocker(ctx context.Context) (*Docker, error) {
	kit, dir, err := s.open("docker")
	if err != nil {
		return nil, err
	}
	if host := machineDocker(ctx); host != "" {
		return s.borrowDocker(ctx, kit, host)
	}
	if os.Getuid() != 0 {
		return nil, &servers.MissingError{Server: "docker", Needs: []servers.Need{
			{What: "root to start dockerd, and no daemon on " + machineSocket, Cure: "sudo go test ./e2e/..."},
		}}
	}
	found, err := kit.Docker()
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
		Host: daemonHost(dir), Image: "bellbuoy-test/busybox:latest",
		Containerd: filepath.Join(dir, "exec", "containerd", "containerd.sock"),
		stand:      s, client: own.client, daemon: own,
	}
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
func (s *Stand) borrowDocker(ctx context.Context, kit *servers.Kit, host string) (*Docker, error) {
	busybox, err := kit.Busybox()
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("make Docker client: %w", err)
	}
	d := &Docker{Host: host, Image: fmt.Sprintf("bellbuoy-test/busybox:%d", os.Getpid()), stand: s, client: c}
	s.onClose(func() error {
		_, err := c.ImageRemove(context.Background(), d.Image, client.ImageRemoveOptions{Force: true})
		return errors.Join(err, c.Close())
	})
	return d, importImage(ctx, c, busybox, d.Image)
}

// Client is the daemon's API, for what the other methods do not do. It is closed for the test.
func (d *Docker) Client() *client.Client { return d.client }

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
