package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// The headers of a quarantined message, beside those that every dead letter has.
const (
	headerSource = "Dlq-Source"
	headerOrigin = "Dlq-Origin-Id"
)

// ErrQuarantined is returned for a redrive of a message that never was an event.
var ErrQuarantined = errors.New("it was quarantined by a collector and never was an event, so no route could take it; look at it with show, mend what sent it, and drop it")

// Letter is a message that a collector can't make an event of.
type Letter struct {
	// Collector read it from Source, such as the URL of a queue; ID is the message's there.
	Collector, Source, ID string
	// Class is one word such as undecodable; Reason is a sentence.
	Class, Reason string
	// Body is what came, as much of it as may be kept.
	Body []byte
}

// Quarantine keeps the letter among the dead letters, where its collector stands in place of a route, and
// returns once the stream has acknowledged it. A repeated one of the same collector and id is kept once.
func (q *DeadLetters) Quarantine(ctx context.Context, l Letter) error {
	id := "quarantine:" + event.NewID("quarantine", l.Collector, l.Source, l.ID)
	if err := q.put(ctx, l.message, id); err != nil {
		return fmt.Errorf("quarantine message %s of collector %s: %w", l.ID, l.Collector, err)
	}
	return nil
}

func (l Letter) message(id string) *nats.Msg {
	header := nats.Header{}
	for name, value := range map[string]string{
		headerMsgID: id, headerRoute: plain(l.Collector), headerClass: plain(l.Class), headerReason: plain(l.Reason),
		headerSource: plain(l.Source), headerOrigin: plain(l.ID), headerTime: time.Now().UTC().Format(time.RFC3339Nano),
	} {
		header[name] = []string{value}
	}
	return &nats.Msg{Subject: dlqPrefix + event.Token(l.Collector) + ".quarantine." + event.Token(l.Class), Header: header, Data: l.Body}
}
