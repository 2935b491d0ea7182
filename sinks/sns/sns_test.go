package sns

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	topic     = "arn:aws:sns:eu-west-1:123456789012:alerts"
	accessKey = "AKIDEXAMPLE"
	secretKey = "topsecretkey"
	session   = "topsecretsession"
)

func environment(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	t.Setenv("AWS_SESSION_TOKEN", session)
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func configFor(url string) Config {
	cfg := DefaultConfig()
	cfg.TopicARN, cfg.Endpoint = topic, url
	return cfg
}

// open returns a sink that retries within milliseconds.
func open(t *testing.T, cfg Config, deps Deps) *Sink {
	t.Helper()
	environment(t)
	if deps.Name == "" {
		deps.Name = "pager"
	}
	deps.AWS = &awsclient.Loader{MaxBackoff: time.Millisecond}
	s, err := New(cfg, deps)
	require.NoError(t, err)
	return s
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// memory is a bucket in memory; fail makes its calls fail.
type memory struct {
	mu     sync.Mutex
	values map[string]string
	fail   error
}

func (m *memory) Get(_ context.Context, key string) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.values[key]; ok && m.fail == nil {
		return []byte(v), 1, nil
	}
	return nil, 0, m.fail
}

func (m *memory) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil || ctx.Err() != nil {
		return 0, false, errors.Join(m.fail, ctx.Err())
	}
	if _, exists := m.values[key]; exists || revision != 0 {
		return 1, false, nil
	}
	if m.values == nil {
		m.values = map[string]string{}
	}
	m.values[key] = string(value)
	return 1, true, nil
}

func TestConformance(t *testing.T) {
	codes := map[int]string{400: "InvalidParameter", 403: "AuthorizationError", 404: "NotFound", 413: "RequestEntityTooLarge", 429: "Throttled", 500: "InternalError", 503: "ServiceUnavailable"}
	classes := sinktest.DefaultClasses()
	classes[403], classes[404] = sinktest.Retryable, sinktest.Permanent
	sinktest.Run(t, sinktest.Options{
		New:    func(t *testing.T, url string) sinks.Sink { return open(t, configFor(url), Deps{}) },
		Accept: (&fakeSNS{}).ServeHTTP,
		Refuse: func(w http.ResponseWriter, _ *http.Request, status int) {
			refuse(w, status, codes[status], "scripted")
		},
		Classes: classes,
		Secrets: []string{secretKey, session},
	})
}

