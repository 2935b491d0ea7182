package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// The headers of a request. The signature is "v1=" and the HMAC-SHA256 with the secret, in hex, of the time, a dot and
// the body; the time is in Unix seconds, so that a receiver can refuse what is old.
const (
	HeaderSignature = "Bellbuoy-Signature"
	HeaderTime      = "Bellbuoy-Time"
	HeaderID        = "Idempotency-Key"
)

// Sink posts events to one endpoint. It is safe for concurrent use.
type Sink struct {
	cfg    Config
	host   string // what may be told of the address
	client *http.Client
	words  *notice.Template
	logger *slog.Logger
}

var _ sinks.Sink = (*Sink)(nil)

// New returns a sink of the endpoint. It starts nothing and dials nothing; its errors are faults of cfg.
func New(cfg Config, logger *slog.Logger) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.URL.Reveal())
	if err != nil {
		return nil, errors.New("url is not an address") // checked above
	}
	words, err := notice.ParseTemplate("template", cfg.Template)
	if err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Sink{cfg: cfg, host: u.Host, words: words, logger: logger, client: &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: cfg.Timeout, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close drops idle connections.
func (s *Sink) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Send posts the batch one by one, in order, and stops at the first failure that would meet the next one, too.
func (s *Sink) Send(ctx context.Context, batch []event.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	errs := make([]error, len(batch))
	for i := range batch {
		var permanent *sinks.Permanent
		if errs[i] = s.post(ctx, &batch[i]); errs[i] != nil && !errors.As(errs[i], &permanent) {
			for n := i + 1; n < len(batch); n++ {
				errs[n] = errs[i]
			}
			break
		}
	}
	return sinks.Verdict(errs)
}

// maxAnswer is how much of an answer is read, so that the connection can be used again.
const maxAnswer = 64 << 10

func (s *Sink) post(ctx context.Context, e *event.Event) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	req, err := s.request(ctx, e)
	if err != nil {
		return err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("post to %s: %w", s.host, bare(err))
	}
	defer func() { _ = res.Body.Close() }() // it is read, or given up
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", s.host, bare(err))
	}
	return s.verdict(res, answer)
}

// bare is the cause of an error of the client without the address, which it names.
func bare(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

func (s *Sink) verdict(res *http.Response, answer []byte) error {
	told := fmt.Errorf("%s answers %s: %s", s.host, res.Status, notice.Cut(notice.Clean(string(answer)), 200))
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		return &sinks.Throttled{After: retryAfter(res.Header.Get("Retry-After")), Err: told}
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound, code == http.StatusGone,
		code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		return told // an operator can mend it, and an alert must not get lost
	}
	return &sinks.Permanent{Reason: "status_" + strconv.Itoa(res.StatusCode), Err: told}
}

// longestWait bounds what an endpoint can ask for.
const longestWait = 10 * time.Minute

// retryAfter reads seconds or a date; zero is neither.
func retryAfter(value string) time.Duration {
	if n, err := strconv.Atoi(value); err == nil {
		return min(max(time.Duration(min(n, 1<<20))*time.Second, 0), longestWait)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(at), 0), longestWait)
	}
	return 0
}

func (s *Sink) request(ctx context.Context, e *event.Event) (*http.Request, error) {
	body, kind, err := s.body(ctx, e)
	if err != nil {
		return nil, &sinks.Permanent{Reason: "encode", Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return nil, &sinks.Permanent{Reason: "request", Err: errors.New("the request can't be made")} // the error names the address
	}
	for name, value := range s.cfg.Headers {
		req.Header.Set(name, value.Reveal())
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "bellbuoy")
	if id := notice.Cut(notice.Clean(e.ID), 128); id != "" {
		req.Header.Set(HeaderID, id)
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set(HeaderTime, at)
	if s.cfg.Secret != "" {
		req.Header.Set(HeaderSignature, Sign(s.cfg.Secret.Reveal(), at, body))
	}
	return req, nil
}

// Sign returns the value of the header Bellbuoy-Signature: "v1=" and the HMAC-SHA256 of time, dot and body in hex.
func Sign(secret, at string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(at + ".")) // it never fails
	_, _ = mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Preview returns what would be sent of an event.
func (s *Sink) Preview(ctx context.Context, e *event.Event) (string, error) {
	body, kind, err := s.body(ctx, e)
	return "Content-Type: " + kind + "\n\n" + string(body), err
}

// Check asks the endpoint which methods it has, which delivers nothing, and is content with any answer.
func (s *Sink) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, s.cfg.URL.Reveal(), nil)
	if err != nil {
		return errors.New("the request can't be made")
	}
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("reach %s: %w", s.host, bare(err))
	}
	return res.Body.Close()
}
