package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Outcome is what became of a transition at a route.
type Outcome string

// The outcomes. Folded means that a later transition tells it, Digest that the next digest does.
const (
	Sent   Outcome = "sent"
	Held   Outcome = "held"
	Folded Outcome = "folded"
	Digest Outcome = "digest"
)

// Note is what became of one transition at one route, and why.
type Note struct {
	Route      string    `json:"route"`
	Transition int64     `json:"transition"`
	At         time.Time `json:"at"`
	Outcome    Outcome   `json:"outcome"`
	Why        string    `json:"why,omitempty"`
}

// Notes keeps them; *bus.Bucket is one.
type Notes interface {
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// PutFor writes a key that does not exist and removes it after ttl. won is false if it exists.
	PutFor(ctx context.Context, key string, value []byte, ttl time.Duration) (next uint64, won bool, err error)
	// Put writes if the key still has this revision (0: does not exist), Delete removes it then.
	Put(ctx context.Context, key string, value []byte, revision uint64) (next uint64, won bool, err error)
	Delete(ctx context.Context, key string, revision uint64) (won bool, err error)
}

// Keep is for how long a note is kept: longer than its event can come again.
const Keep = 35 * 24 * time.Hour

const prefix = "n."

func key(route, incident string, transition int64) string {
	return prefix + event.Token(route) + "." + event.Token(incident) + "." + strconv.FormatInt(transition, 10)
}

// Of returns the notes of an incident, in order of transition and time.
func Of(ctx context.Context, each func(ctx context.Context, filter string, do func(key string, value []byte, revision uint64) error) error, incident string) ([]Note, error) {
	var notes []Note
	err := each(ctx, prefix+"*."+event.Token(incident)+".*", func(key string, value []byte, _ uint64) error {
		var n Note
		if err := json.Unmarshal(value, &n); err != nil {
			return fmt.Errorf("note %s: %w", key, err)
		}
		notes = append(notes, n)
		return nil
	})
	slices.SortStableFunc(notes, func(a, b Note) int {
		if a.Transition != b.Transition {
			return int(a.Transition - b.Transition)
		}
		return strings.Compare(a.Route, b.Route)
	})
	return notes, err
}

func (g *Gate) noted(ctx context.Context, incident string, transition int64) (*Note, error) {
	value, revision, err := g.deps.Notes.Get(ctx, key(g.deps.Route, incident, transition))
	if err != nil || revision == 0 {
		return nil, err
	}
	n := &Note{}
	if err := json.Unmarshal(value, n); err != nil {
		return nil, nil //nolint:nilerr,nilnil // as if it were not there: somebody is told twice rather than never
	}
	return n, nil
}

// noteTimeout bounds the write of a note when the sink is already told to stop.
const noteTimeout = 3 * time.Second

func (g *Gate) note(ctx context.Context, e *event.Event, v verdict) {
	i := e.Data.Incident
	value, err := json.Marshal(Note{g.deps.Route, i.Transition, time.Now().UTC(), v.outcome, v.why})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
		defer cancel()
		_, _, err = g.deps.Notes.PutFor(ctx, key(g.deps.Route, i.ID, i.Transition), value, Keep)
	}
	if err != nil {
		g.deps.Logger.Warn("what became of a notice is not noted", "route", g.deps.Route, "incident", i.ID, "transition", i.Transition, "err", err)
	}
}

// past is what became of the transitions before one.
type past struct {
	told, folded, digest bool
	open                 bool // of at least one nothing is known yet
}

const farBack = 50

// past looks at the notes of the transitions before, newest first, until one was told.
func (g *Gate) past(ctx context.Context, i *event.Incident) (past, error) {
	var p past
	if i.Transition == 1 || g.deps.After == 0 && i.State == "open" {
		return p, nil // nobody asks
	}
	for n := i.Transition - 1; n > 0 && n > i.Transition-farBack; n-- {
		note, err := g.noted(ctx, i.ID, n)
		if err != nil {
			return p, err
		}
		outcome := Outcome("")
		if note != nil {
			outcome = note.Outcome
		}
		switch outcome {
		case Sent:
			p.told = true
			return p, nil
		case Folded:
			p.folded = true
		case Digest:
			p.digest = true
		case "":
			p.open = true
		}
	}
	return p, nil
}
