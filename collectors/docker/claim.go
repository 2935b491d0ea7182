package docker

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors"
)

const (
	beatEvery = 15 * time.Second
	// deadAfter is how long a claim may stand still before it counts as left behind.
	deadAfter = 4 * beatEvery
	leaveTime = 2 * time.Second
)

// claim says in the bucket that this collector watches a daemon, and finds others that do. Whether a
// claim is alive is told by its counter, which moves, because no two hosts have the same time.
type claim struct {
	bucket collectors.Bucket
	report func(context.Context, collectors.Conflict) error
	logger *slog.Logger
	key    string
	id     string
	self   claimant

	rivals map[string]*rival
}

// claimant is one entry of the bucket's value, by the id of its run.
type claimant struct {
	Name   string `json:"name"`
	Node   string `json:"node"`
	Ledger string `json:"ledger"` // where it keeps its cursor
	Beat   uint64 `json:"beat"`
}

func (c claimant) String() string { return c.Name + " on " + c.Node }

// rival is another claimant as it was last seen.
type rival struct {
	claimant
	moved time.Time // when its counter last moved
	alive bool      // it was seen to move
	told  time.Time // since when the conflict is on the stream, zero if it is not
}

func (w *watch) claim() *claim {
	sum := sha256.Sum256([]byte(w.daemon.engine()))
	return &claim{
		bucket: w.deps.Cursors, report: w.deps.Reporter.Conflict, logger: w.deps.Logger,
		key: "claims.docker." + hex.EncodeToString(sum[:10]), id: rand.Text(),
		self: claimant{Name: w.deps.Name, Node: w.deps.Node, Ledger: w.ledger.key}, rivals: map[string]*rival{},
	}
}

// run claims until ctx ends, and then withdraws.
func (c *claim) run(ctx context.Context) {
	if c.bucket == nil {
		return
	}
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		if err := c.beat(ctx, true); err != nil && ctx.Err() == nil {
			c.logger.Warn("claim of the daemon not renewed", "key", c.key, "err", err)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
			defer cancel()
			_ = c.beat(last, false) // it stands still and is forgotten otherwise
			return
		case <-tick.C:
		}
	}
}

// beat writes this claim, or withdraws it, and looks at the others.
func (c *claim) beat(ctx context.Context, stay bool) error {
	c.self.Beat++
	for range 5 {
		value, revision, err := c.bucket.Get(ctx, c.key)
		if err != nil {
			return err
		}
		all := map[string]claimant{}
		if revision > 0 && json.Unmarshal(value, &all) != nil {
			all = map[string]claimant{} // nothing that anybody needs
		}
		c.look(all)
		delete(all, c.id)
		if stay {
			all[c.id] = c.self
		}
		if value, err = json.Marshal(all); err != nil {
			return err
		}
		_, won, err := c.bucket.Put(ctx, c.key, value, revision)
		if err != nil {
			return err
		}
		if won {
			return c.tell(ctx, stay)
		}
	}
	return errWriters
}

// look notes who moved, and removes from all who stands still for long.
func (c *claim) look(all map[string]claimant) {
	now := time.Now()
	for id, other := range all {
		if id == c.id {
			continue
		}
		p := c.rivals[id]
		switch {
		case p == nil:
			c.rivals[id] = &rival{claimant: other, moved: now}
		case p.Beat != other.Beat:
			p.claimant, p.moved, p.alive = other, now, true
		case now.Sub(p.moved) > deadAfter:
			delete(all, id)
		}
	}
	for id, p := range c.rivals {
		if _, here := all[id]; !here {
			p.alive = false
		}
	}
}

// tell reports conflicts that began or ended.
func (c *claim) tell(ctx context.Context, stay bool) error {
	for id, p := range c.rivals {
		switch {
		case stay && p.alive && p.told.IsZero():
			p.told = time.Now()
			c.logger.Warn("another collector watches the same daemon", "peer", p.String())
			if err := c.report(ctx, c.conflict(id, p)); err != nil {
				p.told = time.Time{}
				return err
			}
		case !p.told.IsZero() && (!p.alive || !stay):
			over := c.conflict(id, p)
			over.Until = time.Now()
			if err := c.report(ctx, over); err != nil {
				return err
			}
			delete(c.rivals, id)
		case !p.alive && time.Since(p.moved) > deadAfter:
			delete(c.rivals, id)
		}
	}
	return nil
}

func (c *claim) conflict(id string, p *rival) collectors.Conflict {
	advice := "the stream keeps each event once; remove one of them"
	if p.Ledger == c.self.Ledger {
		advice = "they also share a cursor; give each a node name of its own, or remove one"
	}
	return collectors.Conflict{
		Key: fmt.Sprint(min(id, c.id), " ", max(id, c.id)), Self: c.self.String(), Peer: p.String(), Advice: advice, Since: p.told,
	}
}
