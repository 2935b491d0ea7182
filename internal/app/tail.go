package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/router"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// TailOptions says what of the stream to show.
type TailOptions struct {
	// Since is where to start; zero starts with the next event.
	Since time.Time
	// Where is a condition as in a route.
	Where string
	// Limit ends after that many events; 0 goes on until ctx ends.
	Limit int
	// Output is text or ndjson.
	Output string
}

// errEnough ends a tail that has shown as much as it was asked for.
var errEnough = errors.New("enough")

// Tail shows the events of a running Bellbuoy as they come.
func (p *Program) Tail(ctx context.Context, o TailOptions) error {
	filter, err := router.Compile(o.Where)
	if err != nil {
		return fmt.Errorf("--where: %w", err)
	}
	b, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	shown := 0
	err = b.Tail(ctx, bus.TailOptions{Since: o.Since, Filter: filter.Subjects()[0], Follow: true}, func(d bus.Delivery) error {
		if d.Err != nil {
			_, err := fmt.Fprintf(p.Err, "sequence %d on %s can't be read: %v\n", d.Sequence, d.Subject, d.Err)
			return err
		}
		if match, err := filter.Match(&d.Event); err != nil || !match {
			return nil //nolint:nilerr // a condition that fails on an event does not match it
		}
		if err := p.showLine(&d.Event, o.Output); err != nil {
			return err
		}
		if shown++; o.Limit > 0 && shown >= o.Limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) || ctx.Err() != nil {
		return nil
	}
	return err
}

func (p *Program) showLine(e *event.Event, output string) error {
	if output == "ndjson" {
		line, err := event.Append(nil, e)
		if err != nil {
			return err
		}
		_, err = p.Out.Write(append(line, '\n'))
		return err
	}
	_, err := io.WriteString(p.Out, lineOf(e))
	return err
}

// lineOf is one event on one line: time, type, cause, and the headline with its place.
func lineOf(e *event.Event) string {
	n := notice.Short(e)
	class, mark := "-", ""
	if c := e.Data.Cause; c != nil {
		class = c.Class
	}
	if n.Mark != "" {
		mark = n.Mark + "  "
	}
	return fmt.Sprintf("%s%s  %-20s  %-16s  %s  %s\n", mark, e.Time.Local().Format("15:04:05.000"),
		e.Type.Kind()+"."+e.Type.Event(), class, n.Headline, n.Where)
}
