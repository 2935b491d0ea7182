package opensearch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/secret"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

func TestConformance(t *testing.T) {
	w := newWire(t)
	sinktest.Run(t, sinktest.Options{
		New: func(t *testing.T, url string) sinks.Sink {
			cfg := DefaultConfig()
			cfg.Addresses = []string{url}
			cfg.Auth, cfg.Username, cfg.Password = Basic, "sink", "open-sesame-42"
			s, err := New(cfg, Deps{Name: "search"})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s
		},
		Accept: w.serve,
		Classes: map[int]sinktest.Class{
			400: sinktest.Throttled, // the first request is for the template: the target's fault, not an event's
			401: sinktest.Throttled, 403: sinktest.Throttled, 429: sinktest.Throttled,
			500: sinktest.Retryable, 502: sinktest.Retryable, 503: sinktest.Retryable, 504: sinktest.Retryable,
		},
		Secrets: []string{"open-sesame-42"},
	})
}

func TestARedeliveryIsOneDocument(t *testing.T) {
	w := newWire(t)
	reg := prometheus.NewRegistry()
	cfg := DefaultConfig()
	cfg.Addresses = []string{w.URL}
	s, err := New(cfg, Deps{Name: "search", Registerer: reg})
	require.NoError(t, err)
	defer s.Close()
	for range 3 {
		require.NoError(t, s.Send(t.Context(), events("a", "b")))
	}
	require.Len(t, w.stored(), 2)
	require.Contains(t, w.stored(), "bellbuoy-events-2026.48/a")
	require.InDelta(t, 2, testutil.ToFloat64(s.metrics.documents.WithLabelValues(verdictCreated)), 0)
	require.InDelta(t, 4, testutil.ToFloat64(s.metrics.documents.WithLabelValues(verdictDuplicate)), 0)
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
	again, err := New(cfg, Deps{Name: "search", Registerer: reg})
	require.NoError(t, err, "a reload makes the sink again")
	require.Equal(t, s.metrics, again.metrics)
}

func TestEachDocumentHasItsOwnVerdict(t *testing.T) {
	w := newWire(t)
	w.verdict = func(id string) string {
		switch id {
		case "odd":
			return `"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse field [x] of type [long] in document with id 'odd'. Preview of field's value: 'token=hunter2'"}`
		case "busy":
			return `"status":429,"error":{"type":"rejected_execution_exception","reason":"rejected execution"}`
		}
		return ""
	}
	err := w.sink(t).Send(t.Context(), events("a", "odd", "b", "busy", "c"))
	var partial *sinks.Partial
	require.ErrorAs(t, err, &partial)
	require.Len(t, partial.Errs, 5)
	require.NoError(t, errors.Join(partial.Errs[0], partial.Errs[2], partial.Errs[4]))
	var permanent *sinks.Permanent
	require.ErrorAs(t, partial.Errs[1], &permanent)
	require.Equal(t, "mapping", permanent.Reason)
	require.NotContains(t, permanent.Error(), "hunter2", "what the target quotes of a document")
	var throttled *sinks.Throttled
	require.ErrorAs(t, partial.Errs[3], &throttled)
	require.Len(t, w.stored(), 3)
}

func TestABatchIsSplitAtItsLimit(t *testing.T) {
	w := newWire(t)
	s := w.sink(t, func(c *Config) { c.MaxBatchBytes = minBatchBytes })
	batch := events("a", "b", "c", "d", "e")
	for i := range batch {
		batch[i].Data.Message = strings.Repeat("x", 100<<10)
	}
	require.NoError(t, s.Send(t.Context(), batch))
	require.Len(t, w.stored(), 5)
	require.Equal(t, 3, countBulks(w), "two documents a request")
}

func countBulks(w *wire) int {
	n := 0
	for _, r := range w.seen() {
		if r == "POST /_bulk" {
			n++
		}
	}
	return n
}