func TestPublishesAlertsOnly(t *testing.T) {
	fake, reg, marks := &fakeSNS{}, prometheus.NewPedanticRegistry(), &memory{}
	s := open(t, configFor(serve(t, fake)), Deps{Marks: marks, Registerer: reg})
	batch := sinktest.Alerts()
	muted, expected := batch[0], batch[1]
	muted.ID, muted.Data.Labels = "muted", map[string]string{"bellbuoy.alert": "off"}
	cause := *expected.Data.Cause
	cause.Expected = true
	expected.ID, expected.Data.Cause = "expected", &cause
	require.NoError(t, s.Send(t.Context(), append([]event.Event{muted, expected}, batch...)))

	got := fake.all()
	require.Len(t, got, len(batch))
	assert.Equal(t, 3, fake.calls, "eleven messages are two calls, and the size of one asks for the topic's limit")
	assert.Equal(t, "[prod-eu] pay stopped: exit code 3 (ran 4s)", got[0].Subject)
	assert.Contains(t, got[0].Message, "Event: "+batch[0].ID+"\n")
	assert.Equal(t, map[string][2]string{
		"severity": {"Number", "17"}, "state": {"String", "stopped"}, "class": {"String", "exit.error"}, "expected": {"String", "false"}, "site": {"String", "prod-eu"},
		"workload": {"String", "pay"}, "runtime": {"String", "docker"}, "scope": {"String", "shop"}, "owner": {"String", "team-payments"}, "node": {"String", "web-7"},
	}, got[0].Attributes)
	assert.Len(t, marks.values, len(batch))
	assert.Contains(t, marks.values, "sent.pager."+batch[0].ID)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP bellbuoy_sns_skipped_total Events that were accepted and not sent, by reason.
# TYPE bellbuoy_sns_skipped_total counter
bellbuoy_sns_skipped_total{reason="already_sent",sink="pager"} 0
bellbuoy_sns_skipped_total{reason="amended",sink="pager"} 0
bellbuoy_sns_skipped_total{reason="expected",sink="pager"} 1
bellbuoy_sns_skipped_total{reason="muted",sink="pager"} 1
`), "bellbuoy_sns_skipped_total"))
}

func TestRedeliveryAndAmendmentAlertOnce(t *testing.T) {
	fake, marks := &fakeSNS{}, &memory{}
	url := serve(t, fake)
	first := sinktest.Alerts()[0]
	amended, again := first, first
	amended.ID, amended.Data.Supersedes = "amended", first.ID
	again.ID, again.Data.Supersedes = "again", amended.ID
	for i, batch := range [][]event.Event{{first}, {first}, {amended}, {amended, first}, {again}} {
		// A new sink each time, as after a restart: only the marks remember.
		s := open(t, configFor(url), Deps{Marks: marks})
		require.NoError(t, s.Send(t.Context(), batch))
		assert.Len(t, fake.all(), 1, "after batch %d", i)
	}
	require.NoError(t, open(t, configFor(url), Deps{Name: "other", Marks: marks}).Send(t.Context(), []event.Event{first}))
	assert.Len(t, fake.all(), 2, "marks are per sink")
}

// The amendment may come first, or in one batch with what it amends; then it is the one that is told.
func TestAmendmentWins(t *testing.T) {
	first := sinktest.Alerts()[2]
	better := sinktest.Alerts()[1]
	better.Data.Supersedes = first.ID
	expected := better
	cause := *better.Data.Cause
	cause.Expected = true
	expected.Data.Cause = &cause

	for name, c := range map[string]struct {
		batches [][]event.Event
		want    []string
	}{
		"one batch":        {[][]event.Event{{first, better}}, []string{"[prod-eu] pay stopped: out of memory (ran 1d3h)"}},
		"amendment before": {[][]event.Event{{better}, {first}}, []string{"[prod-eu] pay stopped: out of memory (ran 1d3h)"}},
		"same event twice": {[][]event.Event{{better, better}}, []string{"[prod-eu] pay stopped: out of memory (ran 1d3h)"}},
		"expected in fact": {[][]event.Event{{first, expected}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &fakeSNS{}
			s := open(t, configFor(serve(t, fake)), Deps{Marks: &memory{}})
			for _, batch := range c.batches {
				require.NoError(t, s.Send(t.Context(), batch))
			}
			var subjects []string
			for _, p := range fake.all() {
				subjects = append(subjects, p.Subject)
			}
			assert.Equal(t, c.want, subjects)
		})
	}
}

// If the amendment can't be sent, what it amends is not accepted either.
func TestFollowerSharesTheVerdict(t *testing.T) {
	first, better := sinktest.Alerts()[2], sinktest.Alerts()[1]
	better.Data.Supersedes = first.ID
	s := open(t, configFor(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 403, "AuthorizationError", "no")
	}))), Deps{})
	err := s.Send(t.Context(), []event.Event{first, better})
	require.Error(t, err)
	assert.Equal(t, sinktest.Retryable, sinktest.ClassOf(err))
}

func TestBrokenBucketDoesNotStopAlerts(t *testing.T) {
	fake, reg := &fakeSNS{}, prometheus.NewPedanticRegistry()
	s := open(t, configFor(serve(t, fake)), Deps{Marks: &memory{fail: errors.New("no quorum")}, Registerer: reg})
	require.NoError(t, s.Send(t.Context(), sinktest.Alerts()[:1]))
	assert.Len(t, fake.all(), 1)
	assert.InDelta(t, 1, testutil.ToFloat64(s.metrics.markErrors.WithLabelValues("read")), 0)
	assert.InDelta(t, 1, testutil.ToFloat64(s.metrics.markErrors.WithLabelValues("write")), 0)
}

// The alert is out, so the mark is written although the caller has given up meanwhile.
func TestMarkOutlivesTheContext(t *testing.T) {
	marks := &memory{}
	s := open(t, configFor("http://127.0.0.1:1"), Deps{Marks: marks})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.mark(ctx, "id", "m")
	assert.Equal(t, map[string]string{"sent.pager.id": "m"}, marks.values)
}

func TestPartialVerdicts(t *testing.T) {
	fake, marks := &fakeSNS{}, &memory{}
	fake.spoil = func(r *batchResult) {
		r.Successful = r.Successful[:1] // the fourth is in neither list
		r.Failed = []failure{{"1", "InvalidParameter", "no", true}, {"2", "InternalError", "later", false}}
	}
	s := open(t, configFor(serve(t, fake)), Deps{Marks: marks})
	batch := sinktest.Alerts()[:4]
	err := s.Send(t.Context(), batch)
	var partial *sinks.Partial
	require.ErrorAs(t, err, &partial)
	var classes []sinktest.Class
	for _, e := range partial.Errs {
		classes = append(classes, sinktest.ClassOf(e))
	}
	assert.Equal(t, []sinktest.Class{sinktest.Accepted, sinktest.Permanent, sinktest.Retryable, sinktest.Retryable}, classes)
	require.ErrorIs(t, partial.Errs[3], errNoResult)
	assert.Len(t, marks.values, 1, "only what was sent is marked")
}

// poisoned refuses every call that has the word in it.
func poisoned(t *testing.T, fake *fakeSNS) string {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseForm())
		for _, values := range r.PostForm {
			if strings.Contains(values[0], "poison") {
				refuse(w, 400, "InvalidParameter", "poison")
				return
			}
		}
		fake.ServeHTTP(w, r)
	}))
}

// Only the bad entry is refused, whether it shares its call with others or fills it.
func TestBadEntryDoesNotHoldUpOthers(t *testing.T) {
	for name, size := range map[string]int{"shared call": 0, "call of its own": 30} {
		t.Run(name, func(t *testing.T) {
			fake := &fakeSNS{limit: minMessageBytes}
			cfg := configFor(poisoned(t, fake))
			cfg.MaxMessageBytes = minMessageBytes
			batch := sinktest.Alerts()[:3]
			batch[1].Data.Task.Log.Lines = append([]string{"poison"}, slices.Repeat([]string{strings.Repeat("x", 150)}, min(size, 19))...)
			err := open(t, cfg, Deps{}).Send(t.Context(), batch)
			var partial *sinks.Partial
			require.ErrorAs(t, err, &partial)
			require.NoError(t, errors.Join(partial.Errs[0], partial.Errs[2]))
			assert.Equal(t, sinktest.Permanent, sinktest.ClassOf(partial.Errs[1]))
			assert.Len(t, fake.all(), 2)
		})
	}
}

// After a call that failed for all, the next ones of the batch are not tried.
func TestOutageIsOneCallPerBatch(t *testing.T) {
	var calls atomic.Int64
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Retry-After", "7")
		refuse(w, 429, "Throttled", "Rate exceeded")
	}))
	var batch []event.Event
	for i := range 25 {
		e := sinktest.Alerts()[0]
		e.ID = fmt.Sprint("e", i)
		batch = append(batch, e)
	}
	err := open(t, configFor(url), Deps{}).Send(t.Context(), batch)
	var throttled *sinks.Throttled
	require.ErrorAs(t, err, &throttled)
	assert.Equal(t, 7*time.Second, throttled.After)
	assert.EqualValues(t, awsclient.Attempts, calls.Load())
}

func TestErrorsTellWhatToDo(t *testing.T) {
	for code, c := range map[string]struct {
		status int
		class  sinktest.Class
		says   []string
	}{
		"AuthorizationError":    {403, sinktest.Retryable, []string{topic, "sns:Publish"}},
		"KMSAccessDenied":       {400, sinktest.Retryable, []string{topic, "kms:GenerateDataKey"}},
		"SignatureDoesNotMatch": {403, sinktest.Retryable, []string{"credentials", "clock"}},
		"NotFound":              {404, sinktest.Permanent, []string{topic, "topic_not_found", "topic_arn"}},
		"KMSThrottling":         {400, sinktest.Throttled, []string{topic}},
		"Throttling":            {400, sinktest.Throttled, []string{topic}},
		"SomethingNew":          {418, sinktest.Retryable, []string{topic, "SomethingNew"}},
	} {
		t.Run(code, func(t *testing.T) {
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				refuse(w, c.status, code, "The canonical string was "+r.Header.Get("X-Amz-Security-Token"))
			}))
			err := open(t, configFor(url), Deps{}).Send(t.Context(), sinktest.Alerts()[:1])
			assert.Equal(t, c.class, sinktest.ClassOf(err), "%v", err)
			for _, says := range c.says {
				assert.ErrorContains(t, err, says)
			}
			if code == "SignatureDoesNotMatch" {
				assert.NotContains(t, err.Error(), session)
			}
		})
	}
}

func TestAssumedRoleRefused(t *testing.T) {
	cfg := configFor(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, 403, "AccessDenied", "not you") })))
	cfg.RoleARN = "arn:aws:iam::123456789012:role/bellbuoy"
	err := open(t, cfg, Deps{}).Send(t.Context(), sinktest.Alerts()[:1])
	assert.Equal(t, sinktest.Retryable, sinktest.ClassOf(err))
	assert.ErrorContains(t, err, "sts:AssumeRole")
}

func TestLostAnswerRepeatsAtMostOnce(t *testing.T) {
	fake, marks := &fakeSNS{}, &memory{}
	var lost atomic.Bool
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lost.Swap(true) {
			fake.ServeHTTP(w, r)
			return
		}
		fake.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}))
	s := open(t, configFor(url), Deps{Marks: marks})
	for range 3 {
		require.NoError(t, s.Send(t.Context(), sinktest.Alerts()[:1]))
	}
	assert.Len(t, fake.all(), 2, "once more for the lost answer, and then the mark holds")
}

func TestNewDialsNothing(t *testing.T) {
	called := false
	open(t, configFor(serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))), Deps{})
	assert.False(t, called)
}

// As after a reload: the counters go on.
func TestSecondSinkOfOneName(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	a := open(t, configFor("http://127.0.0.1:1"), Deps{Registerer: reg})
	b := open(t, configFor("http://127.0.0.1:1"), Deps{Registerer: reg})
	open(t, configFor("http://127.0.0.1:1"), Deps{Name: "other", Registerer: reg})
	a.skipped(skipMuted)
	assert.InDelta(t, 1, testutil.ToFloat64(b.metrics.skipped.WithLabelValues(skipMuted)), 0)
}

// TestTopicsOwnLimit: a topic that takes less than the config says gets less, without a refusal.
func TestTopicsOwnLimit(t *testing.T) {
	fake := &fakeSNS{limit: 8 << 10}
	s := open(t, configFor(serve(t, fake)), Deps{})
	e := sinktest.Alerts()[0]
	e.Data.Task.Log = &event.Log{}
	for range 20 {
		e.Data.Task.Log.Lines = append(e.Data.Task.Log.Lines, strings.Repeat("日本", 300))
	}
	require.NoError(t, s.Send(t.Context(), []event.Event{e}))
	require.Empty(t, fake.refused)
	require.Len(t, fake.all(), 1)
	sent := fake.all()[0]
	assert.LessOrEqual(t, sent.size(), 8<<10)
	assert.Contains(t, sent.Message, "cut to the topic's size limit")
}

// TestTemplates: a user's own words, and the built-in ones where those fail.
func TestTemplates(t *testing.T) {
	fake := &fakeSNS{}
	cfg := configFor(serve(t, fake))
	cfg.Template, cfg.Subject = "{{.Workload}} {{.Class}} {{index .Evidence 1}}", "{{.Severity}} {{.Workload}} ünd {{index .Evidence 1}}"
	s := open(t, cfg, Deps{})
	e := sinktest.Alerts()[0]
	e.Data.Cause.Evidence = []string{"a", "b"}
	bare := e
	cause := *e.Data.Cause
	cause.Evidence, bare.Data.Cause, bare.ID = nil, &cause, "another"
	require.NoError(t, s.Send(t.Context(), []event.Event{e, bare}))
	require.Empty(t, fake.refused)
	sent := fake.all()
	assert.Equal(t, "pay exit.error b", sent[0].Message)
	assert.Contains(t, sent[0].Subject, "pay ?nd b")
	assert.Contains(t, sent[1].Message, "Why: ")
	assert.Contains(t, sent[1].Message, "the template of this sink failed")
	assert.Contains(t, sent[1].Subject, "pay stopped", "never no alert")
	text, err := s.Preview(t.Context(), &e)
	require.NoError(t, err)
	assert.Contains(t, text, "\n\npay exit.error b")
}
