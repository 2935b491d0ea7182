package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Start says where a new consumer begins. It does not move one that exists.
type Start struct {
	kind jetstream.DeliverPolicy
	time time.Time
}

// All begins with the oldest event of the stream, New with the next one.
func All() Start { return Start{kind: jetstream.DeliverAllPolicy} }

// New begins with the next event.
func New() Start { return Start{kind: jetstream.DeliverNewPolicy} }

// At begins with the first event that was stored at t or later.
func At(t time.Time) Start { return Start{kind: jetstream.DeliverByStartTimePolicy, time: t} }

// ConsumerConfig configures the durable consumer of one route.
type ConsumerConfig struct {
	// Name is the route's.
	Name string
	// Filters are NATS subjects below bellbuoy.events.v1. that may not overlap; none means all events.
	Filters []string
	// From is All by default.
	From Start
	// AckWait is after what time without an answer an event comes again; default 60 s.
	AckWait time.Duration
	// MaxAckPending bounds the events that were given and not acknowledged; default 5000.
	MaxAckPending int
	// Redriven reads what is redriven to the route from the dead letters, in place of the stream's events.
	// It is a consumer of its own, because a second filter makes the server look at every subject for each
	// message: ten times the CPU of one filter (nats-server 2.15.2, measured).
	Redriven bool
	// Alone says that nobody else can hold events of this consumer, as with an embedded server: what an
	// earlier process was given and did not answer comes at once, and not after AckWait.
	Alone bool
	// Pinned lets only one of several instances of the route get events. Another takes over when it closes,
	// or 15 s after its last Fetch.
	Pinned bool
}

const (
	defaultAckWait    = time.Minute
	defaultAckPending = 5000
	pinnedTTL         = 15 * time.Second
	pinnedGroup       = "route"
	// floorEvery is how often Fetch looks how far the route has come.
	floorEvery = 15 * time.Second
	// reclaimTime is more than the server needs to see that an AckWait has passed.
	reclaimTime = 250 * time.Millisecond
	// drainTimeout bounds the round trip that shows that nothing more will come.
	drainTimeout = time.Second
	// lookTimeout bounds that look, behind which events wait.
	lookTimeout = time.Second
)

// Consumer reads the events of one route. One goroutine may Fetch; deliveries may be answered from any.
type Consumer struct {
	b     *Bus
	cfg   ConsumerConfig
	inbox string
	next  string // subject of pull requests
	msgs  chan *nats.Msg
	sub   *nats.Subscription

	left  int    // what the open pull may still give; 0 if none is open
	pinID string // the server's name for this instance while it is the pinned one
	// trouble is why the consumer must be provided again before the next pull.
	trouble error
	// floor is the sequence up to which all is acknowledged, as of looked.
	floor  uint64
	looked time.Time
}

// Info is the state of a consumer.
type Info struct {
	// Pending events were never given, AckPending were given and not acknowledged, Redelivered of these more
	// than once.
	Pending, AckPending, Redelivered int
	// Oldest is the age of the oldest event that is not acknowledged; 0 if there is none.
	Oldest time.Duration
}

// Consumer makes the durable consumer of a route, or brings the one that exists up to cfg.
func (b *Bus) Consumer(ctx context.Context, cfg ConsumerConfig) (*Consumer, error) {
	if cfg.Name == "" {
		return nil, errors.New("make a consumer: the route has no name")
	}
	if len(cfg.Filters) == 0 {
		cfg.Filters = []string{event.SubjectPrefix + ">"}
	}
	if cfg.AckWait <= 0 {
		cfg.AckWait = defaultAckWait
	}
	if cfg.MaxAckPending <= 0 {
		cfg.MaxAckPending = defaultAckPending
	}
	c := &Consumer{b: b, cfg: cfg, inbox: b.nc.NewInbox(), msgs: make(chan *nats.Msg, 2*maxPull+64)}
	c.next = "$JS.API.CONSUMER.MSG.NEXT." + EventsStream + "." + c.durable()
	if err := c.provision(ctx); err != nil {
		return nil, err
	}
	if cfg.Alone {
		if err := c.reclaim(ctx); err != nil {
			return nil, fmt.Errorf("take back what an earlier process held for route %s: %w", cfg.Name, err)
		}
	}
	var err error
	if c.sub, err = b.nc.ChanSubscribe(c.inbox, c.msgs); err != nil {
		return nil, fmt.Errorf("subscribe for route %s: %w", cfg.Name, err)
	}
	return c, nil
}

