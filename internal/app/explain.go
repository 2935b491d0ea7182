package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/bellbuoy/bellbuoy/collectors/containerd"
	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/collectors/ecs"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/recording"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// ExplainOptions says how to read and to answer.
type ExplainOptions struct {
	// Runtime is one of the collectors', or empty to tell it from the records.
	Runtime string
	// Output is text, ndjson or table.
	Output string
}

// Recording is an input of Explain. Its name is for the answers.
type Recording struct {
	Name string
	Text io.Reader
}

// maxExplain bounds what is read into memory.
const maxExplain = 256 << 20

// explained is what became of one record; it has the shape of every collector's Result.
type explained struct {
	Line    int
	Event   *event.Event
	Near    []cause.Near
	Ignored string
	Err     error
}

// errUnread makes explain end with 1 after it has shown all that it could read.
var errUnread = errors.New("some records could not be read")

// Explain reads native records or our own events and shows what each becomes, why, and which routes
// take it. It needs no server and no daemon. An error in one recording does not keep it from the others.
func (p *Program) Explain(ctx context.Context, recordings []Recording, o ExplainOptions) error {
	rules, err := Rules(p.withDefaultSinks())
	if err != nil {
		return err
	}
	show := p.showOf(o.Output, rules)
	var errs []error
	for _, r := range recordings {
		errs = append(errs, p.explainOne(ctx, r, o.Runtime, show))
	}
	return errors.Join(append(errs, show.end())...)
}

func (p *Program) explainOne(ctx context.Context, r Recording, runtime string, show shower) error {
	text, err := io.ReadAll(io.LimitReader(r.Text, maxExplain+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", r.Name, err)
	}
	if len(text) > maxExplain {
		return fmt.Errorf("%s is larger than %d MiB; cut it into parts", r.Name, maxExplain>>20)
	}
	records, err := p.explainAll(ctx, text, runtime)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	failed := false
	for _, x := range records {
		failed = failed || x.Err != nil
		if err := show.show(r.Name, x); err != nil {
			return err
		}
	}
	if failed {
		return fmt.Errorf("%s: %w", r.Name, errUnread)
	}
	return nil
}

// player reads the records of one runtime.
type player struct {
	runtime event.Runtime
	// recorded says whether a record is one of this runtime's; nil: it is if it is no other's.
	recorded func(record []byte) bool
	replay   func(ctx context.Context, p *Program, text []byte, rules cause.Table) ([]explained, error)
}

// players is every runtime whose records can be read.
func players() []player {
	return []player{
		{event.Containerd, containerd.Recorded, replayContainerd},
		{event.ECS, ecs.Recorded, replayECS},
		{event.Docker, nil, replayDocker},
	}
}

func (p *Program) explainAll(ctx context.Context, text []byte, runtime string) ([]explained, error) {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return nil, errors.New("there is no record in it")
	case runtime == "" && bytes.Contains(firstRecord(text), []byte(`"specversion"`)):
		return explainEvents(text), nil
	}
	for _, play := range players() {
		if runtime == string(play.runtime) || runtime == "" && (play.recorded == nil || firstIs(text, play.recorded)) {
			rules, err := causes(&p.Config, play.runtime)
			if err != nil {
				return nil, err
			}
			return play.replay(ctx, p, text, rules)
		}
	}
	return nil, fmt.Errorf("there is no collector for the runtime %q; there are docker, containerd and ecs", runtime)
}

func firstRecord(text []byte) []byte {
	var first json.RawMessage
	text = bytes.TrimLeft(text, " \t\r\n[")
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&first); err != nil {
		line, _, _ := bytes.Cut(text, []byte("\n"))
		return line
	}
	return first
}

// firstIs looks at the first record that can be read.
func firstIs(text []byte, recorded func([]byte) bool) bool {
	for _, r := range recording.Split(text) {
		if r.Err == nil {
			return recorded(r.Text)
		}
	}
	return false
}

func explainEvents(text []byte) []explained {
	var out []explained
	for _, r := range recording.Split(text) {
		x := explained{Line: r.Line, Err: r.Err}
		if r.Err == nil {
			if e, err := event.Decode(r.Text); err != nil {
				x.Err = err
			} else {
				x.Event = &e
			}
		}
		out = append(out, x)
	}
	return out
}

func replayDocker(_ context.Context, p *Program, text []byte, rules cause.Table) ([]explained, error) {
	results, err := docker.Replay(bytes.NewReader(text), docker.ReplayOptions{
		Site: p.Config.Site, Node: p.Config.Node, Observed: event.ObservedReplay, Rules: rules,
	})
	return resultsOf(results), err
}

func replayContainerd(_ context.Context, p *Program, text []byte, rules cause.Table) ([]explained, error) {
	results, err := containerd.Replay(bytes.NewReader(text), containerd.ReplayOptions{
		Site: p.Config.Site, Node: p.Config.Node, Observed: event.ObservedReplay, Rules: rules,
	})
	return resultsOf(results), err
}

func replayECS(ctx context.Context, p *Program, text []byte, rules cause.Table) ([]explained, error) {
	results, err := ecs.Replay(ctx, bytes.NewReader(text), ecs.ReplayOptions{
		Site: p.Config.Site, Node: p.Config.Node, Observed: event.ObservedReplay, Rules: rules,
	})
	return resultsOf(results), err
}

func resultsOf[R docker.Result | containerd.Result | ecs.Result](results []R) []explained {
	out := make([]explained, len(results))
	for i, r := range results {
		out[i] = explained(r)
	}
	return out
}
