package faults_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/e2e/faults"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type stage struct {
	proxy  *faults.Proxy
	served atomic.Int64
	client http.Client
}

func newStage(t *testing.T) *stage {
	s := &stage{client: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.served.Add(1)
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(server.Close)
	s.proxy = faults.New(t, server.URL)
	return s
}

// publish is what SNS gets, in the Query protocol.
func (s *stage) publish(ctx context.Context) (int, string, error) {
	return s.send(ctx, "/", "Action=Publish&Message=m", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
}

func (s *stage) send(ctx context.Context, path, body string, header http.Header) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.proxy.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header = header
	res, err := s.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, string(answer), err
}

func TestForwardsAndCounts(t *testing.T) {
	s := newStage(t)
	requests := []struct {
		path, operation string
		header          http.Header
	}{
		{"/", "Publish", http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}},
		{"/", "SendMessage", http.Header{"X-Amz-Target": {"AmazonSQS.SendMessage"}}},
		{"/events-2026/_bulk", "_bulk", http.Header{}},
		{"/events-2026/_doc/7", "_doc", http.Header{}},
		{"/health", "POST /health", http.Header{}},
	}
	for _, r := range requests {
		code, body, err := s.send(t.Context(), r.path, "Action=Publish", r.header)
		if err != nil || code != http.StatusOK || body != "Action=Publish" {
			t.Errorf("%s: got %d %q %v", r.operation, code, body, err)
		}
		if n := s.proxy.Calls(r.operation); n != 1 {
			t.Errorf("%s: counted %d", r.operation, n)
		}
	}
}

func TestThrottleSpeaksTheProtocol(t *testing.T) {
	s := newStage(t)
	s.proxy.Inject(faults.Rule{Fault: faults.Throttle()})
	code, body, err := s.publish(t.Context())
	if err != nil || code != http.StatusTooManyRequests || !strings.Contains(body, "<Code>Throttled</Code>") {
		t.Errorf("SNS: got %d %q %v", code, body, err)
	}
	code, body, err = s.send(t.Context(), "/", "{}", http.Header{"X-Amz-Target": {"AmazonSQS.SendMessage"}})
	if err != nil || code != http.StatusBadRequest || !strings.Contains(body, "RequestThrottled") {
		t.Errorf("SQS: got %d %q %v", code, body, err)
	}
	code, body, err = s.send(t.Context(), "/_bulk", "{}", http.Header{})
	if err != nil || code != http.StatusTooManyRequests || !strings.Contains(body, "rejected_execution_exception") {
		t.Errorf("OpenSearch: got %d %q %v", code, body, err)
	}
	if n := s.served.Load(); n != 0 {
		t.Errorf("the server saw %d requests", n)
	}
}

func TestCutConnections(t *testing.T) {
	for name, want := range map[string]struct {
		fault  faults.Fault
		served int64
	}{
		"reset":         {faults.Reset(), 0},
		"lost response": {faults.LoseResponse(), 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.proxy.Inject(faults.Rule{Operation: "Publish", Fault: want.fault, Times: 1})
			if code, _, err := s.publish(t.Context()); err == nil {
				t.Errorf("got an answer: %d", code)
			}
			if n := s.served.Load(); n != want.served {
				t.Errorf("the server saw %d requests, want %d", n, want.served)
			}
			if code, _, err := s.publish(t.Context()); err != nil || code != http.StatusOK {
				t.Errorf("the rule held on: %d %v", code, err)
			}
		})
	}
}

func TestDelayAndOff(t *testing.T) {
	s := newStage(t)
	late := s.proxy.Inject(faults.Rule{Fault: faults.Delay(time.Hour)})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := s.publish(ctx); err == nil {
		t.Error("the answer was not delayed")
	}
	late.Off()
	if code, _, err := s.publish(t.Context()); err != nil || code != http.StatusOK {
		t.Errorf("the rule held on: %d %v", code, err)
	}
	if late.Hits() != 1 {
		t.Errorf("the rule hit %d times", late.Hits())
	}
}

func TestTimesHoldsForParallelRequests(t *testing.T) {
	s := newStage(t)
	rule := s.proxy.Inject(faults.Rule{Fault: faults.Status(http.StatusServiceUnavailable, "busy"), Times: 7})
	var refused atomic.Int64
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if code, _, err := s.publish(t.Context()); err == nil && code == http.StatusServiceUnavailable {
				refused.Add(1)
			}
		})
	}
	wait.Wait()
	if refused.Load() != 7 || rule.Hits() != 7 || s.proxy.Calls("Publish") != 20 {
		t.Errorf("refused %d, hit %d, counted %d", refused.Load(), rule.Hits(), s.proxy.Calls("Publish"))
	}
}

func TestDeadServerLooksDead(t *testing.T) {
	proxy := faults.New(t, "http://127.0.0.1:1")
	res, err := http.Get(proxy.URL)
	if err == nil {
		res.Body.Close()
		t.Fatalf("got %s", res.Status)
	}
}
