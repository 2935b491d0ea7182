package opensearch

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire speaks OpenSearch's protocol on a socket and answers as its script says: there is no way to make a
// real server give every verdict at will. The real one is in the end-to-end tests.
type wire struct {
	*httptest.Server

	mu       sync.Mutex
	template int                    // the installed version; 0 is none
	custom   bool                   // the user's component template exists
	docs     map[string]string      // index/id → document
	requests []string               // method and path
	puts     map[string]string      // path → body
	bulk     http.HandlerFunc       // in place of the usual answer to _bulk
	verdict  func(id string) string // the item's answer in place of the usual one; "" leaves it
	deny     func(r *http.Request) int
}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{docs: map[string]string{}, puts: map[string]string{}}
	w.Server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.Close)
	return w
}

func (w *wire) serve(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, r.Method+" "+r.URL.Path)
	if w.deny != nil {
		if status := w.deny(r); status != 0 {
			out.WriteHeader(status)
			fmt.Fprint(out, `{"error":{"type":"security_exception","reason":"no permissions for [x] and User [name=sink]"},"status":403}`)
			return
		}
	}
	switch {
	case r.URL.Path == "/_bulk" && w.bulk != nil:
		w.bulk(out, r)
	case r.URL.Path == "/_bulk":
		w.answerBulk(out, r)
	case strings.HasPrefix(r.URL.Path, "/_index_template/"), strings.HasPrefix(r.URL.Path, "/_component_template/"):
		w.answerTemplate(out, r)
	default:
		http.Error(out, "a sink must not ask for this", http.StatusTeapot)
	}
}

func (w *wire) answerTemplate(out http.ResponseWriter, r *http.Request) {
	index := strings.HasPrefix(r.URL.Path, "/_index_template/")
	if r.Method == http.MethodPut {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.puts[r.URL.Path] = string(body)
		if index {
			w.template = templateVersion
		}
		if strings.HasSuffix(r.URL.Path, "@custom") {
			w.custom = true
		}
		fmt.Fprint(out, `{"acknowledged":true}`)
		return
	}
	if index && w.template > 0 || !index && w.custom {
		fmt.Fprintf(out, `{"index_templates":[{"index_template":{"version":%d}}]}`, w.template)
		return
	}
	out.WriteHeader(http.StatusNotFound)
	fmt.Fprint(out, `{"error":{"type":"resource_not_found_exception","reason":"index template matching [x] not found"},"status":404}`)
}

func (w *wire) answerBulk(out http.ResponseWriter, r *http.Request) {
	var items []string
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var action struct {
			Create struct {
				Index string `json:"_index"`
				ID    string `json:"_id"`
			} `json:"create"`
		}
		if err := json.Unmarshal(lines.Bytes(), &action); err != nil || action.Create.Index == "" || !lines.Scan() {
			http.Error(out, `{"error":{"type":"illegal_argument_exception","reason":"Malformed action/metadata line"},"status":400}`, http.StatusBadRequest)
			return
		}
		items = append(items, w.store(action.Create.Index, action.Create.ID, lines.Text(), r.URL.Query().Get("require_alias") == "true"))
	}
	fmt.Fprintf(out, `{"took":1,"errors":%t,"items":[%s]}`, strings.Contains(strings.Join(items, ""), `"error"`), strings.Join(items, ","))
}

func (w *wire) store(index, id, document string, alias bool) string {
	answer := func(rest string) string { return fmt.Sprintf(`{"create":{"_id":%q,%s}}`, id, rest) }
	if w.verdict != nil {
		if scripted := w.verdict(id); scripted != "" {
			return answer(scripted)
		}
	}
	if alias {
		return answer(`"status":404,"error":{"type":"index_not_found_exception","reason":"no such index [x] and [require_alias] request flag is [true]"}`)
	}
	key := index + "/" + id
	if _, there := w.docs[key]; there {
		return answer(`"status":409,"error":{"type":"version_conflict_engine_exception","reason":"document already exists"}`)
	}
	w.docs[key] = document
	return answer(`"status":201`)
}

func (w *wire) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *wire) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.requests...)
}

func (w *wire) stored() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]string{}
	for k, v := range w.docs {
		all[k] = v
	}
	return all
}

func (w *wire) sink(t *testing.T, change ...func(*Config)) *Sink {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Addresses = []string{w.URL}
	cfg.Timeout = 5 * time.Second
	for _, c := range change {
		c(&cfg)
	}
	s, err := New(cfg, Deps{Name: "search"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func events(ids ...string) []event.Event {
	var all []event.Event
	for _, id := range ids {
		all = append(all, event.Event{
			ID: id, Type: event.TaskStopped, Source: "bellbuoy://local/docker/n", Time: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
			Data: event.Data{Workload: "pay", Task: &event.Task{ID: id}},
		})
	}
	return all
}
