// Package faults puts an HTTP proxy in front of a real server and lets a test make it fail: throttle,
// lose a response, reset the connection, answer late or with any status.
//
// Without rules the proxy only forwards and counts. Requests are told apart by operation: what AWS calls
// an action (Publish, SendMessage), else the last path segment that starts with an underscore (_bulk),
// else method and path. Everything may be called from any goroutine.
package faults

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
)

// Rule makes requests fail.
type Rule struct {
	Operation string // empty: every one
	Fault     Fault
	Times     int // 0: until the rule is switched off
}

// Proxy forwards to one server.
type Proxy struct {
	URL string // what the client under test is given

	forward http.Handler

	mu    sync.Mutex
	rules []*Active
	calls map[string]int
}

// Active is a rule in force.
type Active struct {
	proxy *Proxy
	rule  Rule
	hits  int // guarded by proxy.mu
	off   bool
}

// New starts a proxy in front of target; it ends with the test.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatalf("target of fault proxy: %v", err)
	}
	transport := &http.Transport{}
	p := &Proxy{calls: map[string]int{}}
	p.forward = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed, and servers make URLs of it
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			cut(w) // a dead server must look dead, not like a gateway
		},
	}
	server := httptest.NewServer(p)
	p.URL = server.URL
	t.Cleanup(func() {
		p.Clear()
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// Inject puts a rule in force. The oldest rule that fits a request decides.
func (p *Proxy) Inject(r Rule) *Active {
	a := &Active{proxy: p, rule: r}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, a)
	return a
}

// Clear switches all rules off.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.rules {
		a.off = true
	}
	p.rules = nil
}

// Calls returns how many requests of an operation have come, failed ones included.
func (p *Proxy) Calls(operation string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[operation]
}

// Off switches the rule off.
func (a *Active) Off() {
	a.proxy.mu.Lock()
	defer a.proxy.mu.Unlock()
	a.off = true
}

// Hits returns how many requests the rule has hit.
func (a *Active) Hits() int {
	a.proxy.mu.Lock()
	defer a.proxy.mu.Unlock()
	return a.hits
}

// ServeHTTP applies the first fitting rule, or forwards.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation, err := operationOf(r)
	if err != nil {
		cut(w)
		return
	}
	fault := p.match(operation)
	if fault == nil {
		p.forward.ServeHTTP(w, r)
		return
	}
	fault(w, r, p.forward)
}

func (p *Proxy) match(operation string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[operation]++
	for _, a := range p.rules {
		spent := a.rule.Times > 0 && a.hits >= a.rule.Times
		if a.off || spent || (a.rule.Operation != "" && a.rule.Operation != operation) {
			continue
		}
		a.hits++
		return a.rule.Fault
	}
	return nil
}

func operationOf(r *http.Request) (string, error) {
	if _, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		return operation, nil
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return "", err
		}
		r.Body = io.NopCloser(bytes.NewReader(body)) // unread again, for the server behind
		if form, err := url.ParseQuery(string(body)); err == nil && form.Has("Action") {
			return form.Get("Action"), nil
		}
	}
	for segments := strings.Split(r.URL.Path, "/"); len(segments) > 0; segments = segments[:len(segments)-1] {
		if last := segments[len(segments)-1]; strings.HasPrefix(last, "_") {
			return last, nil
		}
	}
	return r.Method + " " + path.Clean(r.URL.Path), nil
}