func TestATooLargeRequestIsHalvedUntilOneDocumentIsLeft(t *testing.T) {
	w := newWire(t)
	s := w.sink(t)
	require.NoError(t, s.Setup(t.Context()))
	w.set(func() {
		w.bulk = func(out http.ResponseWriter, r *http.Request) {
			if r.ContentLength > 1500 {
				http.Error(out, "<html>413 Request Entity Too Large</html>", http.StatusRequestEntityTooLarge)
				return
			}
			w.answerBulk(out, r)
		}
	})
	batch := events("a", "b", "c", "big", "d", "e", "f")
	batch[3].Data.Message = strings.Repeat("x", 2000)
	err := s.Send(t.Context(), batch)
	var partial *sinks.Partial
	require.ErrorAs(t, err, &partial)
	for i, e := range partial.Errs {
		if batch[i].ID != "big" {
			require.NoError(t, e, batch[i].ID)
		}
	}
	var permanent *sinks.Permanent
	require.ErrorAs(t, partial.Errs[3], &permanent)
	require.Equal(t, "too_large", permanent.Reason)
	require.Len(t, w.stored(), 6)
}

func TestAMalformedDocumentIsFoundByHalving(t *testing.T) {
	w := newWire(t)
	s := w.sink(t)
	require.NoError(t, s.Setup(t.Context()))
	w.set(func() {
		w.bulk = func(out http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || strings.Contains(string(body), "poison") {
				http.Error(out, `{"error":{"type":"illegal_argument_exception","reason":"Malformed content"},"status":400}`, http.StatusBadRequest)
				return
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			w.answerBulk(out, r)
		}
	})
	err := s.Send(t.Context(), events("a", "b", "poison", "c"))
	var partial *sinks.Partial
	require.ErrorAs(t, err, &partial)
	var permanent *sinks.Permanent
	require.ErrorAs(t, partial.Errs[2], &permanent)
	require.Equal(t, "malformed", permanent.Reason)
	require.Len(t, w.stored(), 3)
}

// An answer that does not fit the request leaves the outcome of the whole batch unknown, and the next
// attempt meets the documents that did get in.
func TestAnAnswerThatDoesNotFitLeavesTheOutcomeUnknown(t *testing.T) {
	for name, body := range map[string]string{
		"cut short":        `{"took":1,"errors":false,"items":[{"create":{"_id":"a","stat`,
		"too few items":    `{"took":1,"errors":false,"items":[{"create":{"_id":"a","status":201}}]}`,
		"too many items":   `{"took":1,"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]}`,
		"other order":      `{"took":1,"errors":false,"items":[{"create":{"_id":"b","status":201}},{"create":{"_id":"a","status":201}}]}`,
		"other action":     `{"took":1,"errors":false,"items":[{"index":{"_id":"a","status":201}},{"index":{"_id":"b","status":201}}]}`,
		"no statuses":      `{"took":1,"errors":true,"items":[{"create":{"_id":"a"}},{"create":{"_id":"b"}}]}`,
		"another service":  `{"ok":true}`,
		"no JSON":          `<html>welcome</html>`,
		"nothing":          ``,
		"errors not there": `{"items":[{"create":{"status":201}},{"create":{"status":201}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.bulk = func(out http.ResponseWriter, _ *http.Request) { fmt.Fprint(out, body) }
			s := w.sink(t)
			err := s.Send(t.Context(), events("a", "b"))
			require.Equal(t, sinktest.Retryable, sinktest.ClassOf(err), "%v", err)
			w.set(func() { w.bulk = nil })
			require.NoError(t, s.Send(t.Context(), events("a", "b")))
			require.Len(t, w.stored(), 2)
		})
	}
}

func TestABodyThatBreaksOffIsUnknown(t *testing.T) {
	w := newWire(t)
	w.bulk = func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Length", "1000")
		fmt.Fprint(out, `{"took":1,`)
	}
	require.Equal(t, sinktest.Retryable, sinktest.ClassOf(w.sink(t).Send(t.Context(), events("a"))))
}

func TestASlowTargetIsRetryableAndNotACancel(t *testing.T) {
	w := newWire(t)
	s := w.sink(t, func(c *Config) { c.Timeout = time.Second })
	require.NoError(t, s.Setup(t.Context()))
	release := make(chan struct{})
	defer close(release)
	w.set(func() { w.bulk = func(http.ResponseWriter, *http.Request) { <-release } })
	err := s.Send(t.Context(), events("a"))
	require.ErrorContains(t, err, "no answer within 1s")
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, sinktest.Retryable, sinktest.ClassOf(err))
}

func TestAnEventWithoutAUsableIDIsRefused(t *testing.T) {
	w := newWire(t)
	batch := events("a", "", strings.Repeat("x", 513), "b")
	var partial *sinks.Partial
	require.ErrorAs(t, w.sink(t).Send(t.Context(), batch), &partial)
	require.Equal(t, sinktest.Permanent, sinktest.ClassOf(partial.Errs[1]))
	require.Equal(t, sinktest.Permanent, sinktest.ClassOf(partial.Errs[2]))
	require.Len(t, w.stored(), 2)
}

func TestCredentialsAreSentAndCompressionWorks(t *testing.T) {
	w := newWire(t)
	var header http.Header
	w.deny = func(r *http.Request) int {
		header = r.Header.Clone()
		return 0
	}
	w.bulk = func(out http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(out, `{"took":1,"errors":false,"items":[{"create":{"_id":"a","status":201}}]}`)
	}
	s := w.sink(t, func(c *Config) { c.Auth, c.Username, c.Password, c.Gzip = Basic, "sink", secret.String("pass"), true })
	require.NoError(t, s.Send(t.Context(), events("a")))
	require.Equal(t, "Basic c2luazpwYXNz", header.Get("Authorization"))
	require.Equal(t, "gzip", header.Get("Content-Encoding"))
	require.Equal(t, "application/x-ndjson", header.Get("Content-Type"))
}

// A role that may only write is denied everything else, so the sink must not even ask.
func TestOnlyTheRequestsOfALeastRoleAreSent(t *testing.T) {
	w := newWire(t)
	w.template = templateVersion
	second := newWire(t)
	second.template = templateVersion
	s := w.sink(t, func(c *Config) { c.Addresses = append(c.Addresses, second.URL) })
	for range 4 {
		require.NoError(t, s.Send(t.Context(), events("a")))
	}
	for _, r := range append(w.seen(), second.seen()...) {
		require.Contains(t, []string{"GET /_index_template/bellbuoy-events", "POST /_bulk"}, r)
	}
}

func BenchmarkBatch(b *testing.B) {
	batch := sinktest.Alerts()[:1]
	s := &Sink{cfg: DefaultConfig()}
	b.ReportAllocs()
	for b.Loop() {
		bt := s.bodies.take()
		for range 1000 {
			bt.add(0, &batch[0], "bellbuoy", batch[0].Time)
		}
		s.bodies.give(bt, s.cfg.MaxBatchBytes)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/doc")
}

// The whole Send against a server on a socket, which shares the process and its cores.
func BenchmarkSend(b *testing.B) {
	batch := make([]event.Event, 0, 1000)
	var items strings.Builder
	for i := range 1000 {
		e := sinktest.Alerts()[0]
		e.ID = fmt.Sprintf("%032d", i)
		batch = append(batch, e)
		fmt.Fprintf(&items, `,{"create":{"_id":%q,"status":201}}`, e.ID)
	}
	reply := `{"took":1,"errors":false,"items":[` + items.String()[1:] + `]}`
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprintf(out, `{"index_templates":[{"index_template":{"version":%d}}]}`, templateVersion)
			return
		}
		io.Copy(io.Discard, r.Body) //nolint:errcheck // the stub reads what it is sent
		io.WriteString(out, reply)  //nolint:errcheck // a failed write fails Send
	}))
	defer server.Close()
	cfg := DefaultConfig()
	cfg.Addresses = []string{server.URL}
	s, err := New(cfg, Deps{Name: "search"})
	require.NoError(b, err)
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, s.Send(b.Context(), batch))
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "docs/s")
}
