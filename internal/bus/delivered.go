package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

// deliveredEvery is how often AwaitDelivered asks the server.
const deliveredEvery = 10 * time.Millisecond

// AwaitDelivered waits until the route has acknowledged the event at this sequence of the events stream
// and all before it, whether it was sent or left out. It returns an error when ctx ends first, which an
// older event that still waits for its turn can cause, too.
func (b *Bus) AwaitDelivered(ctx context.Context, route string, sequence uint64) error {
	durable := (&Consumer{b: b, cfg: ConsumerConfig{Name: route}}).durable()
	for {
		c, err := b.js.Consumer(ctx, EventsStream, durable)
		if err != nil {
			return fmt.Errorf("look at the consumer of route %s: %w", route, err)
		}
		info := c.CachedInfo()
		if info.AckFloor.Stream >= sequence || info.NumAckPending == 0 && info.Delivered.Stream >= sequence {
			return nil
		}
		if err := backoff.Sleep(ctx, deliveredEvery); err != nil {
			return fmt.Errorf("route %s has %d events to come and %d without an answer: %w", route, info.NumPending, info.NumAckPending, err)
		}
	}
}
