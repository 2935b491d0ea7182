package opensearch

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

func TestVerdictOnADocument(t *testing.T) {
	for _, c := range []struct {
		status       int
		kind, reason string
		want         sinktest.Class
		word         string // the reason of a Permanent, or a part of the text
	}{
		{201, "", "", sinktest.Accepted, ""},
		{200, "", "", sinktest.Accepted, ""},
		{400, "mapper_parsing_exception", "failed to parse", sinktest.Permanent, "mapping"},
		{400, "strict_dynamic_mapping_exception", "introduction of [x] is not allowed", sinktest.Permanent, "mapping"},
		{400, "invalid_index_name_exception", "must be lowercase", sinktest.Permanent, "index_name"},
		{400, "illegal_argument_exception", "id is too long, must be no longer than 512 bytes but was: 600", sinktest.Permanent, "mapping"},
		{400, "illegal_argument_exception", `Document contains at least one immense term in field="x"`, sinktest.Permanent, "mapping"},
		{400, "illegal_argument_exception", "Limit of total fields [400] has been exceeded", sinktest.Throttled, "total_fields.limit"},
		{400, "validation_exception", "this action would add [2] total shards, but this cluster currently has [1000]/[1000] maximum shards open", sinktest.Throttled, "max_shards_per_node"},
		{400, "illegal_argument_exception", "pipeline with id [x] does not exist", sinktest.Throttled, "ingest pipeline"},
		{400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams", sinktest.Throttled, "set up"},
		{400, "index_closed_exception", "closed", sinktest.Throttled, "open the index"},
		{404, "index_not_found_exception", "no such index [x]", sinktest.Throttled, "auto_create_index"},
		{400, "an_exception_of_tomorrow", "what is this", sinktest.Throttled, "set up"},
		{403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];", sinktest.Throttled, "operator"},
		{403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/5/index read-only (api)];", sinktest.Throttled, "operator"},
		{403, "cluster_block_exception", "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];", sinktest.Throttled, "blocks writes"},
		{429, "cluster_block_exception", "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];", sinktest.Throttled, "disk"},
		{429, "rejected_execution_exception", "rejected execution of coordinating operation", sinktest.Throttled, "busy"},
		{429, "circuit_breaking_exception", "[parent] Data too large", sinktest.Throttled, "busy"},
		{403, "security_exception", "no permissions for [indices:data/write/bulk[s]]", sinktest.Throttled, "denies a right"},
		{401, "security_exception", "missing authentication", sinktest.Throttled, "401"},
		{503, "unavailable_shards_exception", "primary shard is not active", sinktest.Retryable, "503"},
		{503, "process_cluster_event_timeout_exception", "failed to process", sinktest.Retryable, ""},
		{500, "null_pointer_exception", "oops", sinktest.Retryable, ""},
		{409, "illegal_state_exception", "another conflict", sinktest.Throttled, ""},
	} {
		t.Run(fmt.Sprintf("%d %s", c.status, c.kind), func(t *testing.T) {
			var f *failure
			if c.kind != "" {
				f = &failure{Type: c.kind, Reason: c.reason}
			}
			err := judge(c.status, f)
			require.Equal(t, c.want, sinktest.ClassOf(err), "%v", err)
			var permanent *sinks.Permanent
			if c.want == sinktest.Permanent {
				require.ErrorAs(t, err, &permanent)
				require.Equal(t, c.word, permanent.Reason)
			} else if err != nil {
				require.ErrorContains(t, err, c.word)
			}
		})
	}
	require.ErrorIs(t, judge(409, &failure{Type: "version_conflict_engine_exception"}), errDuplicate)
}

func TestTheReasonBelowTheReasonCounts(t *testing.T) {
	f := &failure{Type: "illegal_argument_exception", Reason: "outer", CausedBy: &failure{Type: "max_bytes_length_exceeded_exception", Reason: "immense term token=hunter2"}}
	require.NotContains(t, judge(400, f).Error(), "hunter2", "a reason below may quote the document")
	require.Equal(t, sinktest.Permanent, sinktest.ClassOf(judge(400, f)))
	require.ErrorContains(t, judge(400, f), "max_bytes_length_exceeded_exception")
}

func TestVerdictOnARequest(t *testing.T) {
	for _, c := range []struct {
		name  string
		a     answer
		want  sinktest.Class
		split bool
		after time.Duration
		text  string
	}{
		{"401 as plain text", answer{status: 401, body: []byte("Unauthorized")}, sinktest.Throttled, false, setupPause, "401"},
		{"403 without JSON", answer{status: 403, body: []byte("<html>no</html>")}, sinktest.Throttled, false, setupPause, "denies a right"},
		{"403 by name", answer{status: 403, body: []byte(`{"error":{"type":"security_exception","reason":"no permissions for [indices:data/write/bulk]"}}`)}, sinktest.Throttled, false, setupPause, "indices:data/write/bulk"},
		{"403 of AWS", answer{status: 403, body: []byte(`{"message":"The security token included in the request is expired"}`)}, sinktest.Throttled, false, setupPause, "token"},
		{"429 with a time", answer{status: 429, retryAfter: "7"}, sinktest.Throttled, false, 7 * time.Second, "busy"},
		{"429 with an absurd time", answer{status: 429, retryAfter: "999999999"}, sinktest.Throttled, false, 10 * time.Minute, "busy"},
		{"429 for a block", answer{status: 429, body: []byte(`{"error":{"type":"cluster_block_exception","reason":"flood-stage"}}`)}, sinktest.Throttled, false, blockPause, "disk"},
		{"413", answer{status: 413, body: []byte("<html>")}, sinktest.Permanent, true, 0, "413"},
		{"400 malformed", answer{status: 400, body: []byte(`{"error":{"type":"illegal_argument_exception","reason":"Malformed action/metadata line [1]"}}`)}, sinktest.Permanent, true, 0, "Malformed"},
		{"400 as text", answer{status: 400, body: []byte(`{"error":"bad","status":400}`)}, sinktest.Permanent, true, 0, "400"},
		{"503", answer{status: 503}, sinktest.Retryable, false, 0, "503"},
		{"502 of a proxy", answer{status: 502, body: []byte("<html>\nBad Gateway</html>")}, sinktest.Retryable, false, 0, "<html> Bad"},
		{"404 of another service", answer{status: 404, body: []byte("no such page")}, sinktest.Throttled, false, setupPause, "does not answer as OpenSearch"},
		{"302 to a login", answer{status: 302}, sinktest.Throttled, false, setupPause, "does not answer as OpenSearch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err, split := judgeRequest(c.a)
			require.Equal(t, c.want, sinktest.ClassOf(err), "%v", err)
			require.Equal(t, c.split, split)
			require.ErrorContains(t, err, c.text)
			if c.want == sinktest.Throttled {
				var throttled *sinks.Throttled
				require.ErrorAs(t, err, &throttled)
				require.Equal(t, c.after, throttled.After)
			}
		})
	}
}

