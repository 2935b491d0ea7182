package console

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// Deps is what the wiring sets.
type Deps struct {
	// Out is where the lines go, usually standard output.
	Out io.Writer
}

// Sink writes events for people. It is safe for concurrent use.
type Sink struct {
	color bool

	mu  sync.Mutex
	out io.Writer
}

var _ sinks.Sink = (*Sink)(nil)

// New returns a sink that writes to deps.Out; its errors are faults of cfg.
func New(cfg Config, deps Deps) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Out == nil {
		return nil, fault.At("", "the console has nothing to write to")
	}
	return &Sink{color: colored(cfg.Color, deps.Out), out: deps.Out}, nil
}

func colored(when string, out io.Writer) bool {
	if when != "auto" {
		return when == "always"
	}
	file, ok := out.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

// Send writes the batch with one call of the writer.
func (s *Sink) Send(ctx context.Context, batch []event.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var text bytes.Buffer
	for i := range batch {
		write(&text, &batch[i], s.color)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.out.Write(text.Bytes()); err != nil {
		return fmt.Errorf("write to the console: %w", err)
	}
	return nil
}
