package opensearch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/opensearch-project/opensearch-go/v4/opensearchtransport"
	"github.com/opensearch-project/opensearch-go/v4/signer"
	"github.com/opensearch-project/opensearch-go/v4/signer/awsv2"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
)

// maxAnswer bounds how much of an answer is read: a full batch of the smallest events, each refused.
const maxAnswer = 64 << 20

// client sends requests to the target and does nothing on its own: no retry, no discovery, no polling
// of node statistics and no GET /, which a role that may only write is denied. Its transport is made at
// the first request, because it starts a goroutine that only close ends.
type client struct {
	cfg       Config
	signer    signer.Signer
	roots     *x509.CertPool
	urls      []*url.URL
	mu        sync.Mutex
	transport *opensearchtransport.Client // under mu
	conns     *http.Transport             // under mu
}

func newClient(cfg Config, loader *awsclient.Loader) (*client, error) {
	c := &client{cfg: cfg}
	for i, address := range cfg.Addresses {
		u, err := url.Parse(strings.TrimRight(address, "/"))
		if err != nil {
			return nil, fmt.Errorf("parse address %d: %w", i, err)
		}
		c.urls = append(c.urls, u)
	}
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("read ca: %w", err)
		}
		c.roots = x509.NewCertPool()
		if !c.roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read ca: %s holds no PEM certificate", cfg.CA)
		}
	}
	if cfg.Auth != SigV4 {
		return c, nil
	}
	if loader == nil {
		loader = &awsclient.Loader{}
	}
	aws, err := loader.Load(cfg.aws())
	if err != nil {
		return nil, err
	}
	c.signer, err = awsv2.NewSignerWithService(aws, cfg.service())
	if err != nil {
		return nil, fmt.Errorf("make request signer: %w", err)
	}
	return c, nil
}

// service is the name to sign for: that of Serverless collections can be told by their address.
func (c Config) service() string {
	switch {
	case c.Service != "":
		return c.Service
	case strings.Contains(c.Addresses[0], ".aoss."):
		return "aoss"
	}
	return "es"
}

// open returns the transport.
func (c *client) open() (*opensearchtransport.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil {
		return c.transport, nil
	}
	conns := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.roots},
	}
	transport, err := opensearchtransport.New(opensearchtransport.Config{
		URLs:                  c.urls,
		Username:              c.cfg.Username,
		Password:              c.cfg.Password.Reveal(),
		Signer:                c.signer,
		Transport:             conns,
		DisableRetry:          true,
		CompressRequestBody:   c.cfg.Gzip,
		NodeStatsInterval:     -1,
		MaxRetryClusterHealth: -1,
		HealthCheck:           opensearchtransport.NoOpHealthCheck,
	})
	if err != nil {
		return nil, fmt.Errorf("make OpenSearch transport: %w", err)
	}
	c.transport, c.conns = transport, conns
	return transport, nil
}

// close ends what open started. A later request opens it again.
func (c *client) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport == nil {
		return nil
	}
	err := c.transport.Close()
	c.conns.CloseIdleConnections()
	c.transport, c.conns = nil, nil
	return err
}

// answer is what the target said.
type answer struct {
	status     int
	body       []byte
	retryAfter string
}

// do sends one request and reads the whole answer, within the configured time. Any status is an answer;
// an error means that the outcome is unknown.
func (c *client) do(caller context.Context, method, path, contentType string, body []byte) (answer, error) {
	transport, err := c.open()
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(caller, c.cfg.Timeout)
	defer cancel()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, path, reader)
	if err != nil {
		return answer{}, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("User-Agent", "bellbuoy")
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := transport.Stream(req)
	if err != nil {
		if res != nil {
			res.Body.Close()
		}
		return answer{}, c.slow(caller, ctx, err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer{}, c.slow(caller, ctx, fmt.Errorf("read answer: %w", err))
	}
	return answer{res.StatusCode, all, res.Header.Get("Retry-After")}, nil
}

// slow tells our own limit, which is the target's fault, from the end of the caller's context, which is
// nobody's.
func (c *client) slow(caller, ctx context.Context, err error) error {
	if caller.Err() == nil && ctx.Err() != nil {
		return fmt.Errorf("no answer within %s: %v", c.cfg.Timeout, err) //nolint:errorlint // must not look like the end of the caller's context
	}
	return err
}
