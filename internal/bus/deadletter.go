package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// The headers of a dead letter, beside those of the event.
const (
	headerRoute    = "Dlq-Route"
	headerClass    = "Dlq-Class"
	headerReason   = "Dlq-Reason"
	headerAttempts = "Dlq-Deliveries"
	headerSubject  = "Dlq-Subject"
	headerSequence = "Dlq-Stream-Seq"
	headerTime     = "Dlq-Time"
	headerMsgID    = "Nats-Msg-Id"

	// maxReason keeps a target's long answer from becoming the message.
	maxReason = 1024
)

// ErrNoDeadLetter is returned for a sequence that holds no dead letter (any more).
var ErrNoDeadLetter = errors.New("no dead letter has this number; list them again")

// DeadLetters is the stream of events that a route could not deliver, and of messages that a collector could
// not make events of.
type DeadLetters struct{ b *Bus }

// DeadLetter is one of them.
type DeadLetter struct {
	// Route could not deliver it.
	Route string
	// Class is one word such as decode, permanent or exhausted; Reason is a sentence.
	Class, Reason string

	// The rest is read, never written. Seq names the dead letter; Time is when it became one.
	Seq      uint64
	Time     time.Time
	Attempts int
	// Subject and Sequence are those in the events stream.
	Subject  string
	Sequence uint64
	// Quarantined says that it never was an event: Route is the collector that read it, Source from where, and
	// Origin is its id there.
	Quarantined    bool
	Source, Origin string
	// Event is zero and Err set if the message can't be decoded; Raw is its body.
	Event event.Event
	Err   error
	Raw   []byte
}

// DeadLetters returns the dead letters of all routes.
func (b *Bus) DeadLetters() *DeadLetters { return &DeadLetters{b} }

// Put stores the delivery and its reason and returns once the stream has acknowledged it. Then the caller
// ends the delivery. A repeated Put of the same delivery stores nothing new.
func (q *DeadLetters) Put(ctx context.Context, d *Delivery, letter DeadLetter) error {
	id := letter.Route + ":" + d.identity()
	err := q.put(ctx, func(id string) *nats.Msg { return deadMessage(d, letter, id) }, id)
	if err != nil {
		return fmt.Errorf("dead-letter event %s of route %s: %w", d.identity(), letter.Route, err)
	}
	return nil
}

// put stores what message makes of the id once.
func (q *DeadLetters) put(ctx context.Context, message func(id string) *nats.Msg, id string) error {
	ack, err := q.b.js.PublishMsg(ctx, message(id))
	if err != nil || !ack.Duplicate {
		return err
	}
	// A letter with this id was there within the last hour. If it was redriven or dropped since, this is
	// another one.
	s, err := q.b.js.Stream(ctx, DLQStream)
	if err != nil {
		return err
	}
	if _, err = s.GetMsg(ctx, ack.Sequence); !errors.Is(err, jetstream.ErrMsgNotFound) {
		return err
	}
	_, err = q.b.js.PublishMsg(ctx, message(id+":"+strconv.FormatInt(time.Now().UnixNano(), 36)))
	return err
}

// plain is a text as one header may hold it.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return s
}

func deadMessage(d *Delivery, letter DeadLetter, id string) *nats.Msg {
	header := nats.Header{}
	for name, values := range d.header { // the event itself, not how it was sent
		if !strings.HasPrefix(name, "Nats-") && !strings.HasPrefix(name, "Dlq-") {
			header[name] = values
		}
	}
	for name, value := range map[string]string{
		headerMsgID: id, headerRoute: letter.Route, headerClass: letter.Class, headerReason: plain(letter.Reason),
		headerAttempts: strconv.Itoa(d.Attempt), headerSubject: d.Subject,
		headerSequence: strconv.FormatUint(d.Sequence, 10), headerTime: time.Now().UTC().Format(time.RFC3339Nano),
	} {
		header[name] = []string{value}
	}
	return &nats.Msg{Subject: dlqPrefix + event.Token(letter.Route) + "." + tail(d.Subject), Header: header, Data: d.Raw}
}

