package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/drill"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// DrillOptions says what to end and how long a sink may take.
type DrillOptions struct {
	// Kind is crash, oom, stop, unhealthy or deploy.
	Kind string
	// To is the only sink that is told and waited for; empty is all.
	To      string
	Timeout time.Duration
}

// DrillCommand is the hidden subcommand that calls DrillAct; ErrDrillCrash is what its crash ends with.
const DrillCommand = drill.Command

// ErrDrillCrash is a crash on purpose.
var ErrDrillCrash = drill.ErrCrash

// DrillAct is what the program does inside a drill's container.
func DrillAct(ctx context.Context, kind string, out io.Writer) error {
	return drill.Act(ctx, kind, out)
}

// newestLetters is how many dead letters are looked through for one of a moment ago.
const newestLetters = 200

// alertKinds are the kinds of sinks that wake somebody: a drill of an expected stop must not reach them.
func alertKinds() []string { return []string{"sns", "webhook", "console"} }

// Drill ends a real container and follows its stop through the stream to every sink of the config. It
// fails if a sink missed it, or if one that alerts got a stop that somebody asked for.
func (p *Program) Drill(ctx context.Context, o DrillOptions) error {
	rules, err := Rules(p.withDefaultSinks())
	if err != nil {
		return err
	}
	if o.To != "" {
		rules = slices.DeleteFunc(rules, func(r Rule) bool { return r.To != o.To })
		if len(rules) == 0 {
			return fmt.Errorf("no route leads to a sink %q", o.To)
		}
	}
	b, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program for the drill's image: %w", err)
	}
	if o.Kind == "unhealthy" {
		o.Timeout += p.Config.Incidents.Unhealthy // it is none before
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout+time.Minute)
	defer cancel()
	begin, host := time.Now(), dockerHostOf(ctx, &p.Config)
	c, err := drill.Run(ctx, host, o.Kind, o.To, binary)
	if err != nil {
		return err
	}
	err = p.follow(ctx, b, c, begin, rules, o)
	return errors.Join(err, c.Close())
}

// follow finds the stop on the stream and waits for the verdict of every route that takes it.
func (p *Program) follow(ctx context.Context, b *bus.Bus, c *drill.Container, begin time.Time, rules []Rule, o DrillOptions) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	d, err := findStop(ctx, b, c.ID, begin, o.Kind)
	if err != nil {
		return fmt.Errorf("what happened to %s did not reach the stream within %s; is a collector watching that daemon? (%w)", c.Name, o.Timeout, err)
	}
	e := &d.Event
	p.say("%-10s %s after %s: %s\n", "stream", "has it", since(c.Ended), e.Data.Message)
	if cause := e.Data.Cause; cause != nil {
		p.say("%-10s %s (%s)\n", "cause", cause.Class, cause.Confidence)
	}
	opened, err := findIncident(ctx, b, d, begin, o.Kind == "unhealthy")
	if err != nil {
		return fmt.Errorf("it did not become an incident within %s: %w", o.Timeout, err)
	}
	if opened != nil {
		p.say("%-10s %s: %s\n", "incident", opened.Event.Data.Incident.ID, opened.Event.Data.Incident.Title)
	}
	verdicts := make([]ended, len(rules))
	var wg sync.WaitGroup
	for i, r := range rules {
		wg.Go(func() { verdicts[i] = judge(ctx, b, c, pick(r, d, opened), r, o) })
	}
	wg.Wait()
	var missed []string
	for i, r := range rules {
		p.say("%-10s %s\n", r.To, verdicts[i].said)
		if !verdicts[i].well {
			missed = append(missed, r.Name)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("the drill failed for route %v", missed)
	}
	return nil
}

// findIncident returns the event of the incident that the stop opened, or nil once it is known that it opened none.
// later says that it will open one in time.
func findIncident(ctx context.Context, b *bus.Bus, stop *bus.Delivery, begin time.Time, later bool) (*bus.Delivery, error) {
	if err := b.AwaitDelivered(ctx, incidentsRoute, stop.Sequence); err != nil {
		return nil, err
	}
	var found *bus.Delivery
	err := b.Tail(ctx, bus.TailOptions{Since: begin, Filter: event.SubjectPrefix + "*.*.*.incident.*.>", Follow: later}, func(d bus.Delivery) error {
		if d.Err == nil && d.Event.CausationID == stop.Event.ID && d.Event.Type != event.IncidentResolved {
			found = &d
			return errEnough
		}
		return nil
	})
	if found != nil {
		return found, nil
	}
	return nil, err
}

// pick is what of the drill concerns a route: the incident if it takes that, else the stop.
func pick(r Rule, stop, opened *bus.Delivery) *bus.Delivery {
	if opened == nil {
		return stop
	}
	if match, err := r.When.Match(&stop.Event); err == nil && match {
		return stop
	}
	return opened
}

// ended is how a drill ended for one route.
type ended struct {
	said string
	well bool
}

// judge waits until a route is done with the stop, if it takes it.
func judge(ctx context.Context, b *bus.Bus, c *drill.Container, d *bus.Delivery, r Rule, o DrillOptions) ended {
	match, err := r.When.Match(&d.Event)
	switch {
	case err != nil:
		return ended{fmt.Sprintf("condition failed: %v", err), false}
	case !match:
		return ended{"not for it: " + r.When.Explain(&d.Event), true}
	case (o.Kind == "stop" || o.Kind == "deploy") && slices.Contains(alertKinds(), r.Kind):
		return ended{"ALERTS a stop that was asked for", false}
	}
	if err := b.AwaitDelivered(ctx, r.Name, d.Sequence); err != nil {
		return ended{fmt.Sprintf("MISSED it within %s: %v", o.Timeout, err), false}
	}
	took := since(c.Ended)
	// A route is done with what it could not deliver, too.
	letters, err := b.DeadLetters().List(ctx, newestLetters)
	if err != nil {
		return ended{fmt.Sprintf("is done with it, delivered or not: %v", err), false}
	}
	for _, l := range letters {
		if l.Route == r.Name && l.Sequence == d.Sequence {
			return ended{fmt.Sprintf("REFUSED it, see bellbuoy dlq show %d: %s", l.Seq, oneLine(l.Reason)), false}
		}
	}
	return ended{fmt.Sprintf("had it after %s", took), true}
}

func (p *Program) say(format string, args ...any) { _, _ = fmt.Fprintf(p.Out, format, args...) }

func since(t time.Time) time.Duration { return max(time.Since(t), 0).Round(time.Millisecond) }

func findStop(ctx context.Context, b *bus.Bus, id string, begin time.Time, kind string) (*bus.Delivery, error) {
	var found *bus.Delivery
	filter := event.SubjectPrefix + "*.*.*.task.stopped.>"
	if kind == "unhealthy" {
		filter = event.SubjectPrefix + "*.*.*.task.unhealthy.>"
	}
	err := b.Tail(ctx, bus.TailOptions{Since: begin, Filter: filter, Follow: true}, func(d bus.Delivery) error {
		if d.Err != nil || d.Event.Data.Task.ID != id {
			return nil
		}
		if c := d.Event.Data.Cause; kind == "deploy" && (c == nil || !strings.HasPrefix(c.Class, "deploy.")) {
			return nil // the stop is told first; that another took its place is told then
		}
		found = &d
		return errEnough
	})
	if found != nil {
		return found, nil
	}
	return nil, err
}
