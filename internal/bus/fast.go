package bus

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Relaxed durability publishes through the server's fast-ingest batches: events follow each other without
// a wait, the server says how far ahead of its writing it lets us be, and each step of that flow
// acknowledges everything up to it. A batch lives while events wait, at most fastEvents or fastTime.
const (
	fastEvents = 10_000
	fastTime   = 250 * time.Millisecond
	// fastFlow asks for an acknowledgement every so many events; fastAhead steps may be open.
	fastFlow, fastAhead = 200, 3

	// The operations of the protocol, in the reply subject <inbox>.<id>.<flow>.<on gap>.<sequence>.<op>.$FI.
	opStart, opAppend, opEnd = "0", "1", "3"
)

// fastBatch is one open batch. items[0] has sequence acked+1.
type fastBatch struct {
	p      *Publisher
	token  string
	prefix string
	items  []*item
	sent   uint64
	acked  uint64
	window uint64
	ended  bool
	// subject is the last event's: the message that ends a batch needs one and is not stored.
	subject string
	// failure is what the server said about the event behind the last acknowledged one.
	failure error
}

// stream commits the events and those that come meanwhile. What a batch did not take goes one by one, so
// that the reason shows and is dealt with there.
func (p *Publisher) stream(ctx context.Context, items []*item) (left []*item) {
	for len(items) > 0 {
		b := p.openFast(items)
		err := b.run(ctx)
		p.b.metrics.batch.Observe(float64(b.acked))
		items = b.items
		if err == nil || len(items) == 0 {
			continue
		}
		if f := p.failed(err); !f.permanent {
			p.b.metrics.retries.WithLabelValues(f.reason).Inc()
		}
		if left := p.singles(ctx, items[:1]); len(left) > 0 {
			return items
		}
		items = items[1:]
	}
	return nil
}

func (p *Publisher) openFast(items []*item) *fastBatch {
	token := p.token()
	// The token comes first, as in every reply subject of this publisher; the id is the part behind it.
	id := token + "-" + p.nonce[max(0, len(p.nonce)-22):]
	return &fastBatch{
		p: p, token: token, items: items, window: 1,
		prefix: p.nonce + "." + token + "." + id + "." + strconv.Itoa(fastFlow) + ".fail.",
	}
}

// run sends until nothing waits or the batch is old, ends it and waits until all is acknowledged. Items
// that are left in b were not.
func (b *fastBatch) run(ctx context.Context) error {
	began := time.Now()
	for !b.ended && b.failure == nil {
		if len(b.items) == int(b.sent-b.acked) {
			if b.sent >= fastEvents || time.Since(began) > fastTime {
				break
			}
			if b.items = b.p.more(b.items, len(b.items)+fastFlow); len(b.items) == int(b.sent-b.acked) {
				break
			}
		}
		if err := b.send(); err != nil {
			return err
		}
		for !b.ended && b.sent-b.acked >= b.window {
			if err := b.receive(ctx); err != nil {
				return err
			}
		}
	}
	if !b.ended && b.failure == nil {
		end := nats.Msg{Subject: b.subject, Reply: b.prefix + strconv.FormatUint(b.sent+1, 10) + "." + opEnd + ".$FI"}
		if err := b.p.b.nc.PublishMsg(&end); err != nil {
			return err
		}
	}
	for !b.ended {
		if err := b.receive(ctx); err != nil {
			return err
		}
	}
	return b.failure
}

func (b *fastBatch) send() error {
	it := b.items[b.sent-b.acked]
	op := opAppend
	if b.sent == 0 {
		op = opStart
	}
	msg := it.msg
	msg.Reply = b.prefix + strconv.FormatUint(b.sent+1, 10) + "." + op + ".$FI"
	if err := b.p.b.nc.PublishMsg(&msg); err != nil {
		return err
	}
	b.sent, b.subject = b.sent+1, msg.Subject
	return nil
}

// receive takes one message of the server.
func (b *fastBatch) receive(ctx context.Context) error {
	r, err := b.p.await(ctx, b.token)
	if err != nil {
		return err
	}
	switch r.Type {
	case "ack":
		b.window = max(r.Messages, 1) * fastAhead
		b.settle(r.Seq)
	case "err":
		b.failure = r.Error
	case "gap":
		b.failure = errReconnect
	default:
		b.ended = true
		b.settle(r.Count)
		if b.failure == nil && b.acked < b.sent {
			b.failure = errNoAnswer
		}
	}
	return nil
}

// settle finishes all events up to this sequence of the batch.
func (b *fastBatch) settle(seq uint64) {
	if seq <= b.acked || seq > b.sent {
		return
	}
	n := seq - b.acked
	b.p.stored(b.items[:n], false)
	b.items, b.acked = b.items[n:], seq
}
