package awsproxy

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/bellbuoy/bellbuoy/e2e/faults"
)

// Proxy forwards to one server.
type Proxy struct {
	URL string // what the client under test is given as its endpoint

	target    *url.URL
	transport *http.Transport

	mu      sync.Mutex
	seed    uint64 // guarded by mu, like all below
	rules   []*Active
	buckets []*bucket
	calls   []Call
}

// Start serves on loopback, in front of a server at target, until the test ends.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatalf("target of the AWS proxy: %v", err)
	}
	p := &Proxy{target: to, transport: &http.Transport{MaxIdleConnsPerHost: 64}, seed: 1}
	server := httptest.NewServer(p)
	p.URL = server.URL
	t.Cleanup(func() {
		p.Clear()
		server.CloseClientConnections()
		server.Close()
		p.transport.CloseIdleConnections()
	})
	return p
}

// Seed chooses which calls the rules added from now on hit.
func (p *Proxy) Seed(seed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seed = seed
}

// Calls returns what was asked, in the order of arrival.
func (p *Proxy) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Count returns how many calls of an operation have come; the name may hold a *.
func (p *Proxy) Count(op string) int {
	n := 0
	for _, c := range p.Calls() {
		if matches(op, c.Operation) {
			n++
		}
	}
	return n
}

// ServeHTTP records a call, and forwards it or makes it fail.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	c := callOf(r, body)
	rule, faulty := p.pick(c.Operation)
	c.Faulty = faulty
	p.mu.Lock()
	p.calls = append(p.calls, c)
	at := len(p.calls) - 1
	p.mu.Unlock()
	forward := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.forward(w, r, body, at) })
	if !faulty {
		forward.ServeHTTP(w, r)
		return
	}
	switch rule.Fault {
	case LoseResponse:
		faults.LoseResponse()(w, r, forward)
	case Reset:
		faults.Reset()(w, r, forward)
	case Delay:
		faults.Delay(rule.Delay)(w, r, forward)
	case Twice:
		forward.ServeHTTP(httptest.NewRecorder(), r)
		forward.ServeHTTP(w, r)
	case PartialBatch:
		p.partial(w, r, body, at, rule)
	case Skewed:
		skewed(w, r, c, rule.Delay, forward)
	default:
		refuse(w, r, c, rule.saying(c))
	}
}

// forward asks the server and tells what it says. A server that does not answer is a cut connection.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, body []byte, call int) {
	said, err := p.ask(r, body, call)
	if err != nil {
		faults.Reset()(w, r, nil)
		return
	}
	said.tell(w)
}

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) tell(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the caller may be gone
}

// ask asks the server and notes that it answered the call.
func (p *Proxy) ask(r *http.Request, body []byte, call int) (answer, error) {
	to := *r.URL
	to.Scheme, to.Host = p.target.Scheme, p.target.Host
	out, err := http.NewRequestWithContext(r.Context(), r.Method, to.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	out.Header = r.Header.Clone()
	out.Host = r.Host // it is signed, and servers make URLs of it
	said, err := p.transport.RoundTrip(out)
	if err != nil {
		return answer{}, err
	}
	defer said.Body.Close()
	text, err := io.ReadAll(said.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[call].Status = said.StatusCode
	return answer{said.StatusCode, said.Header, text}, err
}
