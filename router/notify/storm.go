package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
)

// storm is a time in which a route had more to tell than its rate allows. It is told by digests, at growing distance,
// and once more when it is over. It is kept in the bucket, so that a restart forgets none of it.
type storm struct {
	ID    string    `json:"id"`
	Since time.Time `json:"since"`
	// Last is when a notice was last held back; Held counts them, at least.
	Last time.Time `json:"last"`
	Held int64     `json:"held"`
	// Told counts the digests, Next is when the next is due.
	Told int64     `json:"told"`
	Next time.Time `json:"next"`

	revision uint64
}

// How long a storm gathers before the first digest, the longest distance between two, and how long it must be calm.
const (
	firstDigest   = 15 * time.Second
	longestDigest = time.Hour
	calmAfter     = 10 * time.Minute
	lookEvery     = 5 * time.Second
	claimFor      = 30 * time.Second
)

func (g *Gate) stormKey() string { return "d." + event.Token(g.deps.Route) }

// overflow holds a notice back for the next digest. It returns after the storm is known to the bucket.
func (g *Gate) overflow(ctx context.Context) error {
	g.mu.Lock()
	known := g.stormy
	g.held++
	g.mu.Unlock()
	if known {
		return nil
	}
	return g.begin(ctx)
}

// begin makes the storm known to the bucket.
func (g *Gate) begin(ctx context.Context) error {
	now := time.Now().UTC()
	s := storm{ID: event.NewID("digest", g.deps.Route, now.String())[:16], Since: now, Last: now, Next: now.Add(firstDigest)}
	value, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode storm: %w", err)
	}
	if _, _, err := g.deps.Notes.Put(ctx, g.stormKey(), value, 0); err != nil { // not won: it is known
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stormy = true
	return nil
}

// Run tells digests until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := g.weather(ctx); err != nil && ctx.Err() == nil {
			g.deps.Logger.Warn("digest not told, tried again", "route", g.deps.Route, "err", err)
		}
	}
}

// weather looks at the storm, if there is one.
func (g *Gate) weather(ctx context.Context) error {
	value, revision, err := g.deps.Notes.Get(ctx, g.stormKey())
	if err != nil {
		return err
	}
	if revision == 0 {
		return g.calm(ctx)
	}
	s := &storm{revision: revision}
	if err := json.Unmarshal(value, s); err != nil {
		return errors.Join(err, g.forget(ctx, revision)) // nobody could read it ever again
	}
	now := time.Now().UTC()
	if err := g.count(ctx, s, now); err != nil {
		return err
	}
	over := now.Sub(s.Last) > calmAfter
	if !over && now.Before(s.Next) {
		return nil
	}
	if won, err := g.claim(ctx, s); err != nil || !won {
		return err
	}
	e, err := g.digest(ctx, s, now, over)
	if err != nil {
		return err
	}
	if err := g.next.Send(ctx, []event.Event{e}); err != nil {
		if permanent := (*sinks.Permanent)(nil); !errors.As(err, &permanent) {
			return err
		}
		g.deps.Logger.Error("digest refused", "route", g.deps.Route, "err", err)
	}
	if over {
		return g.forget(ctx, s.revision)
	}
	s.Told++
	s.Next = now.Add(min(time.Minute<<min(s.Told, 6), longestDigest))
	return g.keep(ctx, s)
}

// calm notes that the bucket knows of no storm. Another router may have ended the one that this one knew of; what was held
// back for it begins a new one.
func (g *Gate) calm(ctx context.Context) error {
	g.mu.Lock()
	g.stormy = false
	held := g.held
	g.mu.Unlock()
	if held == 0 {
		return nil
	}
	return g.begin(ctx)
}

// count adds what was held back since the last look.
func (g *Gate) count(ctx context.Context, s *storm, now time.Time) error {
	g.mu.Lock()
	held := g.held
	g.held = 0
	g.mu.Unlock()
	if held == 0 {
		return nil
	}
	s.Held, s.Last = s.Held+held, now
	err := g.keep(ctx, s)
	if err != nil {
		g.mu.Lock()
		g.held += held
		g.mu.Unlock()
	}
	return err
}

