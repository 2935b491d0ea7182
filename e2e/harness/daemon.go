package harness

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/e2e/process"
	"github.com/bellbuoy/bellbuoy/e2e/servers"
)

//go:embed dockerd.sh
var dockerdScript string

// daemon is a private dockerd. It lives in process, mount and network namespaces of its own, so it can
// neither touch nor outlive anything of the machine's.
type daemon struct {
	dir    string
	client *client.Client

	mu      sync.Mutex // one command at a time
	cell    *exec.Cmd  // the shell that holds the namespaces
	input   io.WriteCloser
	answers *bufio.Reader
}

func newDaemon(found servers.Docker, dir string) (*daemon, error) {
	// Options of the machine's own daemon must not reach this one.
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), []byte("{}"), 0o600); err != nil {
		return nil, fmt.Errorf("write daemon.json: %w", err)
	}
	cgroup := fmt.Sprintf("%s%d", folderPrefix, os.Getpid())
	args := append([]string{"-c", dockerdScript, "dockerd.sh", dir, cgroup, found.Dockerd}, daemonFlags(dir, cgroup)...)
	d := &daemon{dir: dir, cell: exec.Command("/bin/bash", args...)}
	d.cell.Env = append(os.Environ(), found.Env...)
	d.cell.SysProcAttr = namespaces()
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	d.cell.Stderr = log
	if d.input, err = d.cell.StdinPipe(); err != nil {
		return nil, fmt.Errorf("pipe to dockerd: %w", err)
	}
	output, err := d.cell.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe from dockerd: %w", err)
	}
	d.answers = bufio.NewReader(output)
	if d.client, err = client.New(client.WithHost(d.host())); err != nil {
		return nil, fmt.Errorf("make Docker client: %w", err)
	}
	if err := d.cell.Start(); err != nil {
		return nil, fmt.Errorf("start dockerd's namespaces: %w", err)
	}
	return d, nil
}

func daemonFlags(dir, cgroup string) []string {
	return []string{
		"--config-file=" + filepath.Join(dir, "daemon.json"),
		"--host=unix://" + filepath.Join(dir, "docker.sock"),
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

func (d *daemon) host() string { return "unix://" + filepath.Join(d.dir, "docker.sock") }

// order gives the shell a command and tells whether it succeeded.
func (d *daemon) order(command string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := fmt.Fprintln(d.input, command); err != nil {
		return false, d.broken(err)
	}
	answer, err := d.answers.ReadString('\n')
	if err != nil {
		return false, d.broken(err)
	}
	return strings.TrimSpace(answer) == "0", nil
}

func (d *daemon) broken(err error) error {
	return fmt.Errorf("dockerd's namespaces are gone: %w; the end of the log:\n%s", err, process.Tail(filepath.Join(d.dir, "log")))
}

// start starts the daemon unless it runs, and waits until it answers.
func (d *daemon) start(ctx context.Context, flags ...string) error {
	running, err := d.order("running")
	if err != nil {
		return err
	}
	if !running {
		if _, err := d.order(strings.Join(append([]string{"start"}, flags...), " ")); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("dockerd does not answer"))
	defer cancel()
	var ended error
	err = process.Poll(ctx, func(ctx context.Context) error {
		if _, err := d.client.Ping(ctx, client.PingOptions{}); err == nil {
			return nil
		}
		running, err := d.order("running")
		if err == nil && running {
			return errors.New("no answer yet")
		}
		ended = errors.Join(errors.New("dockerd has ended"), err)
		return nil
	})
	if err = errors.Join(err, ended); err != nil {
		return fmt.Errorf("wait for dockerd: %w; the end of its log:\n%s", err, process.Tail(filepath.Join(d.dir, "log")))
	}
	return nil
}

// close ends the namespaces and all that is in them.
func (d *daemon) close() error {
	_ = d.client.Close() // only closes idle connections
	d.input.Close()
	if err := d.cell.Wait(); err != nil {
		return fmt.Errorf("end dockerd's namespaces: %w", err)
	}
	return nil
}
