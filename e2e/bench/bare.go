package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// What the product is measured against: a client of JetStream that does nothing but publish and consume,
// on the same server, the same stream and the same kind of connection.

// fastFlow asks the server for an acknowledgement every so many messages of a fast-ingest batch; three of
// these steps may be open.
const fastFlow, fastSteps = 200, 3

func (r *rig) connect() (*nats.Conn, jetstream.JetStream, error) {
	nc, err := nats.Connect("", nats.InProcessServer(r.server.Conn()))
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the embedded server: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("use JetStream: %w", err)
	}
	return nc, js, nil
}

// expect returns an error unless the stream holds n events.
func (r *rig) expect(n int) error {
	nc, js, err := r.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, bus.EventsStream)
	if err != nil {
		return fmt.Errorf("look at the stream: %w", err)
	}
	if have := s.CachedInfo().State.Msgs; have != uint64(n) {
		return fmt.Errorf("the stream holds %d of %d events", have, n)
	}
	return nil
}

// messages are the events of a load as they are on the stream, without headers.
func (l *load) messages() ([]nats.Msg, error) {
	bodies, _, err := l.bodies()
	if err != nil {
		return nil, err
	}
	out := make([]nats.Msg, len(bodies))
	for i := range out {
		out[i] = nats.Msg{Subject: event.NATSSubject(&l.pool[i]), Data: bodies[i]}
	}
	return out, nil
}

// runBare publishes in one fast-ingest batch and consumes with an ack each, over two connections.
func runBare(ctx context.Context, n int) (s sample, err error) {
	messages, err := newLoad(min(n, poolSize)).messages()
	if err != nil {
		return s, err
	}
	r, err := newRig(ctx, bus.Relaxed)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	in, _, err := r.connect()
	if err != nil {
		return s, err
	}
	defer in.Close()
	out, js, err := r.connect()
	if err != nil {
		return s, err
	}
	defer out.Close()
	consumer, err := js.CreateConsumer(ctx, bus.EventsStream, jetstream.ConsumerConfig{
		Durable: "bare", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 20_000, AckWait: time.Minute,
	})
	if err != nil {
		return s, fmt.Errorf("make a consumer: %w", err)
	}
	w := startWatch()
	all, consuming, err := consume(consumer, n)
	if err != nil {
		return s, err
	}
	defer consuming.Stop()
	if err := ingest(ctx, in, messages, n); err != nil {
		return s, err
	}
	select {
	case err = <-all:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	err = errors.Join(err, out.FlushWithContext(ctx))
	return w.stop(n), errors.Join(err, r.expect(n))
}

// consume acknowledges n messages, then tells.
func consume(c jetstream.Consumer, n int) (<-chan error, jetstream.ConsumeContext, error) {
	all := make(chan error, 1)
	got := 0
	consuming, err := c.Consume(func(m jetstream.Msg) {
		err := m.Ack()
		if got++; err != nil || got == n {
			select {
			case all <- err:
			default:
			}
		}
	}, jetstream.PullMaxMessages(2000))
	if err != nil {
		return nil, nil, fmt.Errorf("consume: %w", err)
	}
	return all, consuming, nil
}

// ingest publishes n messages as one fast-ingest batch. The protocol is in the reply subjects:
// <inbox>.<batch>.<flow>.<on gap>.<sequence>.<operation>.$FI, with 0 to start, 1 to add, 2 to add and end.
func ingest(ctx context.Context, nc *nats.Conn, messages []nats.Msg, n int) error {
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox + ".>")
	if err != nil {
		return fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	prefix := inbox + ".bare." + strconv.Itoa(fastFlow) + ".fail."
	acked, window := 0, 1
	for i := range n {
		operation := "1"
		switch i {
		case n - 1:
			operation = "2"
		case 0:
			operation = "0"
		}
		msg := messages[i%len(messages)]
		msg.Reply = prefix + strconv.Itoa(i+1) + "." + operation + ".$FI"
		if err := nc.PublishMsg(&msg); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		for sent := i + 1; sent-acked >= window || sent == n && acked < n; {
			if acked, window, err = answer(ctx, answers, acked, window); err != nil {
				return err
			}
		}
	}
	return nil
}

// answer takes the server's next word: how far it is, and how often it will tell.
func answer(ctx context.Context, answers *nats.Subscription, acked, window int) (int, int, error) {
	msg, err := answers.NextMsgWithContext(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("wait for an acknowledgement: %w", err)
	}
	var a struct {
		Type  string
		Seq   int
		Msgs  int
		Count int
		Error *jetstream.APIError
	}
	if err := json.Unmarshal(msg.Data, &a); err != nil {
		return 0, 0, fmt.Errorf("read an acknowledgement: %w", err)
	}
	switch {
	case a.Error != nil:
		return 0, 0, fmt.Errorf("publish: %w", a.Error)
	case a.Type == "ack":
		return max(a.Seq, acked), max(a.Msgs, 1) * fastSteps, nil
	case a.Type == "":
		return a.Count, window, nil
	}
	return 0, 0, fmt.Errorf("the batch ended with %s", msg.Data)
}

// runSynced publishes one event after the other to a server that syncs each.
func runSynced(ctx context.Context, n int) (s sample, err error) {
	messages, err := newLoad(min(n, poolSize)).messages()
	if err != nil {
		return s, err
	}
	r, err := newRig(ctx, bus.Strict)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	nc, js, err := r.connect()
	if err != nil {
		return s, err
	}
	defer nc.Close()
	w := startWatch()
	for i := range n {
		msg := messages[i%len(messages)]
		if _, err := js.PublishMsg(ctx, &msg); err != nil {
			return s, fmt.Errorf("publish: %w", err)
		}
	}
	return w.stop(n), r.expect(n)
}