// List returns the newest dead letters, at most limit, oldest of them first.
func (q *DeadLetters) List(ctx context.Context, limit int) ([]DeadLetter, error) {
	var letters []DeadLetter
	err := q.b.read(ctx, DLQStream, TailOptions{Filter: dlqPrefix + ">", Last: limit}, func(d Delivery) error {
		letters = append(letters, letterOf(d.header, d.Raw, d.Sequence))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return letters, nil
}

// Show returns one dead letter, or ErrNoDeadLetter.
func (q *DeadLetters) Show(ctx context.Context, seq uint64) (DeadLetter, error) {
	msg, _, err := q.get(ctx, seq)
	if err != nil {
		return DeadLetter{}, fmt.Errorf("show dead letter %d: %w", seq, err)
	}
	return letterOf(msg.Header, msg.Data, msg.Sequence), nil
}

// Redrive hands the event to its route again, and to that route alone, and removes the dead letter.
func (q *DeadLetters) Redrive(ctx context.Context, seq uint64) error {
	if err := q.redrive(ctx, seq); err != nil {
		return fmt.Errorf("redrive dead letter %d: %w", seq, err)
	}
	return nil
}

func (q *DeadLetters) redrive(ctx context.Context, seq uint64) error {
	msg, s, err := q.get(ctx, seq)
	if err != nil {
		return err
	}
	letter := letterOf(msg.Header, msg.Data, seq)
	if letter.Quarantined {
		return ErrQuarantined
	}
	route := event.Token(letter.Route)
	if _, err := q.b.js.Consumer(ctx, EventsStream, redrivenDurable(route)); err != nil {
		return fmt.Errorf("route %q has no consumer that could take it: %w", letter.Route, err)
	}
	header := nats.Header{}
	for name, values := range msg.Header {
		if !strings.HasPrefix(name, "Dlq-") && !strings.HasPrefix(name, "Nats-") {
			header[name] = values
		}
	}
	// The event's own id would be taken for a duplicate. The letter's number makes a repeated redrive one.
	header.Set(headerMsgID, msg.Header.Get(headerMsgID)+":r"+strconv.FormatUint(seq, 10))
	again := &nats.Msg{Subject: retryPrefix + route + "." + tail(letter.Subject), Header: header, Data: msg.Data}
	if _, err := q.b.js.PublishMsg(ctx, again); err != nil {
		return err
	}
	return remove(ctx, s, seq)
}

// Drop removes a dead letter for good.
func (q *DeadLetters) Drop(ctx context.Context, seq uint64) error {
	_, s, err := q.get(ctx, seq)
	if err == nil {
		err = remove(ctx, s, seq)
	}
	if err != nil {
		return fmt.Errorf("drop dead letter %d: %w", seq, err)
	}
	return nil
}

func (q *DeadLetters) get(ctx context.Context, seq uint64) (*jetstream.RawStreamMsg, jetstream.Stream, error) {
	s, err := q.b.js.Stream(ctx, DLQStream)
	if err != nil {
		return nil, nil, err
	}
	msg, err := s.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) || seq == 0 {
		return nil, nil, ErrNoDeadLetter
	}
	return msg, s, err
}

// remove deletes the message; another may have been first.
func remove(ctx context.Context, s jetstream.Stream, seq uint64) error {
	err := s.DeleteMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		if _, got := s.GetMsg(ctx, seq); errors.Is(got, jetstream.ErrMsgNotFound) {
			return nil
		}
	}
	return err
}

func letterOf(header nats.Header, body []byte, seq uint64) DeadLetter {
	l := DeadLetter{
		Route: header.Get(headerRoute), Class: header.Get(headerClass), Reason: header.Get(headerReason),
		Subject: header.Get(headerSubject), Seq: seq, Raw: body,
	}
	// Written by Put; a letter of another hand may lack them.
	l.Attempts, _ = strconv.Atoi(header.Get(headerAttempts))
	l.Sequence, _ = strconv.ParseUint(header.Get(headerSequence), 10, 64)
	l.Time, _ = time.Parse(time.RFC3339Nano, header.Get(headerTime))
	if l.Source, l.Origin = header.Get(headerSource), header.Get(headerOrigin); l.Source != "" {
		l.Quarantined, l.Err = true, ErrQuarantined
		return l
	}
	l.Event, l.Err = event.DecodeMessage(header, body)
	return l
}
