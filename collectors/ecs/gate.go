package ecs

import (
	"context"
	"sync"
)

// gate lets the pollers receive while the stream takes events. Whoever is refused closes it, tries on with
// what it holds, and opens it again; the others wait, because each receive of a message that can't be
// published counts towards the queue's redrive policy. It is safe for concurrent use.
type gate struct {
	mu     sync.Mutex // guards what follows
	closed bool
	turn   chan struct{} // closed when the gate turns
}

func newGate() *gate { return &gate{turn: make(chan struct{})} }

func (g *gate) state() (closed bool, turn <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed, g.turn
}

// pass waits until the gate is open, or until ctx ends, whose error it then returns.
func (g *gate) pass(ctx context.Context) error {
	for {
		closed, turn := g.state()
		if !closed {
			return ctx.Err()
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shut closes the gate and reports whether it was open: then the caller has to open it.
func (g *gate) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.set(true)
}

// open is called by who shut the gate.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.set(false)
}

func (g *gate) set(closed bool) bool {
	if g.closed == closed {
		return false
	}
	g.closed = closed
	close(g.turn)
	g.turn = make(chan struct{})
	return true
}

// closing returns a channel that is readable as soon as the gate is closed.
func (g *gate) closing() <-chan struct{} {
	closed, turn := g.state()
	if closed {
		done := make(chan struct{})
		close(done)
		return done
	}
	return turn
}
