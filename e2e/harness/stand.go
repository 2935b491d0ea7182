// Package harness gives end-to-end tests real servers: Docker, containerd, OpenSearch, SNS and SQS, NATS.
//
// A test package declares one Stand and hands its TestMain to it:
//
//	var stand harness.Stand
//
//	func TestMain(m *testing.M) { os.Exit(stand.Run(m)) }
//
// Servers start when a test first asks for them. Docker, containerd, OpenSearch and Moto are shared by all
// tests of the package, so tests choose their own names in them; a NATS server is the test's own. Everything
// listens on loopback or on a socket in a temporary folder, and Run removes all of it at the end.
//
// A test that misses a server fails when it could have had it (as root, or with RequireVariable set to
// "all") and is skipped otherwise; Run then prints what could not run and why.
package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/e2e/servers"
)

// RequireVariable names the environment variable that, set to "all", makes a missing server a failure.
const RequireVariable = "BELLBUOY_E2E_REQUIRE"

const folderPrefix = "bellbuoy-e2e-"

// Stand holds the servers of one test binary. Its zero value is ready to use.
type Stand struct {
	docker     shared[*Docker]
	docker29   shared[*Docker]
	containerd map[string]*shared[*Containerd] // by version
	openSearch shared[*OpenSearch]
	moto       shared[*Moto]

	mu      sync.Mutex
	dir     string
	kit     *servers.Kit
	closers []func() error // run last to first
	lacks   []string
}

// shared is a server that starts once; a failed start fails every test that wants it, at once.
type shared[T any] struct {
	once   sync.Once
	server T
	err    error
}

func (s *shared[T]) get(start func() (T, error)) (T, error) {
	s.once.Do(func() { s.server, s.err = start() })
	return s.server, s.err
}

// Run runs the tests, ends all servers, and returns the exit code. Goroutines left over fail the run.
func (s *Stand) Run(m *testing.M, options ...goleak.Option) int {
	sweep()
	code := m.Run()
	if err := s.close(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: clean up:", err)
		code = max(code, 1)
	}
	if err := goleak.Find(options...); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "e2e: left over:", err)
		code = 1
	}
	if len(s.lacks) > 0 {
		fmt.Printf("e2e: %d tests could not run:\n  %s\n", len(s.lacks), strings.Join(s.lacks, "\n  "))
	}
	return code
}

func (s *Stand) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c())
	}
	s.closers = nil
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

func (s *Stand) onClose(c func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, c)
}

// open returns the kit and a new folder for one server.
func (s *Stand) open(server string) (*servers.Kit, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kit == nil {
		kit, err := servers.Open()
		if err != nil {
			return nil, "", err
		}
		s.kit = kit
	}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", folderPrefix, os.Getpid()))
		if err != nil {
			return nil, "", fmt.Errorf("make run folder: %w", err)
		}
		s.dir = dir
	}
	dir, err := os.MkdirTemp(s.dir, server+"-")
	if err != nil {
		return nil, "", fmt.Errorf("make folder of %s: %w", server, err)
	}
	return s.kit, dir, nil
}

// must ends the test when it cannot have its server.
func (s *Stand) must(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var missing *servers.MissingError
	if !errors.As(err, &missing) || os.Getuid() == 0 {
		t.Fatal(err)
	}
	s.lack(t, err)
}

// lack skips a test, and has Run say so, unless skipping is forbidden.
func (s *Stand) lack(t testing.TB, err error) {
	t.Helper()
	if os.Getenv(RequireVariable) == "all" {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.lacks = append(s.lacks, t.Name()+": "+err.Error())
	s.mu.Unlock()
	t.Skip("NOT RUN:", err)
}

// sweep removes the folders of test binaries that were killed before they could.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*-*")) // the pattern is a good one
	for _, dir := range dirs {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), folderPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // another user's, at worst
		}
	}
}