var errRaced = errors.New("another router has written the storm")

func (g *Gate) keep(ctx context.Context, s *storm) error {
	value, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode storm: %w", err)
	}
	next, won, err := g.deps.Notes.Put(ctx, g.stormKey(), value, s.revision)
	if err == nil && !won {
		return errRaced
	}
	s.revision = next
	return err
}

func (g *Gate) forget(ctx context.Context, revision uint64) error {
	g.mu.Lock()
	g.stormy = false
	g.mu.Unlock()
	_, err := g.deps.Notes.Delete(ctx, g.stormKey(), revision)
	return err
}

// claim lets one of several routers tell a digest.
func (g *Gate) claim(ctx context.Context, s *storm) (bool, error) {
	_, won, err := g.deps.Notes.PutFor(ctx, fmt.Sprintf("%s.%s.%d", g.stormKey(), s.ID, s.Told), []byte("claimed"), claimFor)
	return won, err
}

// shownInDigest is how many incidents a digest names.
const shownInDigest = 20

// digest is one message about all that was held back: how many incidents are open, which are the worst, and where.
func (g *Gate) digest(ctx context.Context, s *storm, now time.Time, over bool) (event.Event, error) {
	var open []event.Event
	if g.deps.Open != nil {
		all, err := g.deps.Open(ctx)
		if err != nil {
			return event.Event{}, err
		}
		open = all
	}
	slices.SortStableFunc(open, func(a, b event.Event) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Data.Incident.Stops, a.Data.Incident.Stops))
	})
	i := &event.Incident{
		ID: s.ID, State: "open", Transition: s.Told + 1, Family: "digest", Reason: "digest", Opened: s.Since, Last: s.Last, TaskCount: 0,
		Title: fmt.Sprintf("%d notices held back since %s, %d incidents open", s.Held, s.Since.Format("15:04 UTC"), len(open)),
	}
	e := event.Event{
		Source: event.SourceOf(g.deps.Site, "", "notices"), Subject: event.SubjectOf("", g.deps.Route, s.ID), PartitionKey: "incident/" + s.ID,
		Type: event.IncidentUpdated, Severity: event.Error, Time: now, Recorded: now,
		Data: event.Data{Site: g.deps.Site, Observed: event.ObservedStream, Incident: i, Message: i.Title},
	}
	if len(open) > 0 {
		e.Severity = open[0].Severity
	}
	switch {
	case over:
		e.Type, i.State, i.Reason, i.Resolved, i.DowntimeMS = event.IncidentResolved, "resolved", "stable", s.Last, s.Last.Sub(s.Since).Milliseconds()
		i.Recovery = "notices are told one by one again"
	case s.Told == 0:
		e.Type = event.IncidentOpened
	}
	for n := range open[:min(len(open), shownInDigest)] {
		i.Done = append(i.Done, lineOf(&open[n]))
	}
	if more := len(open) - shownInDigest; more > 0 {
		i.Done = append(i.Done, fmt.Sprintf("and %d more: bellbuoy incident list", more))
	}
	i.Causes = scopes(open)
	e.ID = event.NewID("digest", s.ID, fmt.Sprint(i.Transition))
	return e, nil
}

func lineOf(e *event.Event) string {
	where := strings.Trim(e.Data.Scope+"/"+e.Data.Node, "/")
	return strings.TrimSpace(e.Data.Incident.ID + " " + e.Data.Incident.Title + " " + where)
}

// scopes are where most of the open incidents are, with their counts.
func scopes(open []event.Event) []string {
	counts := map[string]int{}
	for i := range open {
		counts[cmp.Or(open[i].Data.Scope, open[i].Data.Node, "elsewhere")]++
	}
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	names = names[:min(len(names), 5)]
	for n, name := range names {
		names[n] = fmt.Sprintf("%s (%d)", name, counts[name])
	}
	return names
}
