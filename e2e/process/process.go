// Package process runs one child process at a time for the end-to-end tests: start it, wait until it
// serves, stop it, kill it, start it again.
//
// A child never outlives the test: on Linux the kernel kills it when its parent dies, so that even a
// test binary that panics or is killed leaves no server behind. Only children started here are ever
// signalled, and only while they have not been waited for, so a process number is never reused under us.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	Path string
	Args []string
	Env  []string // added to the environment of this process
	Dir  string
	Log  string // the file that standard output and standard error are appended to
}

// Process is a running child. Its methods may be called from any goroutine.
type Process struct {
	spec   Spec
	cmd    *exec.Cmd
	exited chan struct{} // closed once the child has been waited for

	mu  sync.Mutex // held while signalling, so that no signal follows the wait
	err error
}

// Start runs spec in the background.
func Start(spec Spec) (*Process, error) {
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", spec.Path, err)
	}
	defer log.Close() // the child has its own copy
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env = append(os.Environ(), spec.Env...)
	cmd.Dir = spec.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = tied()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Path, err)
	}
	p := &Process{spec: spec, cmd: cmd, exited: make(chan struct{})}
	go p.wait()
	return p, nil
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	close(p.exited)
}

// Exited is closed when the process has ended, for whatever reason.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// PID is the child's process number. It means nothing once the child has ended.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks the process to end with SIGTERM and kills it when it has not done so within grace.
func (p *Process) Stop(grace time.Duration) error {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM and was killed", p.spec.Path, grace)
	}
}

// Kill ends the process with SIGKILL and waits until it has gone.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.exited
}

func (p *Process) signal(sig os.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.exited:
	default:
		_ = p.cmd.Process.Signal(sig) // fails only when it has just ended, which is what was wanted
	}
}

// Await calls ready until it returns nil. It gives up when the process ends or ctx does, and then
// returns the last answer with the end of the log.
func (p *Process) Await(ctx context.Context, ready func(context.Context) error) error {
	alive, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		select {
		case <-p.exited:
			cancel(errors.New("it has ended"))
		case <-alive.Done():
		}
	}()
	err := Poll(alive, ready)
	cause := context.Cause(alive)
	cancel(nil)
	<-watcher
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s is not ready (%w): %w; the end of its log:\n%s", p.spec.Path, cause, err, Tail(p.spec.Log))
}

// Poll calls ready every 50 ms until it returns nil or ctx ends, and returns its last error.
func Poll(ctx context.Context, ready func(context.Context) error) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ticker.C:
		}
	}
}

// Tail returns the end of a log file, for an error message.
func Tail(path string) string {
	const most = 3000
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}
