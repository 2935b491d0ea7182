package churn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// Habit is how a peer goes on after it has lost the stream.
type Habit int

// Habits of peers.
const (
	Naive Habit = iota // reads on from now
	Since              // asks for what came since the newest event that it has, and drops what it had
)

const peerRetry = 100 * time.Millisecond

// Peer reads a daemon's events with a habit. Over a connection that is never cut it is the witness.
type Peer struct {
	habit Habit
	cli   *client.Client

	mu      sync.Mutex // guards what follows
	newest  int64
	total   int
	breaks  []error
	records []Record
	seen    map[string]bool
}

// NewPeer listens to the daemon at host until the test ends.
func NewPeer(t testing.TB, host string, habit Habit) *Peer {
	t.Helper()
	cli, err := client.New(client.WithHost(host))
	if err != nil {
		t.Fatalf("make client of %s: %v", host, err)
	}
	p := &Peer{habit: habit, cli: cli, newest: time.Now().UnixNano(), seen: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		_ = cli.Close() // only closes idle connections
	})
	return p
}

func (p *Peer) run(ctx context.Context) {
	tick := time.NewTicker(peerRetry)
	defer tick.Stop()
	for {
		p.listen(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listen reads one stream to its end.
func (p *Peer) listen(ctx context.Context) {
	var o client.EventsListOptions
	if p.habit == Since {
		p.mu.Lock()
		o.Since = fmt.Sprintf("%d.%09d", p.newest/1e9, p.newest%1e9)
		p.mu.Unlock()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := p.cli.Events(ctx, o)
	for {
		select {
		case m := <-stream.Messages:
			p.note(&m)
		case err := <-stream.Err:
			p.mu.Lock()
			p.breaks = append(p.breaks, err)
			p.mu.Unlock()
			return
		}
	}
}

var kindOfAction = map[events.Action]Kind{"create": Created, "start": Started, "die": Stopped, "destroy": Removed}

func (p *Peer) note(m *events.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := fmt.Sprint(m.TimeNano, m.Type, m.Action, m.Actor.ID)
	if p.seen[key] {
		return
	}
	p.seen[key] = true
	p.total++
	p.newest = max(p.newest, m.TimeNano)
	if kind, ok := kindOfAction[m.Action]; ok && m.Type == events.ContainerEventType {
		p.records = append(p.records, Record{At: m.TimeNano, Kind: kind, ID: m.Actor.ID, Code: m.Actor.Attributes["exitCode"]})
	}
}

// Total counts the events of any kind that have come.
func (p *Peer) Total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// Broken returns why the stream has ended, each time.
func (p *Peer) Broken() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.breaks...)
}

// Records returns the transitions that have come, in their order.
func (p *Peer) Records() []Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Record(nil), p.records...)
}
