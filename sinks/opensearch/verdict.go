package opensearch

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/sinks"
)

// How long to leave a target alone that a human or the end of a shortage has to free.
const (
	setupPause = 30 * time.Second
	blockPause = time.Minute
)

// errDuplicate is the verdict on a document that is there already. It never leaves the package.
var errDuplicate = errors.New("already indexed")

// failure is the error member of an answer or of one of its items.
type failure struct {
	Type     string   `json:"type"`
	Reason   string   `json:"reason"`
	CausedBy *failure `json:"caused_by"`
}

// text is the failure in one line. What the target quotes of the document is left out: the preview of a
// value, the start of an over-long term, and the reasons below the first, of which only the type is told.
func (f *failure) text() string {
	if f == nil {
		return "no reason given"
	}
	reason, _, _ := strings.Cut(f.Reason, ". Preview of field's value")
	reason, _, _ = strings.Cut(reason, ". Please correct the analyzer")
	text := f.Type + ": " + reason
	for below := f.CausedBy; below != nil; below = below.CausedBy {
		text += ": " + below.Type
	}
	return start(text, 400)
}

// says tells whether the reason, or a reason below it, has one of the phrases.
func (f *failure) says(phrases ...string) bool {
	for ; f != nil; f = f.CausedBy {
		for _, phrase := range phrases {
			if strings.Contains(f.Reason, phrase) {
				return true
			}
		}
	}
	return false
}

// judge gives the verdict on one document: nil, errDuplicate, or an error with the class of Send's.
// The type of the error counts before the status: 400 is not always the document's fault, 429 not always
// load, 403 not always a right that is missing.
func judge(status int, f *failure) error {
	kind := ""
	if f != nil {
		kind = f.Type
	}
	switch {
	case status/100 == 2:
		return nil
	case status == http.StatusConflict && kind == "version_conflict_engine_exception":
		return errDuplicate
	case kind == "cluster_block_exception":
		return judgeBlock(status, f)
	case status == http.StatusUnauthorized, kind == "security_exception":
		return unauthorized(status, f.text())
	case status == http.StatusTooManyRequests:
		return &sinks.Throttled{Err: fmt.Errorf("OpenSearch is busy: %s", f.text())}
	case status >= 500:
		return fmt.Errorf("OpenSearch answered %d: %s", status, f.text())
	}
	if reason := documentFault(kind, f); reason != "" {
		return &sinks.Permanent{Reason: reason, Err: fmt.Errorf("OpenSearch refused the document: %s", f.text())}
	}
	return &sinks.Throttled{After: setupPause, Err: fmt.Errorf("OpenSearch can't take documents as it is set up now: %s%s", f.text(), advice(kind, f))}
}

// documentFault returns the reason word if no retry can mend the document, else "".
func documentFault(kind string, f *failure) string {
	switch kind {
	case "mapper_parsing_exception", "strict_dynamic_mapping_exception", "document_parsing_exception":
		return "mapping"
	case "invalid_index_name_exception":
		return "index_name"
	case "parse_exception", "parsing_exception", "json_parse_exception", "x_content_parse_exception", "number_format_exception":
		return "malformed"
	case "illegal_argument_exception", "action_request_validation_exception":
		if f.says("immense term", "is too long, must be no longer than", "field name cannot be", "object field starting or ending with a [.]") {
			return "mapping"
		}
	}
	return ""
}

// judgeBlock judges a write block. Each lifts by itself or by an operator, so no event is given up.
func judgeBlock(status int, f *failure) error {
	switch {
	case f.says("flood-stage", "flood stage") || status == http.StatusTooManyRequests:
		return &sinks.Throttled{After: blockPause, Err: fmt.Errorf("the disk of OpenSearch is full, so it takes no writes until space is freed: %s", f.text())}
	case f.says("index read-only", "index write", "index create"):
		return &sinks.Throttled{After: blockPause, Err: fmt.Errorf("an operator has blocked writes to the index (index.blocks settings): %s", f.text())}
	}
	return &sinks.Throttled{After: setupPause, Err: fmt.Errorf("OpenSearch blocks writes: %s", f.text())}
}

// advice says what to do about a setup that takes no documents.
func advice(kind string, f *failure) string {
	switch {
	case f.says("Limit of total fields"):
		return "; raise index.mapping.total_fields.limit of the index"
	case f.says("maximum shards open", "maximum normal shards open"):
		return "; delete old indexes or raise cluster.max_shards_per_node"
	case f.says("pipeline with id"):
		return "; create the ingest pipeline or take it out of the index settings"
	case kind == "index_closed_exception":
		return "; open the index again"
	case kind == "index_not_found_exception":
		return "; allow action.auto_create_index for the prefix"
	}
	return ""
}

func unauthorized(status int, text string) error {
	what := "does not know who we are (401); set auth, username and password, or the role to sign with"
	if status != http.StatusUnauthorized {
		what = fmt.Sprintf("denies a right (%d); the role needs indices:data/write/bulk on the cluster, and indices:data/write/bulk*, indices:data/write/index and indices:admin/create on the indexes", status)
	}
	return &sinks.Throttled{After: setupPause, Err: fmt.Errorf("OpenSearch %s: %s", what, text)}
}

// judgeRequest gives the verdict on a request that was refused as a whole. Splittable says that a smaller
// request may fare better.
func judgeRequest(a answer) (err error, splittable bool) { //nolint:revive // the error is the result, the flag explains it
	f := failureOf(a)
	switch {
	case a.status == http.StatusRequestEntityTooLarge:
		return &sinks.Permanent{Reason: "too_large", Err: errors.New("OpenSearch refused a request with this document alone as too large (413)")}, true
	case a.status == http.StatusBadRequest && (f == nil || f.Type == "" || documentFault(f.Type, f) != "" || f.Type == "illegal_argument_exception"):
		return &sinks.Permanent{Reason: "malformed", Err: fmt.Errorf("OpenSearch refused a request with this document alone (400): %s", textOf(f, a))}, true
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden && (f == nil || f.Type != "cluster_block_exception"):
		return unauthorized(a.status, textOf(f, a)), false
	case a.status == http.StatusTooManyRequests && (f == nil || f.Type != "cluster_block_exception"):
		return &sinks.Throttled{After: seconds(a.retryAfter), Err: fmt.Errorf("OpenSearch is busy: %s", textOf(f, a))}, false
	case f != nil && f.Type != "":
		return judge(a.status, f), false
	case a.status/100 == 4 || a.status/100 == 3:
		return &sinks.Throttled{After: setupPause, Err: fmt.Errorf("the address does not answer as OpenSearch: status %d: %s", a.status, textOf(f, a))}, false
	}
	return fmt.Errorf("OpenSearch answered %d: %s", a.status, textOf(f, a)), false
}

// failureOf reads the error of an answer; it may be an object, a text, or not JSON at all.
func failureOf(a answer) *failure {
	var whole struct {
		Error failure `json:"error"`
	}
	if json.Unmarshal(a.body, &whole) != nil || whole.Error.Type == "" {
		return nil
	}
	return &whole.Error
}

func textOf(f *failure, a answer) string {
	if f != nil {
		return f.text()
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.TrimSpace(strings.ToValidUTF8(start(string(a.body), 200), "")))
	if text == "" {
		return "no text"
	}
	return text
}

// seconds reads a Retry-After header in seconds, at most ten minutes; zero is none.
func seconds(header string) time.Duration {
	n, err := strconv.Atoi(header)
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(n)*time.Second, 10*time.Minute)
}
