package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/router"
	"github.com/bellbuoy/bellbuoy/router/incident"
	"github.com/bellbuoy/bellbuoy/router/silence"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// SilenceOptions is a silence as it is typed.
type SilenceOptions struct {
	Match, Owner, Comment string
	// Until is a duration from now or a time; Weekly are windows such as "sat,sun 22:00-06:00 Europe/Berlin".
	Until  string
	Weekly []string
}

// keepEnded is how long a silence that has ended is still listed.
const keepEnded = 7 * 24 * time.Hour

// AddSilence stores a silence and says what it holds back now. Errors that wrap ErrUsage are the caller's.
func (p *Program) AddSilence(ctx context.Context, o SilenceOptions) error {
	now := time.Now()
	s, err := silenceOf(o, now)
	if err != nil {
		return err
	}
	filter, err := router.Compile(s.Match)
	if err != nil {
		return fmt.Errorf("--match: %w", err)
	}
	return p.withBus(ctx, func(b *bus.Bus) error {
		bucket, err := b.Bucket(ctx, bus.SilencesBucket)
		if err != nil {
			return err
		}
		value, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("encode silence: %w", err)
		}
		won, err := false, error(nil)
		if s.Until.IsZero() {
			_, won, err = bucket.Put(ctx, s.ID, value, 0)
		} else {
			_, won, err = bucket.PutFor(ctx, s.ID, value, s.Until.Sub(now)+keepEnded)
		}
		if err != nil {
			return err
		}
		if !won {
			return fmt.Errorf("silence %s is there already", s.ID)
		}
		p.say("silence %s holds %s\n", s.ID, lasting(&s, now))
		return p.warnOf(ctx, b, filter)
	})
}

// warnOf says what a new silence holds back now, and warns if that is everything or nothing.
func (p *Program) warnOf(ctx context.Context, b *bus.Bus, filter *router.Filter) error {
	if silence.MatchesAll(filter) {
		p.say("warning: it matches every incident; until it ends nobody is told of anything\n")
	}
	all, err := openIncidents(ctx, b)
	if err != nil {
		return err
	}
	var held []string
	for i := range all {
		if match, err := filter.Match(&all[i]); err == nil && match {
			held = append(held, all[i].Data.Incident.Title)
		}
	}
	switch {
	case len(held) > 0:
		p.say("of %s it holds back %d: %s\n", count(len(all), "open incident"), len(held), strings.Join(held[:min(len(held), 5)], "; "))
	case len(all) > 0:
		p.say("warning: it matches none of %s; bellbuoy explain --incident ID shows what a condition sees\n", count(len(all), "open incident"))
	default:
		p.say("no incident is open that it could match\n")
	}
	return nil
}

func silenceOf(o SilenceOptions, now time.Time) (silence.Silence, error) {
	s := silence.Silence{Match: o.Match, Owner: o.Owner, Comment: o.Comment, Starts: now.UTC().Truncate(time.Second)}
	if o.Until != "" {
		until, err := silence.ParseUntil(o.Until, now)
		if err != nil {
			return s, fmt.Errorf("--until: %w", err)
		}
		s.Until = until
	}
	for _, text := range o.Weekly {
		w, err := silence.ParseWindow(text)
		if err != nil {
			return s, fmt.Errorf("--weekly: %w", err)
		}
		s.Weekly = append(s.Weekly, w)
	}
	s = s.WithID()
	return s, s.Validate()
}

// silenceView is a silence as it is shown.
type silenceView struct {
	silence.Silence
	// State is active, waiting (it will hold) or ended; From is config or command.
	State string `json:"state"`
	From  string `json:"from"`
}

