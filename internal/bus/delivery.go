package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Delivery is one event handed to one consumer. Exactly one of Ack, DoubleAck, NakAfter and Term ends it;
// without one it comes again after the consumer's AckWait.
type Delivery struct {
	// Event is zero and Err says why if the message could not be decoded.
	Event event.Event
	Err   error
	// Raw is the message's body. For an event in structured mode it is the event.
	Raw     []byte
	Subject string
	// Attempt counts the deliveries of this event to this consumer, from 1.
	Attempt int
	// Stored is when the stream took the event, Sequence its place there. After a loss of data on the
	// server sequences are used again: they are no identity.
	Stored   time.Time
	Sequence uint64
	// Pending is how many events the consumer had not been given yet when this one was sent.
	Pending uint64

	header nats.Header
	nc     *nats.Conn
	reply  string
}

// decode makes a delivery of a message of a consumer.
func decode(nc *nats.Conn, msg *nats.Msg) (*Delivery, error) {
	d := newDelivery(msg.Subject, msg.Header, msg.Data)
	d.nc, d.reply = nc, msg.Reply
	// $JS.ACK.<stream>.<consumer>.<attempt>.<sequence>.<delivery>.<nanoseconds>.<pending>, or with domain
	// and account behind ACK and a random token at the end.
	tokens := strings.Split(msg.Reply, ".")
	if len(tokens) == 9 {
		tokens = tokens[4:]
	} else if len(tokens) >= 11 {
		tokens = tokens[6:]
	} else {
		return nil, fmt.Errorf("message on %s is no delivery: its reply subject has %d tokens", msg.Subject, len(tokens))
	}
	attempt, err := strconv.Atoi(tokens[0])
	seq, err2 := strconv.ParseUint(tokens[1], 10, 64)
	stored, err3 := strconv.ParseInt(tokens[3], 10, 64)
	pending, err4 := strconv.ParseUint(tokens[4], 10, 64)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return nil, fmt.Errorf("read the reply subject of a delivery: %w", err)
	}
	d.Attempt, d.Sequence, d.Stored, d.Pending = attempt, seq, time.Unix(0, stored).UTC(), pending
	return d, nil
}

func newDelivery(subject string, header nats.Header, body []byte) *Delivery {
	d := &Delivery{Subject: subject, Raw: body, header: header}
	d.Event, d.Err = event.DecodeMessage(header, body)
	return d
}

// identity is the same for each delivery of the same message. A redriven event has another one than the
// first time, because it may fail again.
func (d *Delivery) identity() string {
	if strings.HasPrefix(d.Subject, retryPrefix) && d.header.Get(headerMsgID) != "" {
		return d.header.Get(headerMsgID)
	}
	if d.Event.ID != "" {
		return d.Event.ID
	}
	return event.NewID("undecodable", d.Subject, string(d.Raw))
}

// Ack ends the delivery: the event is done. It does not wait for the server; if the acknowledgement is
// lost, the event comes again.
func (d *Delivery) Ack() error { return d.respond("+ACK") }

// DoubleAck is Ack and waits until the server has it.
func (d *Delivery) DoubleAck(ctx context.Context) error {
	if d.nc == nil {
		return errNoDelivery
	}
	if _, err := d.nc.RequestWithContext(ctx, d.reply, []byte("+ACK")); err != nil {
		return fmt.Errorf("acknowledge event at sequence %d: %w", d.Sequence, err)
	}
	return nil
}

// NakAfter gives the event back; it comes again after delay.
func (d *Delivery) NakAfter(delay time.Duration) error {
	if delay <= 0 {
		return d.respond("-NAK")
	}
	return d.respond(`-NAK {"delay":` + strconv.FormatInt(int64(delay), 10) + `}`)
}

// Term ends the delivery: the event never comes again to this consumer. The server keeps the reason in the
// advisory stream.
func (d *Delivery) Term(reason string) error { return d.respond("+TERM " + reason) }

// InProgress restarts the consumer's AckWait for this event.
func (d *Delivery) InProgress() error { return d.respond("+WPI") }

var errNoDelivery = errors.New("this event was read without a consumer: there is nothing to acknowledge")

func (d *Delivery) respond(body string) error {
	if d.nc == nil {
		return errNoDelivery
	}
	if err := d.nc.Publish(d.reply, []byte(body)); err != nil {
		return fmt.Errorf("answer for event at sequence %d: %w", d.Sequence, err)
	}
	return nil
}
