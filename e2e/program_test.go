package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// within bounds what must happen soon.
const within = 20 * time.Second

// buildProgram builds the program once for all tests of the package.
var buildProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "bellbuoy-program-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bellbuoy")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", path, "github.com/bellbuoy/bellbuoy/cmd/bellbuoy")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// program is the built program with a config and a data folder of its own.
type program struct {
	binary, config, dir string
	env                 []string
	out, err            output
	cmd                 *exec.Cmd
	done                chan error
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// newProgram writes the config; %DIR% in it becomes the data folder.
func newProgram(t *testing.T, config string, env ...string) *program {
	t.Helper()
	binary, err := buildProgram()
	require.NoError(t, err)
	dir := t.TempDir()
	p := &program{binary: binary, dir: dir, config: filepath.Join(dir, "bellbuoy.yaml")}
	p.env = append(os.Environ(), "AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "NO_COLOR=1")
	p.env = append(p.env, env...)
	require.NoError(t, os.WriteFile(p.config, []byte("data_dir: "+filepath.Join(dir, "data")+"\n"+config), 0o600))
	t.Cleanup(func() {
		_ = p.kill()
		if t.Failed() {
			t.Logf("standard output:\n%s\nstandard error:\n%s", p.out.String(), p.err.String())
		}
	})
	return p
}

// start starts a long-running command, such as up.
func (p *program) start(command string) error {
	p.cmd = exec.CommandContext(context.Background(), p.binary, command, "-c", p.config)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start the program: %w", err)
	}
	p.done = make(chan error, 1)
	go func() { p.done <- p.cmd.Wait() }()
	return nil
}

// kill ends the process as a power cut would; it is no error if there is none.
func (p *program) kill() error {
	if p.cmd == nil {
		return nil
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	p.cmd = nil
	return nil
}

// stop asks the process to end and returns its exit code.
func (p *program) stop(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(signal))
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatal("the program did not end")
	}
	code := p.cmd.ProcessState.ExitCode()
	p.cmd = nil
	return code
}

// run runs a command to its end and returns what it wrote and its exit code.
func (p *program) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.binary, args...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, limit, 20*time.Millisecond, what)
}
