package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
)

// A pull asks for no more than the caller can take: events that wait in a client's buffer while a target
// is slow run out of their AckWait and come twice. So at most one pull is open, and the server ends it as
// soon as it has given something and has no more.
const (
	maxPull   = 2000
	pullTime  = 30 * time.Second
	heartbeat = 5 * time.Second
	// pinnedPull and pinnedBeat are those of a pinned route. Its pulls wait for their time or number,
	// because the server refuses one that ends early while another instance waits.
	pinnedPull = 5 * time.Second
	pinnedBeat = 2 * time.Second
	// silence is after how long without a word from the server a pull counts as lost.
	silence = 2*heartbeat + time.Second
	// settle is how long a pull that has given something may keep more waiting, as it does when the route
	// has reached its MaxAckPending. The pull stays open.
	settle = 5 * time.Millisecond
	// emptyFirst and emptyLimit pace pulls that the server ends at once without an event, as it does where
	// another instance of the route waits.
	emptyFirst, emptyLimit = 20 * time.Millisecond, time.Second
)

// pullRequest is the body of a pull, in the server's words.
type pullRequest struct {
	Batch     int           `json:"batch"`
	Expires   time.Duration `json:"expires,omitempty"`
	NoWait    bool          `json:"no_wait"`
	Heartbeat time.Duration `json:"idle_heartbeat,omitempty"`
	Group     string        `json:"group,omitempty"`
	ID        string        `json:"id,omitempty"`
}

// Fetch waits for an event, then as long as linger for more, and returns 1 to limit deliveries (limit is at
// most 2000). The only error is that ctx has ended before the first; what was on its way then is Drain's. A
// consumer that went silent or was deleted is provided again.
func (c *Consumer) Fetch(ctx context.Context, limit int, linger time.Duration) ([]*Delivery, error) {
	limit = min(max(limit, 1), maxPull)
	c.look(ctx)
	first, err := c.first(ctx, limit)
	if err != nil {
		return nil, err
	}
	bound := time.NewTimer(max(linger, settle))
	defer bound.Stop()
	got := c.more(ctx, []*Delivery{first}, limit, bound.C)
	if len(got) == limit || linger <= 0 || c.left > 0 {
		return got, nil
	}
	select {
	case <-bound.C:
	case <-ctx.Done():
		return got, nil
	}
	if c.request(limit-len(got), 0) != nil {
		return got, nil // the next Fetch sees to it
	}
	bound.Reset(settle)
	return c.more(ctx, got, limit, bound.C), nil
}

// first waits for one event, whatever happens to the connection and the consumer meanwhile.
func (c *Consumer) first(ctx context.Context, limit int) (*Delivery, error) {
	wait := backoff.New(emptyFirst, emptyLimit)
	for {
		if c.trouble != nil {
			if err := c.restore(ctx); err != nil {
				return nil, err
			}
		}
		lost := c.b.nextReconnect()
		if c.left == 0 {
			if err := c.request(limit, pullTime); err != nil {
				c.b.o.Logger.Debug("pull not sent", "route", c.cfg.Name, "err", err)
			}
		}
		d, err := c.await(ctx, lost)
		if d != nil || err != nil {
			return d, err
		}
		if err := wait.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

// await returns the next event of the open pull, or nil if that ended without one.
func (c *Consumer) await(ctx context.Context, lost <-chan struct{}) (*Delivery, error) {
	silent := time.NewTimer(silence)
	defer silent.Stop()
	for c.left > 0 && c.trouble == nil {
		select {
		case msg := <-c.msgs:
			if d := c.take(msg); d != nil {
				return d, nil
			}
			silent.Reset(silence)
		case <-lost:
			c.left = 0 // the server forgot it with the connection
		case <-silent.C:
			if !c.b.nc.IsConnected() {
				silent.Reset(silence) // lost tells when it is back
				continue
			}
			c.trouble = errors.New("no heartbeat")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, nil
}

// more adds what the open pull gives until it ends, limit is reached, or the bound or ctx is.
func (c *Consumer) more(ctx context.Context, got []*Delivery, limit int, bound <-chan time.Time) []*Delivery {
	for len(got) < limit && c.left > 0 {
		select {
		case msg := <-c.msgs:
			if d := c.take(msg); d != nil {
				got = append(got, d)
			}
		case <-bound:
			return got
		case <-ctx.Done():
			return got
		}
	}
	return got
}

// request opens a pull. Without expiry the server answers with what there is.
func (c *Consumer) request(n int, expires time.Duration) error {
	req := pullRequest{Batch: n, NoWait: true, Expires: expires}
	if expires > 0 {
		req.Heartbeat = heartbeat
	}
	if c.cfg.Pinned {
		req = pullRequest{Batch: n, Expires: pinnedPull, Heartbeat: pinnedBeat, Group: pinnedGroup, ID: c.pinID}
	}
	body, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("encode a pull: %w", err)
	}
	if err := c.b.nc.PublishRequest(c.next, c.inbox, body); err != nil {
		return fmt.Errorf("send a pull: %w", err)
	}
	c.left = n
	return nil
}

// take reads one message: an event, or a word of the server about the pull.
func (c *Consumer) take(msg *nats.Msg) *Delivery {
	if status := msg.Header.Get("Status"); status != "" && len(msg.Data) == 0 {
		c.status(status, msg.Header.Get("Description"))
		return nil
	}
	if id := msg.Header.Get("Nats-Pin-Id"); id != "" {
		c.pinID = id
	}
	c.left = max(c.left-1, 0)
	d, err := decode(c.b.nc, msg)
	if err != nil {
		c.b.o.Logger.Error("message of a consumer is no delivery", "route", c.cfg.Name, "err", err)
		return nil
	}
	return d
}

func (c *Consumer) status(code, description string) {
	switch code {
	case "100": // a heartbeat
	case "404", "408": // no more
		c.left = 0
	case "423": // another instance is pinned now
		c.left, c.pinID = 0, ""
	case "409":
		c.left = 0
		if description == "Consumer Deleted" {
			c.trouble = errors.New("the consumer was deleted")
		}
	default:
		c.left, c.trouble = 0, fmt.Errorf("the server answers %s %s", code, description)
	}
}
