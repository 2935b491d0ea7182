package opensearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// bulkPath asks for no more of the answer than the verdicts need. The items' statuses must stay in it:
// without them the places of the failed ones are lost.
const bulkPath = "/_bulk?filter_path=took,errors,items.*.status,items.*.error,items.*._id"

const ndjson = "application/x-ndjson"

// maxID is the longest document id that OpenSearch takes, in bytes.
const maxID = 512

// batch is the body of a bulk request in the making.
type batch struct {
	body []byte
	docs []doc
}

// doc is where a document is: in the body, action line included, and in the events of the Send.
type doc struct {
	start, end int
	event      int
	id         string
}

// bodies reuses batches; a buffer that one huge batch has blown up is let go.
type bodies struct{ pool sync.Pool }

func (p *bodies) take() *batch {
	if b, ok := p.pool.Get().(*batch); ok {
		return b
	}
	return &batch{}
}

func (p *bodies) give(b *batch, limit int) {
	if cap(b.body) > 2*limit {
		return
	}
	clear(b.docs)
	b.body, b.docs = b.body[:0], b.docs[:0]
	p.pool.Put(b)
}

// add appends the document of event number i.
func (b *batch) add(i int, e *event.Event, prefix string, now time.Time) {
	at := len(b.body)
	b.body = append(b.body, `{"create":{"_index":"`...)
	b.body = appendIndex(b.body, prefix, e.Time)
	b.body = append(b.body, `","_id":`...)
	w := writer{b: b.body}
	w.quote(e.ID)
	b.body = append(w.b, "}}\n"...)
	b.body = appendDocument(b.body, e, now)
	b.body = append(b.body, '\n')
	b.docs = append(b.docs, doc{at, len(b.body), i, e.ID})
}

// keep drops what has been posted: all documents before number n.
func (b *batch) keep(n int) {
	at := b.docs[n].start
	b.body = b.body[:copy(b.body, b.body[at:])]
	b.docs = b.docs[:copy(b.docs, b.docs[n:])]
	for i := range b.docs {
		b.docs[i].start -= at
		b.docs[i].end -= at
	}
}

// bulkAnswer is what bulkPath leaves of an answer.
type bulkAnswer struct {
	Errors *bool `json:"errors"`
	Items  []struct {
		Create item `json:"create"`
	} `json:"items"`
}

type item struct {
	ID     string   `json:"_id"`
	Status int      `json:"status"`
	Error  *failure `json:"error"`
}

// post sends documents and writes the verdict on each into errs, at its event's place.
func (s *Sink) post(ctx context.Context, body []byte, docs []doc, errs []error) {
	s.metrics.bytes.Add(float64(len(body)))
	a, err := s.client.do(ctx, http.MethodPost, bulkPath, ndjson, body)
	if err != nil {
		setAll(errs, docs, fmt.Errorf("post %d documents: %w", len(docs), err))
		return
	}
	if a.status == http.StatusOK {
		s.read(a, docs, errs)
		return
	}
	err, splittable := judgeRequest(a)
	if splittable && len(docs) > 1 {
		half := len(docs) / 2
		cut := docs[half].start - docs[0].start
		s.post(ctx, body[:cut], docs[:half], errs)
		s.post(ctx, body[cut:], docs[half:], errs)
		return
	}
	setAll(errs, docs, err)
}

// read takes the verdicts from the answer. An answer that does not fit the request says nothing about
// any document.
func (s *Sink) read(a answer, docs []doc, errs []error) {
	var got bulkAnswer
	if err := json.Unmarshal(a.body, &got); err != nil {
		setAll(errs, docs, fmt.Errorf("the answer to %d documents is cut short or no JSON: %w", len(docs), err))
		return
	}
	if got.Errors == nil || len(got.Items) != len(docs) {
		setAll(errs, docs, fmt.Errorf("the answer has %d verdicts on %d documents; is the address an OpenSearch node?", len(got.Items), len(docs)))
		return
	}
	for i := range got.Items {
		if it := &got.Items[i].Create; it.Status == 0 || it.ID != "" && it.ID != docs[i].id {
			setAll(errs, docs, errors.New("the verdicts in the answer are not in the order of the documents"))
			return
		}
	}
	for i := range got.Items {
		it := &got.Items[i].Create
		errs[docs[i].event] = judge(it.Status, it.Error)
	}
}

func setAll(errs []error, docs []doc, err error) {
	for _, d := range docs {
		errs[d.event] = err
	}
}

// settle counts the verdicts and makes Send's error of them.
func (s *Sink) settle(errs []error) error {
	failed := 0
	for i, err := range errs {
		s.metrics.documents.WithLabelValues(wordOf(err)).Inc()
		if errors.Is(err, errDuplicate) {
			errs[i] = nil
		}
		if errs[i] != nil {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	for _, err := range errs[1:] {
		if err != errs[0] { //nolint:errorlint // one error for all is the same value
			return &sinks.Partial{Errs: errs}
		}
	}
	return errs[0]
}

func wordOf(err error) string {
	var permanent *sinks.Permanent
	var throttled *sinks.Throttled
	switch {
	case err == nil:
		return verdictCreated
	case errors.Is(err, errDuplicate):
		return verdictDuplicate
	case errors.As(err, &permanent):
		return verdictRejected
	case errors.As(err, &throttled):
		return verdictThrottled
	}
	return verdictRetry
}
