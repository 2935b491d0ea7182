package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// The server's error codes that decide how to go on.
const (
	codeTooLarge        = 10054
	codeBatchDuplicate  = 10201
	codeBatchInFlight   = 10210
	codeFastInFlight    = 10211
	codeBatchIncomplete = 10176
	codeTooManyRequests = 10167
	codeStoreFailed     = 10077
	codeInsufficient    = 10023
	codeAccountFull     = 10002
)

// The headers of an atomic batch.
const (
	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
)

// incompleteLimit is how often a batch may come back as incomplete, which hides the reason, before its
// events are sent one by one, which tells it.
const incompleteLimit = 3

// reply is any of the server's answers to a publish: an acknowledgement, a flow message or an error.
type reply struct {
	Type      string              `json:"type"` // ack, gap or err within a fast-ingest batch
	Stream    string              `json:"stream"`
	Seq       uint64              `json:"seq"`
	Messages  uint64              `json:"msgs"`
	Count     uint64              `json:"count"`
	Duplicate bool                `json:"duplicate"`
	Error     *jetstream.APIError `json:"error"`
}

// failure is a publish without an acknowledgement.
type failure struct {
	reason string
	// permanent: no repetition can mend it. code is the server's, if it said one.
	permanent bool
	code      int
	err       error
}

func (f failure) Error() string {
	switch {
	case f.permanent:
		return "can't be published: " + f.err.Error()
	case f.code != 0:
		return "stream refuses: " + f.err.Error()
	}
	return "stream does not answer: " + f.err.Error()
}

func (f failure) Unwrap() error { return f.err }

// singles publishes one after the other. It returns those that were left when ctx ended.
func (p *Publisher) singles(ctx context.Context, items []*item) (left []*item) {
	for i, it := range items {
		wait := backoff.New(retryFirst, retryLimit)
		for {
			duplicate, err := p.single(ctx, it)
			if err == nil {
				p.b.metrics.batch.Observe(1)
				p.stored(items[i:i+1], duplicate)
				break
			}
			f := p.failed(err)
			if f.permanent {
				p.b.metrics.refused.WithLabelValues(f.reason).Inc()
				it.finish(fmt.Errorf("publish event %s: %w", it.msg.Header.Get("Nats-Msg-Id"), errors.Join(f, event.ErrInvalid)))
				break
			}
			if p.again(ctx, wait, f) != nil {
				return items[i:]
			}
		}
	}
	return nil
}

func (p *Publisher) single(ctx context.Context, it *item) (duplicate bool, err error) {
	token := p.token()
	msg := it.msg
	msg.Reply = p.nonce + "." + token
	if err := p.b.nc.PublishMsg(&msg); err != nil {
		return false, err
	}
	r, err := p.await(ctx, token)
	return r.Duplicate, err
}

// group commits the events as one atomic batch.
func (p *Publisher) group(ctx context.Context, items []*item) (left []*item) {
	wait := backoff.New(retryFirst, retryLimit)
	for incomplete := 0; ; {
		err := p.batch(ctx, items)
		if err == nil {
			p.b.metrics.batch.Observe(float64(len(items)))
			p.stored(items, false)
			return nil
		}
		f := p.failed(err)
		if f.code == codeBatchIncomplete {
			incomplete++
		}
		if ctx.Err() == nil && (oneByOne(f) || incomplete == incompleteLimit) {
			for _, it := range items {
				delete(it.msg.Header, headerBatchID)
				delete(it.msg.Header, headerBatchSeq)
				delete(it.msg.Header, headerBatchCommit)
			}
			return p.singles(ctx, items)
		}
		if p.again(ctx, wait, f) != nil {
			return items
		}
	}
}

// oneByOne tells whether a failed batch says something about single events or about batches: a duplicate
// id or an event that is too large within it, batches switched off.
func oneByOne(f failure) bool {
	switch f.code {
	case codeBatchIncomplete, codeBatchInFlight, codeTooManyRequests, codeStoreFailed, codeInsufficient, codeAccountFull, codeNoStorage:
		return false
	}
	return f.permanent || f.code != 0
}