func (c *Consumer) durable() string {
	if c.cfg.Redriven {
		return redrivenDurable(event.Token(c.cfg.Name))
	}
	return event.Token(c.cfg.Name)
}

// redrivenDurable can't be the durable of another route: a token has no such ending.
func redrivenDurable(route string) string { return route + "=redriven" }

func (c *Consumer) filters() []string {
	if c.cfg.Redriven {
		return []string{retryPrefix + event.Token(c.cfg.Name) + ".>"}
	}
	return c.cfg.Filters
}

// provision creates the durable, or updates it. Its start can't be changed on the server and is kept.
func (c *Consumer) provision(ctx context.Context) error {
	if c.b.o.Manage == Off {
		return nil
	}
	want := c.config()
	have, err := c.b.js.Consumer(ctx, EventsStream, c.durable())
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		if have, err = c.b.js.CreateConsumer(ctx, EventsStream, want); err == nil {
			c.floor = max(c.floor, have.CachedInfo().AckFloor.Stream)
		}
	case err == nil:
		info := have.CachedInfo()
		c.floor = max(c.floor, info.AckFloor.Stream)
		want.DeliverPolicy, want.OptStartSeq, want.OptStartTime = info.Config.DeliverPolicy, info.Config.OptStartSeq, info.Config.OptStartTime
		_, err = c.b.js.UpdateConsumer(ctx, EventsStream, want)
	}
	if err != nil {
		return fmt.Errorf("set up the consumer of route %s: %w", c.cfg.Name, errors.Join(err, c.b.refused()))
	}
	return nil
}

func (c *Consumer) config() jetstream.ConsumerConfig {
	conf := jetstream.ConsumerConfig{
		Durable: c.durable(), Description: "Bellbuoy: route " + c.cfg.Name,
		DeliverPolicy: c.cfg.From.kind, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: c.cfg.AckWait, MaxAckPending: c.cfg.MaxAckPending, MaxDeliver: -1,
	}
	if filters := c.filters(); len(filters) == 1 {
		conf.FilterSubject = filters[0]
	} else {
		conf.FilterSubjects = slices.Clone(filters)
	}
	if !c.cfg.From.time.IsZero() {
		conf.OptStartTime = &c.cfg.From.time
	}
	if c.floor > 0 { // it existed once: go on from there
		conf.DeliverPolicy, conf.OptStartSeq, conf.OptStartTime = jetstream.DeliverByStartSequencePolicy, c.floor+1, nil
	}
	if c.cfg.Pinned {
		conf.PriorityPolicy, conf.PriorityGroups, conf.PinnedTTL = jetstream.PriorityPolicyPinned, []string{pinnedGroup}, pinnedTTL
	}
	return conf
}

// reclaim lets come again what was given and not answered. The server looks at it shortly after its
// AckWait was changed (100 ms in nats-server 2.15.2), so that is made as short as can be for a moment.
func (c *Consumer) reclaim(ctx context.Context) error {
	have, err := c.b.js.Consumer(ctx, EventsStream, c.durable())
	if err != nil || have.CachedInfo().NumAckPending == 0 {
		return err
	}
	conf := have.CachedInfo().Config
	usual := conf.AckWait
	conf.AckWait = time.Millisecond
	if _, err := c.b.js.UpdateConsumer(ctx, EventsStream, conf); err != nil {
		return err
	}
	waited := backoff.Sleep(ctx, reclaimTime)
	conf.AckWait = usual
	_, err = c.b.js.UpdateConsumer(context.WithoutCancel(ctx), EventsStream, conf)
	return errors.Join(waited, err)
}