// ListSilences writes one line per silence, with only those that hold if now is set, or a JSON array.
func (p *Program) ListSilences(ctx context.Context, active bool, output string) error {
	return p.withBus(ctx, func(b *bus.Bus) error {
		views, err := p.silenceViews(ctx, b, active)
		if err != nil {
			return err
		}
		if output == "json" {
			return json.NewEncoder(p.Out).Encode(views)
		}
		if len(views) == 0 {
			p.say("no silences\n")
		}
		for i := range views {
			v := &views[i]
			p.say("%-8s  %-7s  %s  %s  (%s: %s)\n", v.ID, v.State, lasting(&v.Silence, time.Now()), v.Match, v.Owner, oneLine(v.Comment))
		}
		return nil
	})
}

func (p *Program) silenceViews(ctx context.Context, b *bus.Bus, active bool) ([]silenceView, error) {
	bucket, err := b.Bucket(ctx, bus.SilencesBucket)
	if err != nil {
		return nil, err
	}
	values := map[string][]byte{}
	err = bucket.Each(ctx, "", func(key string, value []byte, _ uint64) error { values[key] = value; return nil })
	if err != nil {
		return nil, err
	}
	stored, faults := decodeSilences(values)
	from := map[string]string{}
	for i := range stored {
		from[stored[i].ID] = "command"
	}
	for _, one := range p.Config.Silences {
		stored = append(stored, one.WithID())
	}
	set, err := silence.NewSet(stored, compileMatcher)
	if err = errors.Join(append(faults, err)...); err != nil {
		_, _ = fmt.Fprintf(p.Err, "bellbuoy: %v\n", err)
	}
	views := []silenceView{}
	for _, s := range set.All() {
		v := silenceView{Silence: s, State: "waiting", From: from[s.ID]}
		if v.From == "" {
			v.From = "config"
		}
		if _, holds := s.Holds(time.Now()); holds {
			v.State = "active"
		} else if s.Ended(time.Now()) {
			v.State = "ended"
		}
		if !active || v.State == "active" {
			views = append(views, v)
		}
	}
	return views, nil
}

// lasting says until when a silence holds, or when.
func lasting(s *silence.Silence, now time.Time) string {
	var parts []string
	for _, w := range s.Weekly {
		days := strings.Join(w.Days, ",")
		if days == "" {
			days = "daily"
		}
		parts = append(parts, strings.TrimSpace(days+" "+w.From+"-"+w.To+" "+w.Zone))
	}
	if !s.Until.IsZero() {
		until := "until " + s.Until.UTC().Format("2006-01-02 15:04 UTC")
		if left := s.Until.Sub(now).Round(time.Minute); left > 0 {
			until += " (" + left.String() + ")"
		}
		parts = append(parts, until)
	}
	return strings.Join(parts, ", ")
}

// ExpireSilence ends a silence now. One of the config ends where it is written.
func (p *Program) ExpireSilence(ctx context.Context, id string) error {
	return p.withBus(ctx, func(b *bus.Bus) error {
		bucket, err := b.Bucket(ctx, bus.SilencesBucket)
		if err != nil {
			return err
		}
		_, revision, err := bucket.Get(ctx, event.Token(id))
		if err != nil {
			return err
		}
		if revision == 0 {
			for _, one := range p.Config.Silences {
				if one.WithID().ID == id {
					return fmt.Errorf("silence %s is written in the config; take it out there and reload", id)
				}
			}
			return fmt.Errorf("there is no silence %q; bellbuoy silence list shows them", id)
		}
		if _, err := bucket.Delete(ctx, event.Token(id), revision); err != nil {
			return err
		}
		p.say("silence %s has ended; incidents that it held back and that are open are told now\n", id)
		return nil
	})
}

// openIncidents are the open incidents, as events of how they stand.
func openIncidents(ctx context.Context, b *bus.Bus) ([]event.Event, error) {
	bucket, err := b.Bucket(ctx, bus.IncidentsBucket)
	if err != nil {
		return nil, err
	}
	all, err := incident.List(ctx, bucket)
	if err != nil {
		return nil, err
	}
	var open []event.Event
	for i := range all {
		if all[i].Data.Incident.State == "open" {
			open = append(open, all[i])
		}
	}
	return open, nil
}
