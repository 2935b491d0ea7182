package ecs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/recording"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// ReplayOptions say how recorded events are marked.
type ReplayOptions struct {
	Site, Node string
	// Observed is replay or drill; empty is replay.
	Observed event.Observed
	// Rules go in front of the table of causes.
	Rules cause.Table
}

// Result is what one record became: an event, or the reason why it is none, or why it can't be read. A
// record that amends an earlier stop has a result for that, too.
type Result struct {
	Line  int
	Event *event.Event
	// Near are the rows of the table of causes that nearly gave another cause than the event has.
	Near    []cause.Near
	Ignored string
	Err     error
}

// Recorded reports whether a record is one of those that Replay reads.
func Recorded(text []byte) bool { return recorded(text, 0) }

func recorded(text []byte, depth int) bool {
	if _, err := decodeRecord(text); err == nil {
		return true
	}
	b, ok := bundleOf(text)
	if !ok || depth >= maxWraps {
		return false
	}
	return b.TaskARN != "" || b.Tasks != nil && b.Failures != nil ||
		slices.ContainsFunc(b.inner(), func(one []byte) bool { return recorded(one, depth+1) })
}

// Replay turns recorded events of EventBridge into ours, in each wrapping that the collector knows, and tasks as
// `aws ecs describe-tasks` prints them: with the state machine that runs live, but without asking AWS. The
// results are in the order of the records. The error is that of the reader.
func Replay(ctx context.Context, r io.Reader, o ReplayOptions) ([]Result, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	if o.Observed == "" {
		o.Observed = event.ObservedReplay
	}
	p := &player{o: o, m: newMachine(machineOptions{Table: append(slices.Clone(o.Rules), cause.ECS()...), Near: true})}
	for _, record := range recording.Split(text) {
		if record.Err != nil {
			p.results = append(p.results, Result{Line: record.Line, Err: record.Err})
			continue
		}
		p.play(ctx, record.Line, record.Text, 0)
	}
	return p.results, nil
}

// player plays one recording.
type player struct {
	o       ReplayOptions
	m       *machine
	results []Result
}

func (p *player) failed(line int, err error) {
	p.results = append(p.results, Result{Line: line, Err: err})
}

func (p *player) play(ctx context.Context, line int, text []byte, depth int) {
	if b, ok := bundleOf(text); ok && depth < maxWraps && p.open(ctx, line, b, text, depth) {
		return
	}
	record, err := decodeRecord(text)
	if err != nil {
		p.failed(line, fmt.Errorf("not an event of EventBridge: %w", err))
		return
	}
	record.date(time.Now)
	f := translate(&record, origin{Site: p.o.Site})
	p.apply(ctx, line, &f)
}

// open plays what is in a bundle, and reports whether it was one.
func (p *player) open(ctx context.Context, line int, b *bundle, text []byte, depth int) bool {
	switch inner := b.inner(); {
	case b.TaskARN != "" && b.Detail == nil:
		p.described(ctx, line, text)
	case len(inner) > 0:
		for _, one := range inner {
			if b.logged() && one[0] != '{' && one[0] != '[' {
				p.results = append(p.results, Result{Line: line, Ignored: "a line of a log, and no record"})
				continue
			}
			p.play(ctx, line, one, depth+1)
		}
	case len(b.Failures) > 0:
	case b.lists():
		p.results = append(p.results, Result{Line: line, Ignored: "there is no record in it"})
	default:
		return false
	}
	for _, f := range b.Failures {
		p.results = append(p.results, Result{Line: line, Ignored: "ECS knows nothing of " + f.ARN + ": " + f.Reason})
	}
	return true
}

// described plays a task as a tool prints it.
func (p *player) described(ctx context.Context, line int, text []byte) {
	var d taskDetail
	if err := jsonv2.Unmarshal(text, &d, reading()); err != nil || d.LastStatus == "" {
		p.failed(line, errors.New("not a task of ECS: lastStatus is missing"))
		return
	}
	t := d.task()
	t.date(time.Now().UTC())
	f := factOf(t, origin{Site: p.o.Site}, p.o.Observed)
	p.apply(ctx, line, &f)
}

func (p *player) apply(ctx context.Context, line int, f *fact) {
	f.event.Data.Observed = p.o.Observed
	told := len(p.results)
	err := p.m.handle(ctx, f, func(_ context.Context, o out) error {
		e := o.event
		e.Recorded = time.Now().UTC()
		if e.Severity == 0 {
			e.Severity = event.SeverityOf(&e)
		}
		p.results = append(p.results, Result{Line: line, Event: &e, Near: o.near})
		return nil
	})
	switch {
	case err != nil:
		p.failed(line, err)
	case len(p.results) == told && f.task != nil:
		p.results = append(p.results, Result{Line: line, Ignored: fmt.Sprintf(
			"version %d of task %s is known: %s", f.task.Version, lastPart(f.task.ARN), strings.ToLower(f.task.LastStatus))})
	case len(p.results) == told:
		p.results = append(p.results, Result{Line: line, Ignored: "it tells nothing new"})
	}
}
