package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/opensearch"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

// index is the part of a shared node that one test has for itself.
type index struct {
	t      *testing.T
	node   *harness.OpenSearch
	prefix string
}

func newIndex(t *testing.T) *index {
	t.Helper()
	return &index{t, stand.OpenSearch(t), fmt.Sprintf("t%d-%s", time.Now().UnixNano(), strings.ToLower(t.Name()))}
}

func (x *index) sink(strict bool) *opensearch.Sink {
	x.t.Helper()
	cfg := opensearch.DefaultConfig()
	cfg.Addresses, cfg.Prefix, cfg.RefreshInterval, cfg.Timeout = []string{x.node.URL}, x.prefix, 100*time.Millisecond, 10*time.Second
	s, err := opensearch.New(cfg, opensearch.Deps{Name: "search", Strict: strict})
	require.NoError(x.t, err)
	x.t.Cleanup(func() { require.NoError(x.t, s.Close()) })
	return s
}

// call sends a request, demands success and returns the answer.
func (x *index) call(method, path, body string) map[string]any {
	x.t.Helper()
	req, err := http.NewRequestWithContext(x.t.Context(), method, x.node.URL+path, strings.NewReader(body))
	require.NoError(x.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(x.t, err)
	defer res.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	text, err := io.ReadAll(res.Body)
	require.NoError(x.t, err)
	require.Less(x.t, res.StatusCode, 300, "%s %s: %s", method, path, text)
	var answer map[string]any
	require.NoError(x.t, json.Unmarshal(text, &answer), "%s", text)
	return answer
}

// count counts what a query string finds.
func (x *index) count(query string) int {
	x.t.Helper()
	x.call(http.MethodPost, "/"+x.prefix+"-events-*/_refresh", "")
	body, err := json.Marshal(map[string]any{"query": map[string]any{"query_string": map[string]any{"query": query}}})
	require.NoError(x.t, err)
	return int(x.call(http.MethodPost, "/"+x.prefix+"-events-*/_count", string(body))["count"].(float64))
}

func (x *index) names() []string {
	var names []string
	for name := range x.call(http.MethodGet, "/"+x.prefix+"-events-*/_settings", "") {
		names = append(names, strings.TrimPrefix(name, x.prefix+"-"))
	}
	return names
}

func stops(n int) []event.Event {
	all := make([]event.Event, n)
	for i := range all {
		all[i] = sinktest.Alerts()[0]
		all[i].ID = event.NewID("e2e", fmt.Sprint(i))
		all[i].Time = time.Date(2026, 11, 24, 10, 0, 0, i, time.UTC)
	}
	return all
}

func TestOpenSearchHoldsEachEventOnce(t *testing.T) {
	x := newIndex(t)
	batch := stops(300)
	require.NoError(t, x.sink(false).Check(t.Context()))
	first := x.sink(false)
	require.NoError(t, first.Send(t.Context(), batch[:200]))
	require.NoError(t, first.Send(t.Context(), batch[100:]), "half of it is there already")
	require.NoError(t, x.sink(false).Send(t.Context(), batch), "another sink, the same events")
	require.Equal(t, 300, x.count("*:*"))
	require.Equal(t, []string{"events-2026.48"}, x.names())
	require.NoError(t, first.Check(t.Context()))
	require.Equal(t, []string{"events-2026.48"}, x.names(), "a check leaves nothing behind")
}

func TestOpenSearchPutsEachEventIntoItsOwnWeek(t *testing.T) {
	x := newIndex(t)
	batch := stops(4)
	batch[1].Time = time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	batch[2].Time = time.Date(2024, 12, 30, 12, 0, 0, 0, time.UTC)
	batch[3].Time = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)
	require.NoError(t, x.sink(false).Send(t.Context(), batch))
	require.ElementsMatch(t, []string{"events-2026.48", "events-2026.53", "events-2025.01", "events-2013.01"}, x.names())
	require.Equal(t, 4, x.count("*:*"))
}

// The strict mapping refuses a field that it does not know, and the index refuses a value that a field
// can't hold.
func TestOpenSearchTakesEveryEventUnderAStrictMapping(t *testing.T) {
	x := newIndex(t)
	all := append(schematest.Golden(t), sinktest.Events()...)
	require.NoError(t, x.sink(true).Send(t.Context(), all))
	ids := map[string]bool{}
	for _, e := range all {
		ids[e.ID] = true
	}
	require.Equal(t, len(ids), x.count("*:*"))
	require.Positive(t, x.count("cause.class:oom* AND container.exit_code:137"))
	require.Positive(t, x.count("cloud.account.id:123456789012 AND task.stop_code:TaskFailedToStart AND cause.token:CannotPullContainerError"))
	require.Positive(t, x.count("service_status.desired:>4 AND service_status.running:[1 TO 3] AND cloud.region:eu*"))
	require.Positive(t, x.count(`service.name:* AND event.name:"task.stopped" AND cause.expected:false`))
}

