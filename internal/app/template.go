package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/internal/telemetry"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// previewer is a sink that can show what it would send.
type previewer interface {
	Preview(ctx context.Context, e *event.Event) (string, error)
}

// RenderTemplate writes what a sink would send of each event of a text, as tail -o ndjson prints them. It sends nothing.
func (p *Program) RenderTemplate(ctx context.Context, sink string, text io.Reader) error {
	c, ok := p.Config.Sinks[sink]
	if !ok {
		var names []string
		for name := range p.Config.Sinks {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Errorf("there is no sink %q in this config%s", sink, fault.DidYouMean(sink, names))
	}
	built, err := parts{config: &p.Config, logger: telemetry.Logger(p.Err, p.LogLevel), out: p.Out}.sink(sink, c)
	if err != nil {
		return err
	}
	shows, ok := built.(previewer)
	if !ok {
		return fmt.Errorf("sink %q is of kind %s, which sends nothing for people", sink, c.Kind())
	}
	body, err := io.ReadAll(io.LimitReader(text, maxExplain))
	if err != nil {
		return fmt.Errorf("read the events: %w", err)
	}
	for n, line := range bytes.Split(bytes.TrimSpace(body), []byte("\n")) {
		e, err := event.Decode(line)
		if err != nil {
			return fmt.Errorf("event %d: %w (bellbuoy tail -o ndjson prints events, one a line)", n+1, err)
		}
		shown, err := shows.Preview(ctx, &e)
		if err != nil {
			return fmt.Errorf("event %d: %w", n+1, err)
		}
		if _, err := fmt.Fprintln(p.Out, shown); err != nil {
			return err
		}
	}
	return nil
}
