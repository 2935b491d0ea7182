package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/e2e/process"
)

// stubRole makes this program the target of the whole path: an endpoint that takes bulk requests as an
// OpenSearch node does, answers with a verdict on each document, and keeps nothing but their ids.
const stubRole = "-serve-bulk"

// counts is what arrived at the stub.
type counts struct {
	Requests, Documents, Distinct int
}

// stub is the running child.
type stub struct {
	process *process.Process
	url     string
	client  *http.Client
}

// startStub starts the child, which ends with this process at the latest.
func startStub(ctx context.Context, dir string) (*stub, error) {
	p, url, err := startChild(ctx, stubRole, filepath.Join(dir, "stub.log"))
	if err != nil {
		return nil, err
	}
	return &stub{process: p, url: url, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}}, nil
}

// startChild starts this program in a role in which it writes its URL into the log as its first line.
func startChild(ctx context.Context, role, log string) (p *process.Process, url string, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("find own program: %w", err)
	}
	if p, err = process.Start(process.Spec{Path: self, Args: []string{role}, Log: log}); err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = p.Await(ctx, func(context.Context) error {
		b, err := os.ReadFile(log)
		if err == nil && !bytes.HasSuffix(b, []byte("\n")) {
			err = errors.New("it has not told its address")
		}
		url = strings.TrimSpace(string(b))
		return err
	})
	if err != nil {
		p.Kill()
		return nil, "", err
	}
	return p, url, nil
}

func (s *stub) close() error {
	s.client.CloseIdleConnections()
	return s.process.Stop(5 * time.Second)
}

// take returns what arrived since the last call.
func (s *stub) take(ctx context.Context) (c counts, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/counts", nil)
	if err != nil {
		return c, fmt.Errorf("ask the stub for its counts: %w", err)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return c, fmt.Errorf("ask the stub for its counts: %w", err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&c); err != nil {
		return c, fmt.Errorf("read the stub's counts: %w", err)
	}
	return c, nil
}

// expect returns an error unless n documents arrived since the last take, each once.
func (s *stub) expect(ctx context.Context, n int) error {
	c, err := s.take(ctx)
	if err == nil && (c.Documents != n || c.Distinct != n) {
		err = fmt.Errorf("%d documents of %d events arrived, %d different ones", c.Documents, n, c.Distinct)
	}
	return err
}

// serveStub is the child: it writes its URL to out and serves until ctx ends.
func serveStub(ctx context.Context, _ []string, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: newTarget(), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	fmt.Fprintf(out, "http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// target is the endpoint.
type target struct {
	mux     *http.ServeMux
	buffers sync.Pool

	mu     sync.Mutex
	counts counts
	seen   map[string]struct{}
}

// exchange is a request's body and its answer.
type exchange struct{ in, out bytes.Buffer }

func newTarget() *target {
	t := &target{mux: http.NewServeMux(), seen: map[string]struct{}{}}
	t.buffers.New = func() any { return &exchange{} }
	t.mux.HandleFunc("POST /_bulk", t.bulk)
	// A template that is newer than ours is left alone, so that nothing is installed.
	t.mux.HandleFunc("GET /_index_template/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"index_templates":[{"index_template":{"version":1000000}}]}`)
	})
	t.mux.HandleFunc("POST /counts", func(w http.ResponseWriter, _ *http.Request) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.counts.Distinct = len(t.seen)
		_ = json.NewEncoder(w).Encode(t.counts) // who asked may have gone
		t.counts, t.seen = counts{}, map[string]struct{}{}
	})
	return t
}

func (t *target) ServeHTTP(w http.ResponseWriter, r *http.Request) { t.mux.ServeHTTP(w, r) }

// bulk answers as a node does that was asked for filter_path=took,errors,items.*.status,items.*._id.
func (t *target) bulk(w http.ResponseWriter, r *http.Request) {
	x, _ := t.buffers.Get().(*exchange)
	defer t.buffers.Put(x)
	x.in.Reset()
	x.out.Reset()
	if _, err := x.in.ReadFrom(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	x.out.WriteString(`{"took":3,"errors":false,"items":[`)
	t.note(x)
	x.out.WriteString(`]}`)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(x.out.Bytes()) // who asked may have gone
}

// note counts the documents and writes a verdict on each.
func (t *target) note(x *exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Requests++
	mark := []byte(`"_id":"`)
	for rest := x.in.Bytes(); len(rest) > 0; {
		action, more, _ := bytes.Cut(rest, []byte("\n"))
		_, rest, _ = bytes.Cut(more, []byte("\n"))
		_, id, _ := bytes.Cut(action, mark)
		id, _, _ = bytes.Cut(id, []byte(`"`))
		if x.out.Len() > 0 && x.out.Bytes()[x.out.Len()-1] == '}' {
			x.out.WriteByte(',')
		}
		x.out.WriteString(`{"create":{"_id":"`)
		x.out.Write(id)
		x.out.WriteString(`","status":201}}`)
		t.counts.Documents++
		t.seen[string(id)] = struct{}{}
	}
}
