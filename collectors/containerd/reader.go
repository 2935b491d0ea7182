package containerd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/types"
)

// filters lets containerd leave out what is no transition, and namespaces that others tell of.
func (c *Config) filters() []string {
	topics := make([]string, 0, len(handlers)+1)
	for topic := range readers {
		topics = append(topics, strings.TrimPrefix(topic, "/"))
	}
	about := `topic~="^/(` + strings.Join(topics, "|") + `)$"`
	if len(c.Namespaces) == 0 {
		for _, namespace := range c.SkipNamespaces {
			about += ",namespace!=" + strconv.Quote(namespace)
		}
		return []string{about}
	}
	each := make([]string, len(c.Namespaces))
	for i, namespace := range c.Namespaces {
		each[i] = about + ",namespace==" + strconv.Quote(namespace)
	}
	return each
}

// read takes events off the stream until it breaks; it closes open once it has asked for them. When
// containerd begins to send, it does not say.
func (w *watch) read(ctx context.Context, open chan<- struct{}) error {
	stream, err := w.api.events.Subscribe(ctx, &events.SubscribeRequest{Filters: w.cfg.filters()})
	if err != nil {
		return w.api.describe(err)
	}
	close(open)
	for {
		e, err := stream.Recv()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			w.delivered(time.Now().Add(-onItsWay)) // its end is heard of at once
			return fmt.Errorf("read events: %w", w.api.describe(err))
		}
		w.receive(e)
		if waiting := w.backlog.Len(); waiting > maxQueued {
			return fmt.Errorf("%w; %d wait", errBehind, waiting)
		}
	}
}

// receive hands an event to its shard. It must not wait for anything.
func (w *watch) receive(e *types.Envelope) {
	w.metrics.events.Inc()
	if at := e.GetTimestamp(); at != nil {
		w.delivered(at.AsTime())
	}
	r, ok, err := recordOf(e)
	switch {
	case err != nil:
		w.metrics.ignored.WithLabelValues(ignoredUnknown).Inc()
		w.deps.Logger.Warn("event not understood", "topic", e.GetTopic(), "namespace", e.GetNamespace(), "err", err)
	case !ok:
		w.metrics.ignored.WithLabelValues(ignoredUnknown).Inc()
		w.deps.Logger.Debug("event is no transition", "topic", e.GetTopic(), "namespace", e.GetNamespace())
	case r.process != "" && r.process != r.id:
		w.metrics.ignored.WithLabelValues(ignoredExec).Inc()
	case r.topic == topicSpaceGone:
		select {
		case w.look <- struct{}{}:
		default:
		}
	case w.cfg.watches(r.namespace):
		w.shard(r.key()).push(item{record: r})
	}
}
