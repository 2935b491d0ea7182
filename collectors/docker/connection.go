package docker

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"
)

const (
	dialTimeout = 10 * time.Second
	idleTimeout = 30 * time.Second
	maxMessage  = 4 << 10 // of a refusal, in bytes
)

// connection is how a daemon is reached. The event stream has a client of its own, so that no question,
// and no ping, ever waits for it.
type connection struct {
	*client.Client
	stream *http.Client
	base   string // of the stream's URLs
	clock  *clock
	asked  func(question string)

	// process is which process listened at the unix socket when it was last dialled; 0 if that can't be known.
	process atomic.Int64
}

// questions is what a path of the API asks for, by how it ends.
var questions = map[string]string{
	"/_ping": "ping", "/info": "info", "/version": "version", "/events": "events", "/containers/json": "list", "/logs": "logs",
}

// ask counts a question.
func (c *connection) ask(r *http.Request) error {
	for end, question := range questions {
		if strings.HasSuffix(r.URL.Path, end) {
			c.asked(question)
			return nil
		}
	}
	c.asked("inspect")
	return nil
}

// connect makes the clients; it dials nothing. asked is called with each question.
func (c *Config) connect(asked func(question string)) (*connection, error) {
	scheme, address, _ := strings.Cut(c.Host, "://")
	secure := c.TLS != (TLS{}) || scheme == "https"
	var identity *tls.Config
	if secure {
		var err error
		if identity, err = c.TLS.load(); err != nil {
			return nil, err
		}
	}
	conn := &connection{clock: &clock{}, asked: asked}
	host := c.Host
	if scheme == "http" || scheme == "https" {
		host = "tcp://" + address
	}
	var err error
	conn.Client, err = client.New(
		client.WithHTTPClient(&http.Client{Transport: transport(scheme, identity), CheckRedirect: client.CheckRedirect}),
		client.WithHost(host), client.WithUserAgent("bellbuoy"), client.WithHTTPResponseHook(conn.clock.hear),
		client.WithHTTPRequestHook(conn.ask),
	)
	if err != nil {
		return nil, err
	}
	t := transport(scheme, identity)
	switch scheme {
	case "unix":
		path := address
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := dialer().DialContext(ctx, "unix", path)
			if err == nil {
				conn.process.Store(listenerOf(c))
			}
			return c, err
		}
		address = "docker"
	case "npipe":
		pipe := conn.Dialer()
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return pipe(ctx) }
		address = "docker"
	}
	conn.base = "http://" + strings.TrimSuffix(address, "/")
	if secure {
		conn.base = "https://" + strings.TrimSuffix(address, "/")
	}
	conn.stream = &http.Client{Transport: t}
	return conn, nil
}

func (c *connection) close() {
	_ = c.Close()
	c.stream.CloseIdleConnections()
}

// dialer notices within half a minute that a peer of TCP is dead.
func dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
}

func transport(scheme string, identity *tls.Config) *http.Transport {
	t := &http.Transport{
		DialContext: dialer().DialContext, TLSClientConfig: identity,
		TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: answerTimeout, IdleConnTimeout: idleTimeout,
		MaxIdleConns: inspectors, MaxIdleConnsPerHost: inspectors,
	}
	if scheme != "unix" && scheme != "npipe" {
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}

// load reads the files. Without a CA the system's authorities are trusted.
func (t TLS) load() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("read tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read tls.ca: %s holds no certificate in PEM form", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("read tls.cert and tls.key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// span is which events are asked for, in ns of the daemon's clock.
type span struct {
	since   int64
	until   int64 // 0: go on with what comes
	filters client.Filters
}

// events asks for events and returns once the daemon has answered. The answer ends with ctx.
func (c *connection) events(ctx context.Context, s span) (*records, error) {
	query := url.Values{"since": {stamp(max(s.since, 0))}}
	if s.until > 0 {
		query.Set("until", stamp(s.until))
	}
	if len(s.filters) > 0 {
		text, err := json.Marshal(s.filters)
		if err != nil {
			return nil, fmt.Errorf("encode filters: %w", err)
		}
		query.Set("filters", string(text))
	}
	address := c.base + "/v" + c.ClientVersion() + "/events?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "bellbuoy")
	request.Header.Set("Accept", "application/jsonl, application/x-ndjson;q=0.9")
	c.asked("events")
	response, err := c.stream.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // its address says nothing to people
		}
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxMessage))
		return nil, fmt.Errorf("the daemon answered %s: %s", response.Status, message(text))
	}
	return newRecords(response.Body), nil
}

// message is what a refusal says.
func message(text []byte) string {
	var refusal struct{ Message string }
	if json.Unmarshal(text, &refusal) == nil && refusal.Message != "" {
		return refusal.Message
	}
	return string(bytes.TrimSpace(text))
}
