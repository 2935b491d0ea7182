package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// within bounds what must happen soon.
const within = 20 * time.Second

// programDir holds the built program for as long as this test binary runs.
func programDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("bellbuoy-program-%d", os.Getpid()))
}

// buildProgram builds the program once for all tests of the package. A test runs it as another user, so
// everybody may.
var buildProgram = sync.OnceValues(func() (string, error) {
	dir := programDir()
	if err := os.Mkdir(dir, 0o755); err != nil {
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

func removeProgram() { _ = os.RemoveAll(programDir()) } // nothing that a later run could miss

// program is the built program with a config and a data folder of its own.
type program struct {
	binary, config, dir string
	env                 []string
	attr                *syscall.SysProcAttr
	out, err            output
	cmd                 *exec.Cmd
	done                chan struct{} // closed when the process has ended
}

// output collects what a process writes, and when.
type output struct {
	mu     sync.Mutex // guards text and writes
	text   bytes.Buffer
	writes []written
}

// written is a write that ended with the byte before end.
type written struct {
	end int
	at  time.Time
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	o.writes = append(o.writes, written{o.text.Len(), time.Now()})
	return n, err
}

// when tells when the text was written for the first time.
func (o *output) when(text string) (time.Time, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := bytes.Index(o.text.Bytes(), []byte(text))
	if i < 0 {
		return time.Time{}, false
	}
	first, _ := slices.BinarySearchFunc(o.writes, i+len(text), func(w written, end int) int { return w.end - end })
	return o.writes[first].at, true
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

// up starts the program and waits until it has said what it sees.
func (p *program) up(t *testing.T) {
	t.Helper()
	before := strings.Count(p.out.String(), "next: ")
	require.NoError(t, p.start("up"))
	eventually(t, time.Minute, "the greeting", func() bool {
		p.alive(t)
		return strings.Count(p.out.String(), "next: ") > before
	})
}

// alive ends the test if the program has ended by itself.
func (p *program) alive(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		t.Errorf("the program ended: %v", p.cmd.ProcessState)
	default:
	}
}

// url is where the embedded server of the running program listens; empty until it does.
func (p *program) url() string {
	text, err := os.ReadFile(filepath.Join(p.dir, "data", "client.url"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// ready asks /readyz and returns the status and the lines. The address is in the greeting.
func (p *program) ready(t *testing.T) (status int, text string) {
	t.Helper()
	out := p.out.String()
	last := strings.LastIndex(out, "health: ") // the program may have been started again
	require.NotEqual(t, -1, last, "the greeting names no address")
	address, _, _ := strings.Cut(out[last+len("health: "):], " ")
	client := http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

// deadLetters returns what dlq list says.
func (p *program) deadLetters(t *testing.T) string {
	t.Helper()
	out, errs, code := p.run(t, "dlq", "list", "-c", p.config)
	require.Zero(t, code, errs)
	return out
}

// start starts a long-running command, such as up.
func (p *program) start(command string) error {
	p.cmd = exec.CommandContext(context.Background(), p.binary, command, "-c", p.config)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = p.env, &p.out, &p.err, p.attr
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start the program: %w", err)
	}
	done, cmd := make(chan struct{}), p.cmd
	p.done = done
	go func() {
		_ = cmd.Wait() // the state of the process tells the same
		close(done)
	}()
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
	if ctx.Err() != nil {
		t.Fatalf("%v did not end: %s%s", args, out.String(), errs.String())
	}
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, limit, 20*time.Millisecond, what)
}

// watches is the config of a program that watches this daemon and leaves every port to chance.
func watches(d *harness.Docker) string {
	return "http: {listen: \"127.0.0.1:0\"}\nnats: {embedded: {listen: \"127.0.0.1:0\"}}\ncollectors: [{docker: {host: \"" + d.Host + "\"}}]\n"
}
