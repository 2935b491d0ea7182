package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/bus"
)

// ListDeadLetters writes one line per dead letter, or a JSON array.
func (p *Program) ListDeadLetters(ctx context.Context, output string) error {
	return p.deadLetters(ctx, func(letters *bus.DeadLetters) error {
		all, err := letters.List(ctx, 0)
		if err != nil {
			return err
		}
		if output == "json" {
			return json.NewEncoder(p.Out).Encode(viewsOf(all))
		}
		if len(all) == 0 {
			_, err := fmt.Fprintln(p.Out, "no dead letters")
			return err
		}
		for _, v := range viewsOf(all) {
			if _, err := fmt.Fprintf(p.Out, "%6d  %s  %-12s  %-9s  %s\n", v.Number, v.Time.Local().Format(time.DateTime), v.Route, v.Class, v.Reason); err != nil {
				return err
			}
		}
		return nil
	})
}

// letterView is a dead letter as it is shown.
type letterView struct {
	Number   uint64    `json:"number"`
	Time     time.Time `json:"time"`
	Route    string    `json:"route"`
	Class    string    `json:"class"`
	Reason   string    `json:"reason"`
	Attempts int       `json:"attempts"`
	Subject  string    `json:"subject"`
	EventID  string    `json:"event_id,omitempty"`
	// Source and MessageID are those of a message that a collector, shown as the route, could not read.
	Source    string `json:"source,omitempty"`
	MessageID string `json:"message_id,omitempty"`
}

func viewsOf(letters []bus.DeadLetter) []letterView {
	views := make([]letterView, 0, len(letters))
	for _, l := range letters {
		views = append(views, letterView{
			l.Seq, l.Time, l.Route, l.Class, oneLine(l.Reason), l.Attempts, l.Subject, l.Event.ID, l.Source, l.Origin,
		})
	}
	return views
}

// oneLine keeps a target's own words from breaking the list.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// ShowDeadLetter writes one dead letter with its event.
func (p *Program) ShowDeadLetter(ctx context.Context, number uint64) error {
	return p.deadLetters(ctx, func(letters *bus.DeadLetters) error {
		l, err := letters.Show(ctx, number)
		if err != nil {
			return err
		}
		body := any(string(l.Raw))
		if json.Valid(l.Raw) {
			body = json.RawMessage(l.Raw)
		}
		enc := json.NewEncoder(p.Out)
		enc.SetIndent("", "  ")
		view := viewsOf([]bus.DeadLetter{l})[0]
		if l.Quarantined {
			return enc.Encode(struct {
				letterView
				Body any `json:"body"`
			}{view, body})
		}
		return enc.Encode(struct {
			letterView
			Event any `json:"event"`
		}{view, body})
	})
}

// RedriveDeadLetters sends one dead letter, or with number 0 all that a route could take, to its route again.
func (p *Program) RedriveDeadLetters(ctx context.Context, number uint64) error {
	return p.eachDeadLetter(ctx, number, "redriven", (*bus.DeadLetters).Redrive)
}

// DropDeadLetters deletes one dead letter, or with number 0 all.
func (p *Program) DropDeadLetters(ctx context.Context, number uint64) error {
	return p.eachDeadLetter(ctx, number, "dropped", (*bus.DeadLetters).Drop)
}

func (p *Program) eachDeadLetter(ctx context.Context, number uint64, done string, do func(*bus.DeadLetters, context.Context, uint64) error) error {
	return p.deadLetters(ctx, func(letters *bus.DeadLetters) error {
		numbers := []uint64{number}
		if number == 0 {
			all, err := letters.List(ctx, 0)
			if err != nil {
				return err
			}
			numbers = numbers[:0]
			for _, l := range all {
				numbers = append(numbers, l.Seq)
			}
		}
		left := 0
		for _, n := range numbers {
			err := do(letters, ctx, n)
			if number == 0 && errors.Is(err, bus.ErrQuarantined) {
				left++
				continue
			}
			if err != nil {
				return fmt.Errorf("dead letter %d: %w", n, err)
			}
		}
		if left > 0 {
			p.say("%s left: no route could take what never was an event\n", count(left, "quarantined message"))
		}
		_, err := fmt.Fprintf(p.Out, "%d %s\n", len(numbers)-left, done)
		return err
	})
}

func (p *Program) deadLetters(ctx context.Context, do func(*bus.DeadLetters) error) error {
	return p.withBus(ctx, func(b *bus.Bus) error { return do(b.DeadLetters()) })
}