// restore provisions the consumer again until that works or ctx ends.
func (c *Consumer) restore(ctx context.Context) error {
	c.b.o.Logger.Warn("consumer does not answer, providing it again", "route", c.cfg.Name, "err", c.trouble)
	c.b.metrics.recovered.WithLabelValues(c.cfg.Name).Inc()
	c.left, c.pinID, c.trouble = 0, "", nil
	wait := backoff.New(retryFirst, retryLimit)
	for {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := c.provision(attempt)
		cancel()
		if err == nil {
			return nil
		}
		c.b.o.Logger.Debug("consumer could not be provided", "route", c.cfg.Name, "err", err)
		if err := wait.Wait(ctx); err != nil {
			return err
		}
	}
}

// look remembers how far the route has come, for the case that the consumer is deleted.
func (c *Consumer) look(ctx context.Context) {
	if time.Since(c.looked) < floorEvery || c.b.o.Manage == Off || !c.b.nc.IsConnected() {
		return
	}
	c.looked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if have, err := c.b.js.Consumer(ctx, EventsStream, c.durable()); err == nil {
		info := have.CachedInfo()
		c.floor = max(c.floor, info.AckFloor.Stream)
		c.observe(info)
	}
}

func (c *Consumer) observe(info *jetstream.ConsumerInfo) {
	c.b.metrics.pending.WithLabelValues(c.cfg.Name).Set(float64(info.NumPending))
	c.b.metrics.ackPending.WithLabelValues(c.cfg.Name).Set(float64(info.NumAckPending))
}

// Info asks the server how far the route is behind. It may be called while another goroutine is in Fetch.
func (c *Consumer) Info(ctx context.Context) (Info, error) {
	have, err := c.b.js.Consumer(ctx, EventsStream, c.durable())
	if err != nil {
		return Info{}, fmt.Errorf("look at the consumer of route %s: %w", c.cfg.Name, err)
	}
	info := have.CachedInfo()
	c.observe(info)
	out := Info{Pending: int(info.NumPending), AckPending: info.NumAckPending, Redelivered: info.NumRedelivered}
	if out.Pending+out.AckPending > 0 {
		if out.Oldest, err = c.oldest(ctx, info); err != nil {
			return Info{}, fmt.Errorf("look for the oldest event of route %s: %w", c.cfg.Name, err)
		}
	}
	c.b.metrics.oldest.WithLabelValues(c.cfg.Name).Set(out.Oldest.Seconds())
	return out, nil
}

// oldest is the age of the first event behind the acknowledged ones.
func (c *Consumer) oldest(ctx context.Context, info *jetstream.ConsumerInfo) (time.Duration, error) {
	s, err := c.b.js.Stream(ctx, EventsStream)
	if err != nil {
		return 0, err
	}
	var first time.Time
	for _, filter := range c.filters() {
		msg, err := s.GetMsg(ctx, max(info.AckFloor.Stream+1, s.CachedInfo().State.FirstSeq), jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if first.IsZero() || msg.Time.Before(first) {
			first = msg.Time
		}
	}
	if first.IsZero() {
		return 0, nil
	}
	return max(time.Since(first), 0), nil
}

// Close stops getting events and lets another instance of a pinned route take over at once. What was not
// acknowledged comes again.
func (c *Consumer) Close() error {
	if err := c.sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
		return fmt.Errorf("close the consumer of route %s: %w", c.cfg.Name, err)
	}
	if c.pinID == "" || !c.b.nc.IsConnected() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	s, err := c.b.js.Stream(ctx, EventsStream)
	if err == nil {
		err = s.UnpinConsumer(ctx, c.durable(), pinnedGroup)
	}
	if err != nil {
		return fmt.Errorf("unpin route %s: %w", c.cfg.Name, err)
	}
	return nil
}

// Drain ends the pull that is open and returns what the server had sent for it. Left behind, that would
// come again only after AckWait: a server that is stopped forgets who asked for it to come sooner. Fetch
// has returned by then and is not called again; Close comes after.
func (c *Consumer) Drain() []*Delivery {
	if c.sub.Drain() != nil || c.b.nc.FlushTimeout(drainTimeout) != nil {
		return nil // not connected: it comes again in any case
	}
	var got []*Delivery
	for {
		select {
		case msg := <-c.msgs:
			if d := c.take(msg); d != nil {
				got = append(got, d)
			}
		default:
			return got
		}
	}
}