// batch sends the events with the three headers of an atomic batch and waits for its acknowledgement. Only
// the first and the last are answered; an error of those between shows at the last.
func (p *Publisher) batch(ctx context.Context, items []*item) error {
	token := p.token()
	id := []string{strings.TrimPrefix(p.nonce, "_INBOX.") + "-" + token}
	for i, it := range items {
		msg := it.msg
		msg.Header[headerBatchID], msg.Header[headerBatchSeq] = id, []string{strconv.Itoa(i + 1)}
		if i == 0 || i == len(items)-1 {
			msg.Reply = p.nonce + "." + token
		}
		if i == len(items)-1 {
			msg.Header[headerBatchCommit] = []string{"1"}
		}
		if err := p.b.nc.PublishMsg(&msg); err != nil {
			return err
		}
	}
	for {
		r, err := p.await(ctx, token)
		if err != nil || r.Stream != "" {
			return err
		}
	}
}

// token names one request of this publisher.
func (p *Publisher) token() string {
	p.count++
	return strconv.FormatUint(p.count, 10)
}

var (
	errNoAnswer  = errors.New("no acknowledgement came in time")
	errReconnect = errors.New("the connection was lost before the acknowledgement")
	errNoStream  = errors.New("no stream takes the subject (was the stream deleted?)")
)

// await returns the next answer to the request; an empty one says that a batch goes on.
func (p *Publisher) await(ctx context.Context, token string) (r reply, err error) {
	timeout := time.NewTimer(attemptTimeout)
	defer timeout.Stop()
	lost := p.b.nextReconnect()
	for {
		select {
		case msg := <-p.replies:
			rest, ours := strings.CutPrefix(msg.Subject[len(p.nonce)+1:], token)
			if !ours || rest != "" && rest[0] != '.' {
				continue // the late answer to a request that was given up
			}
			return parseReply(msg)
		case <-lost:
			return reply{}, errReconnect
		case <-timeout.C:
			return reply{}, errNoAnswer
		case <-ctx.Done():
			return reply{}, ctx.Err()
		}
	}
}

func parseReply(msg *nats.Msg) (r reply, err error) {
	if len(msg.Data) == 0 {
		if msg.Header.Get("Status") == "503" {
			return r, errNoStream
		}
		return r, nil
	}
	if err := json.Unmarshal(msg.Data, &r); err != nil {
		return r, fmt.Errorf("read the server's acknowledgement: %w", err)
	}
	if r.Error != nil && r.Type == "" {
		return r, r.Error
	}
	return r, nil
}

// failed classifies an error of a publish.
func (p *Publisher) failed(err error) failure {
	f := failure{err: err, code: apiCode(err)}
	switch {
	case f.code == codeTooLarge, errors.Is(err, nats.ErrMaxPayload):
		f.reason, f.permanent = reasonTooLarge, true
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrInvalidMsg):
		f.reason, f.permanent = reasonInvalid, true
	case errors.Is(err, errNoStream):
		f.reason = reasonNoStream
	case errors.Is(err, errNoAnswer), errors.Is(err, context.Canceled):
		f.reason, f.err = reasonTimeout, errors.Join(err, p.b.refused())
	case f.code == 0:
		f.reason = reasonAway
	case f.code == codeStoreFailed, f.code == codeInsufficient, f.code == codeAccountFull, f.code == codeNoStorage:
		f.reason = reasonFull
	case f.code == codeBatchInFlight, f.code == codeFastInFlight, f.code == codeTooManyRequests:
		f.reason = reasonBusy
	default:
		f.reason = reasonServer
	}
	return f
}

// apiCode returns the code of a JetStream error, or 0.
func apiCode(err error) int {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return int(api.ErrorCode)
	}
	return 0
}
