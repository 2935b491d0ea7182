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
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/e2e/process"
)

//go:embed cell.sh
var cellScript string

// cell holds a private container daemon. It has process, mount, network and IPC namespaces of its own, so
// that nothing in it can touch or outlive anything of the machine's.
type cell struct {
	name   string
	dir    string
	cgroup string // above those of all containers
	shell  *exec.Cmd
	answer func(context.Context) error // asks the daemon once whether it serves

	mu      sync.Mutex // one order at a time
	input   io.WriteCloser
	answers *bufio.Reader
}

// cellSpec is a daemon to hold.
type cellSpec struct {
	name   string
	dir    string // of all its files, the log among them
	env    []string
	answer func(context.Context) error
	args   func(cgroup string) []string // the program and its arguments
}

func newCell(spec cellSpec) (*cell, error) {
	c := &cell{
		name: spec.name, dir: spec.dir, answer: spec.answer,
		cgroup: folderPrefix + strconv.Itoa(os.Getpid()) + "-" + filepath.Base(spec.dir),
	}
	args := append([]string{"-c", cellScript, "cell.sh", c.dir, c.cgroup}, spec.args(c.cgroup)...)
	c.shell = exec.Command("/bin/bash", args...)
	c.shell.Env = append(os.Environ(), spec.env...)
	c.shell.SysProcAttr = namespaces()
	log, err := os.OpenFile(c.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	c.shell.Stderr = log
	if c.input, err = c.shell.StdinPipe(); err != nil {
		return nil, fmt.Errorf("pipe to %s: %w", c.name, err)
	}
	output, err := c.shell.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe from %s: %w", c.name, err)
	}
	c.answers = bufio.NewReader(output)
	if err := c.shell.Start(); err != nil {
		return nil, fmt.Errorf("start the namespaces of %s: %w", c.name, err)
	}
	return c, nil
}

func (c *cell) log() string { return filepath.Join(c.dir, "log") }

// order gives the shell a command and tells whether it succeeded, and what it said.
func (c *cell) order(command string) (text string, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := fmt.Fprintln(c.input, command); err != nil {
		return "", false, c.broken(err)
	}
	line, err := c.answers.ReadString('\n')
	if err != nil {
		return "", false, c.broken(err)
	}
	status, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	return text, status == "0", nil
}

func (c *cell) broken(err error) error {
	return fmt.Errorf("the namespaces of %s are gone: %w; the end of the log:\n%s", c.name, err, process.Tail(c.log()))
}

// start starts the daemon unless it runs, and waits until it answers.
func (c *cell) start(ctx context.Context, flags ...string) error {
	_, running, err := c.order("running")
	if err != nil {
		return err
	}
	if !running {
		if _, _, err := c.order(strings.Join(append([]string{"start"}, flags...), " ")); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New(c.name+" does not answer"))
	defer cancel()
	var ended error
	err = process.Poll(ctx, func(ctx context.Context) error {
		said := c.answer(ctx)
		if said == nil {
			return nil
		}
		_, running, err := c.order("running")
		if err == nil && running {
			return fmt.Errorf("no answer yet: %w", said)
		}
		ended = errors.Join(errors.New(c.name+" has ended"), err)
		return nil
	})
	if err = errors.Join(err, ended); err != nil {
		return fmt.Errorf("wait for %s: %w; the end of its log:\n%s", c.name, err, process.Tail(c.log()))
	}
	return nil
}

// cpu is the time for which the daemon, alone and with all its threads, has been on a core since it started.
func (c *cell) cpu() (time.Duration, error) {
	stat, ok, err := c.order("stat")
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fmt.Errorf("%s does not run", c.name)
	}
	return cpuOf(stat)
}

// cpuOf reads user and system time from /proc/PID/stat, where Linux counts in hundredths of a second.
func cpuOf(stat string) (time.Duration, error) {
	const user, system = 11, 12 // counted from the field after the name, which may hold anything
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= system {
		return 0, fmt.Errorf("no times in %q", stat)
	}
	var ticks int64
	for _, field := range fields[user : system+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read times of %q: %w", stat, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}

// inside is a command that sees the processes, mounts and network of the cell.
func (c *cell) inside(ctx context.Context, name string, args ...string) *exec.Cmd {
	target := strconv.Itoa(c.shell.Process.Pid)
	enter := append([]string{"--target", target, "--mount", "--pid", "--net", "--ipc", "--", name}, args...)
	command := exec.CommandContext(ctx, "nsenter", enter...)
	command.Env = c.shell.Env
	return command
}

// close ends the namespaces and all that is in them.
func (c *cell) close() error {
	c.input.Close()
	if err := c.shell.Wait(); err != nil {
		return fmt.Errorf("end the namespaces of %s: %w", c.name, err)
	}
	return nil
}
