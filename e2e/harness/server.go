package harness

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bellbuoy/bellbuoy/e2e/process"
)

// launch starts a server in a folder; port 0 lets it choose one.
type launch func(ctx context.Context, dir string, port int) (*process.Process, int, error)

// server is a process that serves one loopback port and can be taken away from under the tests.
type server struct {
	launch launch
	dir    string
	port   int // kept from the first start on, so that clients find it again

	mu      sync.Mutex
	process *process.Process
}

func newServer(dir string, l launch) (*server, error) {
	s := &server{launch: l, dir: dir}
	return s, s.start(context.Background())
}

func (s *server) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running() {
		return nil
	}
	p, port, err := s.launch(ctx, s.dir, s.port)
	if err != nil {
		return err
	}
	s.process, s.port = p, port
	return nil
}

func (s *server) running() bool {
	if s.process == nil {
		return false
	}
	select {
	case <-s.process.Exited():
		return false
	default:
		return true
	}
}

func (s *server) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	return s.process.Stop(30 * time.Second)
}

func (s *server) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// Start starts the server again, with the port and the data folder it had. It waits until it serves.
func (s *server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Stop lets the server finish and waits until it has ended.
func (s *server) Stop(t testing.TB) {
	t.Helper()
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the server as a crash would.
func (s *server) Kill(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.Kill()
	}
}
