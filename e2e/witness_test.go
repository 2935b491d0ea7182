package e2e_test

import (
	"context"
	"sync"
	"testing"

	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

// witness is what the daemon itself told over one stream that was never cut.
type witness struct {
	mu           sync.Mutex     // guards what follows
	starts, ends map[string]int // by container
}

// newWitness listens until the test ends.
func newWitness(t *testing.T, d *harness.Docker) *witness {
	t.Helper()
	w := &witness{starts: map[string]int{}, ends: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	stream := d.Client().Events(ctx, client.EventsListOptions{
		Filters: client.Filters{}.Add("type", "container").Add("event", "start", "die"),
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case m := <-stream.Messages:
				w.note(string(m.Action), m.Actor.ID)
			case err := <-stream.Err:
				if ctx.Err() == nil {
					assert.NoError(t, err, "the witness lost its stream")
				}
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

func (w *witness) note(action, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if action == "die" {
		w.ends[id]++
		return
	}
	w.starts[id]++
}

func (w *witness) of(id string) (starts, ends int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.starts[id], w.ends[id]
}
