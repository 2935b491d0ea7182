package webhook

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/internal/secret"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

var update = flag.Bool("update", false, "write the golden files")

const key = "0123456789abcdef-and-more"

func open(t *testing.T, url string, edit func(*Config)) *Sink {
	t.Helper()
	cfg := DefaultConfig()
	cfg.URL, cfg.Secret = secret.String(url+"/hook/T0KEN"), key
	cfg.Headers = map[string]secret.String{"Authorization": "Bearer s3cr3t"}
	if edit != nil {
		edit(&cfg)
	}
	s, err := New(cfg, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// TestContract: every format keeps what package sinks asks for.
func TestContract(t *testing.T) {
	for _, format := range []string{CloudEvents, Slack} {
		t.Run(format, func(t *testing.T) {
			sinktest.Run(t, sinktest.Options{
				New: func(t *testing.T, url string) sinks.Sink {
					return open(t, url, func(c *Config) { c.Format = format })
				},
				Accept:  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
				Whole:   format == CloudEvents,
				Secrets: []string{"T0KEN", key, "s3cr3t"},
				Classes: map[int]sinktest.Class{
					302: sinktest.Permanent, 400: sinktest.Permanent, 413: sinktest.Permanent, 422: sinktest.Permanent, 429: sinktest.Throttled,
					401: sinktest.Retryable, 404: sinktest.Retryable, 408: sinktest.Retryable, 500: sinktest.Retryable, 502: sinktest.Retryable, 503: sinktest.Retryable,
				},
			})
		})
	}
}

// got is a request as the endpoint saw it.
type got struct {
	header http.Header
	body   []byte
	event  event.Event
	err    error
}

func receive(t *testing.T) (url string, requests *[]got) {
	t.Helper()
	requests = &[]got{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		g := got{header: r.Header, body: body, err: err}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		if ce, err := binding.ToEvent(r.Context(), cehttp.NewMessageFromHttpRequest(r)); err == nil {
			g.event, g.err = event.FromSDK(*ce)
		}
		*requests = append(*requests, g)
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

// TestSignedCloudEvents: a receiver that uses the SDK gets the event whole, and can tell ours from a forged one.
func TestSignedCloudEvents(t *testing.T) {
	url, requests := receive(t)
	batch := sinktest.Alerts()
	require.NoError(t, open(t, url, nil).Send(t.Context(), batch))
	require.Len(t, *requests, len(batch))
	for i, r := range *requests {
		require.NoError(t, r.err)
		assert.Equal(t, batch[i].ID, r.event.ID)
		assert.Equal(t, batch[i].Data.Workload, r.event.Data.Workload)
		assert.Equal(t, "application/cloudevents+json", r.header.Get("Content-Type"))
		assert.Equal(t, batch[i].ID, r.header.Get(HeaderID))
		assert.Equal(t, "Bearer s3cr3t", r.header.Get("Authorization"))
		at := r.header.Get(HeaderTime)
		sec, err := strconv.ParseInt(at, 10, 64)
		require.NoError(t, err)
		assert.InDelta(t, time.Now().Unix(), sec, 60)
		assert.Equal(t, Sign(key, at, r.body), r.header.Get(HeaderSignature))
		assert.NotEqual(t, Sign(key, at, append(r.body, ' ')), r.header.Get(HeaderSignature))
		assert.NotEqual(t, Sign(key, at+"0", r.body), r.header.Get(HeaderSignature))
	}
	// As printf '1764.{}' | openssl dgst -sha256 -hmac key says.
	assert.Equal(t, "v1=3429496fdeaff6110ba4c94ba6fab49df992cb4055ccf089c52da8c23ae11d46", Sign("key", "1764", []byte("{}")))
}

func TestSlack(t *testing.T) {
	sinktest.Golden(t, "testdata/slack.txt", *update, func(e *event.Event) string {
		body, _, err := slack(e)
		require.NoError(t, err)
		var m struct{ Text string }
		require.NoError(t, json.Unmarshal(body, &m))
		assert.LessOrEqual(t, len(m.Text), maxSlack+150)
		assert.Zero(t, strings.Count(m.Text, "```")%2, "a block of code ends")
		return m.Text
	})
	e := sinktest.Alerts()[0]
	e.Data.Workload = "<!channel> & <https://evil.example|click>"
	body, _, err := slack(&e)
	require.NoError(t, err)
	assert.NotContains(t, string(body), "<!")
	assert.NotContains(t, string(body), "\\u003c!")
}

// TestRest: what comes behind a failure that holds for the endpoint is not tried, what is refused alone does not keep
// the others from being sent.
func TestRest(t *testing.T) {
	answers := []int{200, 400, 200, 503, 200}
	seen := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(answers[seen])
		seen++
	}))
	t.Cleanup(server.Close)
	var batch []event.Event
	for n := range answers {
		e := sinktest.Alerts()[0]
		e.ID = fmt.Sprint(n)
		batch = append(batch, e)
	}
	err := open(t, server.URL, nil).Send(t.Context(), batch)
	var partial *sinks.Partial
	require.ErrorAs(t, err, &partial)
	require.NoError(t, partial.Errs[0])
	var permanent *sinks.Permanent
	require.ErrorAs(t, partial.Errs[1], &permanent)
	assert.Equal(t, "status_400", permanent.Reason)
	require.NoError(t, partial.Errs[2])
	for _, n := range []int{3, 4} {
		var throttled *sinks.Throttled
		require.ErrorAs(t, partial.Errs[n], &throttled)
		assert.Equal(t, 7*time.Second, throttled.After)
	}
	assert.Equal(t, 4, seen)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{"": 0, "x": 0, "-5": 0, "3": 3 * time.Second, "99999999999": longestWait, "1000000": longestWait, "Mon, 02 Jan 2006 15:04:05 GMT": 0} {
		assert.Equal(t, want, retryAfter(value), value)
	}
	assert.InDelta(t, 60, retryAfter(time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)).Seconds(), 2)
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit       func(*Config)
		path, want string
	}{
		"no url":      {func(c *Config) { c.URL = "" }, "url", "is missing"},
		"clear text":  {func(c *Config) { c.URL = "http://hooks.example.com/T0KEN" }, "url", "write https"},
		"no address":  {func(c *Config) { c.URL = "T0KEN" }, "url", "is not an address"},
		"scheme":      {func(c *Config) { c.URL = "ftp://example.com/T0KEN" }, "url", `scheme "ftp"`},
		"format":      {func(c *Config) { c.Format = "xml" }, "format", `"xml" is not a format`},
		"timeout":     {func(c *Config) { c.Timeout = time.Hour }, "timeout", "is 1h0m0s"},
		"weak secret": {func(c *Config) { c.Secret = "T0KEN" }, "secret", "has 5 characters"},
		"header":      {func(c *Config) { c.Headers = map[string]secret.String{"Content-type": "x"} }, "headers", "can't be set"},
		"header name": {func(c *Config) { c.Headers = map[string]secret.String{"a b": "x"} }, "headers", "can't be set"},
		"header line": {func(c *Config) { c.Headers = map[string]secret.String{"X-A": "T0KEN\r\nB: c"} }, "headers", "line break"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := DefaultConfig()
			cfg.URL = "https://hooks.example.com/T0KEN"
			tt.edit(&cfg)
			_, err := New(cfg, nil)
			faults := fault.All(err)
			require.Len(t, faults, 1)
			assert.Equal(t, tt.path, faults[0].Path)
			assert.Contains(t, faults[0].Problem, tt.want)
			assert.NotContains(t, err.Error(), "T0KEN")
		})
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	url, requests := receive(t)
	s := open(t, url, func(c *Config) { c.Format, c.Template = Slack, "{{.Workload}}: {{.Class}}{{index .Evidence 1}}" })
	alerts := sinktest.Alerts()
	alerts[0].Data.Cause.Evidence = []string{"a", "b"}
	bare := alerts[0]
	cause := *bare.Data.Cause
	cause.Evidence = nil // the template asks for a second line
	bare.Data.Cause = &cause
	require.NoError(t, s.Send(t.Context(), []event.Event{alerts[0], bare}))
	assert.JSONEq(t, `{"text": "pay: exit.errorb"}`, string((*requests)[0].body))
	assert.Contains(t, string((*requests)[1].body), "pay stopped", "never no alert")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	url, requests := receive(t)
	require.NoError(t, open(t, url, nil).Check(t.Context()))
	assert.Len(t, *requests, 1)
	gone := open(t, "http://127.0.0.1:1", nil).Check(t.Context())
	require.ErrorContains(t, gone, "reach 127.0.0.1:1")
	assert.NotContains(t, gone.Error(), "T0KEN")
}
