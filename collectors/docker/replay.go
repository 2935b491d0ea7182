package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/recording"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// ReplayOptions say how recorded events are marked.
type ReplayOptions struct {
	Site, Node string
	// Observed is replay or drill; empty is replay.
	Observed event.Observed
	// Ended says that the recording ends because the daemon closed the stream, as it does when it shuts
	// down. Without it that is a guess, made if the recording ends with nothing but a stop of all.
	Ended bool
	// Rules go in front of the table of causes.
	Rules cause.Table
}

// Result is what one record became: an event, or the reason why it is none, or why it can't be read. A
// record that amends an earlier end has a result for that, too.
type Result struct {
	Line  int
	Event *event.Event
	// Near are the rows of the table of causes that nearly gave another cause than the event has.
	Near    []cause.Near
	Ignored string
	Err     error
}

// replayHold is how far ahead, in the recording's own time, evidence for an end is looked for.
const replayHold = time.Second

// Replay turns recorded events of a daemon, as `docker events --format json` prints them, into ours:
// with the state machine that runs live, but without a daemon to ask. The results are in the order of
// the records. The error is that of the reader.
func Replay(r io.Reader, o ReplayOptions) ([]Result, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	p := newPlayer(o)
	for _, record := range recording.Split(text) {
		if record.Err != nil {
			p.results = append(p.results, Result{Line: record.Line, Err: record.Err})
			continue
		}
		p.play(record.Line, record.Text)
	}
	p.end()
	slices.SortStableFunc(p.results, func(a, b Result) int { return a.Line - b.Line })
	return p.results, nil
}

// player plays one recording.
type player struct {
	o       ReplayOptions
	m       *machine
	kills   killTimes
	results []Result

	last   string // which container the newest transition was of
	newest int64  // when it was
}

func newPlayer(o ReplayOptions) *player {
	if o.Observed == "" {
		o.Observed = event.ObservedReplay
	}
	m := newMachine(origin{o.Site, o.Node, "recording of " + o.Node}, append(slices.Clone(o.Rules), cause.Docker()...), 0)
	m.seen, m.near = o.Observed, true
	m.holds = func(*task, *stop) time.Duration { return replayHold }
	p := &player{o: o, m: m}
	m.peers = &p.kills.peers
	return p
}

func (p *player) play(line int, text []byte) {
	var msg events.Message
	if err := decode(text, &msg); err != nil {
		p.results = append(p.results, Result{Line: line, Err: err})
		return
	}
	p.told(p.m.due(msg.TimeNano))
	p.kills.note(&msg)
	if p.failedStart(line, &msg) {
		return
	}
	if transition(&msg) {
		p.last, p.newest = msg.Actor.ID, max(p.newest, msg.TimeNano)
	}
	s := p.m.event(input{msg: &msg, now: msg.TimeNano, line: line})
	p.told(s.outs)
	if msg.Action == events.ActionCreate {
		for _, id := range p.kills.peers.replacedBy(&msg) {
			p.told(p.m.replaced(id))
		}
	}
	own := slices.ContainsFunc(s.outs, func(o out) bool { return o.line == line })
	if !own && !s.held {
		p.results = append(p.results, Result{Line: line, Ignored: s.ignored})
	}
}

func decode(text []byte, msg *events.Message) error {
	if decodeMessage(text, msg) != nil { // a recording may come from elsewhere: JSON decides, and says what is wrong
		*msg = events.Message{}
		if err := json.Unmarshal(text, msg); err != nil {
			return fmt.Errorf("not an event of a Docker daemon: %w", recording.Why(err))
		}
	}
	if msg.Type == "" || msg.Action == "" {
		return errors.New("not an event of a Docker daemon: Type or Action is missing")
	}
	if msg.Actor.ID == "" && msg.Type == events.ContainerEventType && handlers[actionOf(msg.Action)] != nil {
		return errors.New("not an event of a Docker daemon: Actor.ID is missing")
	}
	if msg.TimeNano == 0 {
		msg.TimeNano = msg.Time * int64(time.Second)
	}
	if msg.TimeNano <= 0 {
		return errors.New("not an event of a Docker daemon: timeNano is missing")
	}
	return nil
}

// failedStart tells a start that failed. Live, an inspect tells it; a recording only shows that the
// network was given back by a container that never ran.
func (p *player) failedStart(line int, msg *events.Message) bool {
	if msg.Type != events.NetworkEventType || msg.Action != events.ActionDisconnect {
		return false
	}
	t := p.m.tasks[msg.Actor.Attributes["container"]]
	if t == nil || t.State != event.StateCreated {
		return false
	}
	end := &stop{
		at: msg.TimeNano, failed: true, codeFrom: "the recording", key: "failed " + decimal(msg.TimeNano), seen: p.m.seen, line: line,
		native: &event.Native{Action: "network disconnect", TimeNano: decimal(msg.TimeNano)},
	}
	p.told([]out{p.m.tell(t, end)})
	t.State, t.told = event.StateStopped, nil
	return true
}

// end tells what was still waiting for evidence.
func (p *player) end() {
	ids := p.kills.together(math.MaxInt64)
	if p.m.guess = !p.o.Ended && p.allStopped(ids); len(ids) > 1 && (p.o.Ended || p.m.guess) {
		p.told(p.m.shutdown(ids))
	}
	p.told(p.m.due(math.MaxInt64))
}

// allStopped reports whether the recording ends with the stop of these containers, while no other runs.
func (p *player) allStopped(ids map[string]bool) bool {
	for id, t := range p.m.tasks {
		if ended := t.Run == "" || t.Exited; !ended || ids[id] && (t.Run == "" || t.Last < p.newest-shutdownGrace) {
			return false
		}
	}
	for id := range ids {
		if p.m.tasks[id] == nil {
			return false // it was removed
		}
	}
	return ids[p.last]
}

func (p *player) told(outs []out) {
	for i := range outs {
		o := &outs[i]
		o.event.Recorded = time.Now().UTC()
		p.results = append(p.results, Result{Line: o.line, Event: &o.event, Near: o.near})
	}
}