// Every row through the sink: one document of three has the verdict.
func TestVerdictsThroughTheSink(t *testing.T) {
	for class, scripted := range map[sinktest.Class]string{
		sinktest.Permanent: `"status":400,"error":{"type":"strict_dynamic_mapping_exception","reason":"x"}`,
		sinktest.Throttled: `"status":429,"error":{"type":"cluster_block_exception","reason":"flood-stage"}`,
		sinktest.Retryable: `"status":503,"error":{"type":"unavailable_shards_exception","reason":"x"}`,
	} {
		w := newWire(t)
		w.verdict = func(id string) string {
			if id == "b" {
				return scripted
			}
			return ""
		}
		var partial *sinks.Partial
		require.ErrorAs(t, w.sink(t).Send(t.Context(), events("a", "b", "c")), &partial)
		require.Equal(t, class, sinktest.ClassOf(partial.Errs[1]))
		require.NoError(t, partial.Errs[0])
		require.NoError(t, partial.Errs[2])
		require.Equal(t, class, sinktest.ClassOf(w.sink(t).Send(t.Context(), events("b"))), "alone it is not partial")
	}
	w := newWire(t)
	s := w.sink(t)
	require.NoError(t, s.Setup(t.Context()))
	for _, status := range []int{401, 403, 503} {
		w.set(func() {
			w.bulk = func(out http.ResponseWriter, _ *http.Request) { http.Error(out, "plain text", status) }
		})
		err := s.Send(t.Context(), events("a", "b"))
		var partial *sinks.Partial
		require.False(t, errorsAs(err, &partial), "one verdict for all is not partial: %v", err)
	}
}