// Labels of ten teams that would break a mapping which follows them.
func TestOpenSearchTakesAnyLabels(t *testing.T) {
	x := newIndex(t)
	many := map[string]string{}
	for i := range 1000 {
		many[fmt.Sprintf("l%d.x", i)] = "v"
	}
	odd := []map[string]string{
		{"team": "x"},
		{"team.name": "x"},
		{"team": "1", "team.name": "2", "team.name.first": "3"},
		{"": "empty"},
		{".": "a", "..": "b"},
		{"a..b": "x", ".a": "y", "a.": "z"},
		{"n": "12", "b": "true", "d": "2026-01-01"},
		{"long": strings.Repeat("x", 40<<10)},
		many,
		{"k" + strings.Repeat("x", 40<<10): "v"},
		{"*": "star", "a b": "space", "ключ": "значение", "\x00": "nul"},
		{"_id": "x", "_source": "y"},
		{strings.Repeat("a.", 400) + "z": "deep"},
	}
	batch := stops(len(odd))
	for i := range batch {
		batch[i].Data.Labels = odd[i]
	}
	require.NoError(t, x.sink(true).Send(t.Context(), batch))
	require.Equal(t, len(odd), x.count("*:*"))
	require.Equal(t, 1, x.count("container.label.team:x"))
}

func TestOpenSearchRefusesOneDocumentAndTakesItsNeighbours(t *testing.T) {
	x := newIndex(t)
	x.call(http.MethodPut, "/_component_template/"+x.prefix+"@custom", `{"template":{"mappings":{"properties":{"message":{"type":"integer"}}}}}`)
	batch := stops(1000)
	for i := range batch {
		batch[i].Data.Message = "7"
	}
	batch[500].Data.Message = "not a number, token=hunter2"
	err := x.sink(false).Send(t.Context(), batch)
	var partial *sinks.Partial
	require.ErrorAs(t, err, &partial)
	for i, e := range partial.Errs {
		if i != 500 {
			require.NoError(t, e)
		}
	}
	var permanent *sinks.Permanent
	require.ErrorAs(t, partial.Errs[500], &permanent)
	require.Equal(t, "mapping", permanent.Reason)
	require.NotContains(t, permanent.Error(), "hunter2")
	require.Equal(t, 999, x.count("*:*"))
}

func TestOpenSearchReadOnlyCostsNoEvent(t *testing.T) {
	x := newIndex(t)
	batch := stops(3)
	s := x.sink(false)
	require.NoError(t, s.Send(t.Context(), batch[:1]))
	for setting, text := range map[string]string{"read_only_allow_delete": "disk", "write": "operator", "read_only": "operator"} {
		path := "/" + x.prefix + "-events-2026.48/_settings"
		x.call(http.MethodPut, path, `{"index.blocks.`+setting+`":true}`)
		err := s.Send(t.Context(), batch)
		require.Equal(t, sinktest.Throttled, sinktest.ClassOf(err), "%s: %v", setting, err)
		require.ErrorContains(t, err, text)
		x.call(http.MethodPut, path, `{"index.blocks.`+setting+`":null}`)
	}
	x.call(http.MethodPost, "/"+x.prefix+"-events-2026.48/_close", "")
	err := s.Send(t.Context(), batch)
	require.Equal(t, sinktest.Throttled, sinktest.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "open the index")
	x.call(http.MethodPost, "/"+x.prefix+"-events-2026.48/_open?wait_for_active_shards=1", "")
	require.NoError(t, s.Send(t.Context(), batch))
	require.Equal(t, 3, x.count("*:*"))
}

func TestOpenSearchStoppedAndBack(t *testing.T) {
	x := newIndex(t)
	batch := stops(50)
	s := x.sink(false)
	require.NoError(t, s.Send(t.Context(), batch[:20]))
	x.node.Kill(t)
	err := s.Send(t.Context(), batch)
	require.Equal(t, sinktest.Retryable, sinktest.ClassOf(err), "%v", err)
	x.node.Start(t)
	require.Eventually(t, func() bool { return s.Send(t.Context(), batch) == nil }, 30*time.Second, 200*time.Millisecond)
	require.Equal(t, 50, x.count("*:*"))
}

func TestOpenSearchTemplateIsInstalledAsAsked(t *testing.T) {
	x := newIndex(t)
	require.NoError(t, x.sink(false).Setup(t.Context()))
	require.NoError(t, x.sink(false).Setup(t.Context()))
	simulated := x.call(http.MethodPost, "/_index_template/_simulate_index/"+x.prefix+"-events-2026.48", "")
	text, err := json.Marshal(simulated)
	require.NoError(t, err)
	for _, part := range []string{`"codec":"best_compression"`, `"refresh_interval":"100ms"`, `"dynamic":"false"`, `"flat_object"`, `"auto_expand_replicas":"0-1"`} {
		require.Contains(t, string(text), part)
	}
}
