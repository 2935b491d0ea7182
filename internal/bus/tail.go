package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// TailOptions says which events Tail reads.
type TailOptions struct {
	// Since begins with what was stored then or later; Last with the newest so many. Both zero: with Follow
	// at the next event, else at the oldest.
	Since time.Time
	Last  int
	// Filter is a NATS subject; empty means all events, without redriven ones.
	Filter string
	// Follow goes on with new events until ctx ends.
	Follow bool
}

// endOfStream is how long to wait for an event that the server said is pending.
const endOfStream = 5 * time.Second

// Tail calls each with every event, in order, and returns its error, or nil at the end: of the stream, or
// with Follow of ctx. It leaves no trace on the server and survives a lost connection.
func (b *Bus) Tail(ctx context.Context, o TailOptions, each func(Delivery) error) error {
	if o.Filter == "" {
		o.Filter = event.SubjectPrefix + ">"
	}
	return b.read(ctx, EventsStream, o, each)
}

func (b *Bus) read(ctx context.Context, stream string, o TailOptions, each func(Delivery) error) error {
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{o.Filter}, DeliverPolicy: jetstream.DeliverAllPolicy}
	switch {
	case !o.Since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &o.Since
	case o.Last == 0 && o.Follow:
		cfg.DeliverPolicy = jetstream.DeliverNewPolicy
	}
	consumer, pending, skip, err := b.ordered(ctx, stream, cfg, o.Last)
	if err != nil {
		return fmt.Errorf("read %s: %w", stream, errors.Join(err, b.refused()))
	}
	defer b.forget(ctx, stream, consumer)
	if pending == 0 && !o.Follow {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("read %s: %w", stream, err)
	}
	defer messages.Stop()
	for {
		msg, err := next(ctx, messages, o.Follow)
		if err != nil || msg == nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
		if skip > 0 {
			skip--
		} else {
			d := newDelivery(msg.Subject(), msg.Headers(), msg.Data())
			d.Attempt, d.Sequence, d.Stored, d.Pending = 1, meta.Sequence.Stream, meta.Timestamp, meta.NumPending
			if err := each(*d); err != nil {
				return err
			}
		}
		if meta.NumPending == 0 && !o.Follow {
			return nil
		}
	}
}

// forget deletes the consumer at once; left alone it would count against the stream's limit for minutes.
func (b *Bus) forget(ctx context.Context, stream string, c jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancel()
	err := b.js.DeleteConsumer(ctx, stream, c.CachedInfo().Name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		b.o.Logger.Debug("consumer not deleted", "stream", stream, "err", err)
	}
}

// next returns nil at the end.
func next(ctx context.Context, messages jetstream.MessagesContext, follow bool) (jetstream.Msg, error) {
	bound := ctx
	if !follow {
		var cancel context.CancelFunc
		bound, cancel = context.WithTimeout(ctx, endOfStream)
		defer cancel()
	}
	msg, err := messages.Next(jetstream.NextContext(bound))
	switch {
	case err == nil:
		return msg, nil
	case ctx.Err() != nil && follow:
		return nil, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return nil, nil // it was removed meanwhile
	}
	return nil, fmt.Errorf("read the stream: %w", err)
}

// ordered makes the consumer. For the last n it looks further and further back until enough are ahead, and
// says how many of these to skip, because the server can begin with the last one only.
func (b *Bus) ordered(ctx context.Context, stream string, cfg jetstream.OrderedConsumerConfig, n int) (c jetstream.Consumer, pending, skip uint64, err error) {
	if n <= 0 || cfg.DeliverPolicy == jetstream.DeliverByStartTimePolicy {
		if c, err = b.js.OrderedConsumer(ctx, stream, cfg); err != nil {
			return nil, 0, 0, err
		}
		return c, c.CachedInfo().NumPending, 0, nil
	}
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return nil, 0, 0, err
	}
	state, want := s.CachedInfo().State, uint64(n)
	for back := want; ; back *= 8 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, max(state.FirstSeq, 1)
		if state.LastSeq > back {
			cfg.OptStartSeq = max(cfg.OptStartSeq, state.LastSeq-back+1)
		}
		if c, err = b.js.OrderedConsumer(ctx, stream, cfg); err != nil {
			return nil, 0, 0, err
		}
		pending = c.CachedInfo().NumPending
		if pending >= want || cfg.OptStartSeq == max(state.FirstSeq, 1) {
			return c, pending, pending - min(pending, want), nil
		}
		b.forget(ctx, stream, c) // it began too late
	}
}
