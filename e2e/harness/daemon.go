package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/e2e/servers"
)

// daemon is a private dockerd in its cell.
type daemon struct {
	*cell
	client *client.Client
}

func newDaemon(found servers.Docker, dir string) (*daemon, error) {
	// Options of the machine's own daemon must not reach this one.
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), []byte("{}"), 0o600); err != nil {
		return nil, fmt.Errorf("write daemon.json: %w", err)
	}
	c, err := client.New(client.WithHost(daemonHost(dir)))
	if err != nil {
		return nil, fmt.Errorf("make Docker client: %w", err)
	}
	held, err := newCell(cellSpec{
		name: "dockerd", dir: dir, env: found.Env,
		args: func(cgroup string) []string {
			return append(append([]string{found.Dockerd}, daemonFlags(dir, cgroup)...), found.Flags...)
		},
		answer: func(ctx context.Context) error {
			_, err := c.Ping(ctx, client.PingOptions{})
			return err
		},
	})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &daemon{cell: held, client: c}, nil
}

func daemonFlags(dir, cgroup string) []string {
	return []string{
		"--config-file=" + filepath.Join(dir, "daemon.json"),
		"--host=" + daemonHost(dir),
		"--data-root=" + filepath.Join(dir, "data"),
		"--exec-root=" + filepath.Join(dir, "exec"),
		"--pidfile=" + filepath.Join(dir, "docker.pid"),
		"--cgroup-parent=" + cgroup,
		"--exec-opt=native.cgroupdriver=cgroupfs", // no systemd is asked, running or not
		// Containers get their bridge, and the events that come with it, but no way out.
		"--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false", "--userland-proxy=false",
		"--log-level=warn",
	}
}

func daemonHost(dir string) string { return "unix://" + filepath.Join(dir, "docker.sock") }

// start starts the daemon unless it runs, and waits until it answers.
func (d *daemon) start(ctx context.Context, flags ...string) error {
	_, running, err := d.order("running")
	if err != nil {
		return err
	}
	if !running { // one that was killed has left its file, whose number may be another process's by now
		if err := os.RemoveAll(filepath.Join(d.dir, "docker.pid")); err != nil {
			return fmt.Errorf("clear pid file: %w", err)
		}
	}
	return d.cell.start(ctx, flags...)
}

func (d *daemon) close() error {
	return errors.Join(d.client.Close(), d.cell.close())
}
