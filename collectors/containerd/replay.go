package containerd

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"
	"time"

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

// Recorded reports whether a record is one that Replay reads: an event of containerd, with namespace,
// topic and event, or of the Kubernetes runtime interface, with type, pod and containerId.
func Recorded(text []byte) bool {
	var r struct {
		Topic       *string         `json:"topic"`
		Event       json.RawMessage `json:"event"`
		Type        string          `json:"type"`
		ContainerID *string         `json:"containerId"`
	}
	if json.Unmarshal(text, &r) != nil {
		return false
	}
	return r.Topic != nil || r.ContainerID != nil && strings.HasPrefix(r.Type, "CONTAINER_")
}

// Replay turns recorded events of containerd, of any namespace, or of the Kubernetes runtime interface
// into ours: with the state machine that runs live, but without a containerd to ask. The results are in
// the order of the records. The error is that of the reader.
func Replay(r io.Reader, o ReplayOptions) ([]Result, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	p := newPlayer(o)
	for _, rec := range recording.Split(text) {
		p.play(rec)
	}
	p.told(p.m.due(math.MaxInt64))
	slices.SortStableFunc(p.results, func(a, b Result) int { return a.Line - b.Line })
	return p.results, nil
}

// player plays one recording.
type player struct {
	m       *machine
	others  map[string]bool // sandboxes
	results []Result
}

func newPlayer(o ReplayOptions) *player {
	m := newMachine(origin{site: o.Site, node: o.Node, engine: "recording"}, tableOf(o.Rules), 0)
	m.seen, m.near = cmp.Or(o.Observed, event.ObservedReplay), true
	m.holds = func(t *task, s *stop) time.Duration {
		if hold(t, s) == 0 {
			return 0
		}
		return replayHold
	}
	return &player{m: m, others: map[string]bool{}}
}

func (p *player) play(rec recording.Record) {
	var r *record
	err := rec.Err
	if err == nil {
		r, err = readRecord(rec.Text)
	}
	if err != nil {
		p.results = append(p.results, Result{Line: rec.Line, Err: err})
		return
	}
	p.told(p.m.due(r.at))
	if p.sandbox(r) {
		p.results = append(p.results, Result{Line: rec.Line, Ignored: ownedByPod})
		return
	}
	in := input{record: r, now: r.at, line: rec.Line}
	if r.pod != nil {
		in.facts = r.pod.facts(r)
		if known := p.m.tasks[r.key()]; r.pod.sandbox && known != nil { // deleted, so the record does not name it
			in.facts = nil
		}
	}
	s := p.m.event(in)
	p.told(s.outs)
	own := slices.ContainsFunc(s.outs, func(o out) bool { return o.line == rec.Line })
	if !own && !s.held {
		p.results = append(p.results, Result{Line: rec.Line, Ignored: s.ignored})
	}
}

// sandbox reports events of a pod's sandbox. A recording has no labels: those of the Kubernetes runtime
// interface name the others, and of containerd's own the image is all there is.
func (p *player) sandbox(r *record) bool {
	known := p.m.tasks[r.key()] != nil
	switch {
	case known:
		return false
	case r.pod != nil && r.pod.sandbox:
		p.others[r.key()] = true
	case r.pod == nil && r.namespace == "k8s.io" && r.topic == topicCreated && isPause(r.image):
		p.others[r.key()] = true
	}
	return p.others[r.key()]
}

func isPause(image string) bool {
	name, _, _ := strings.Cut(path.Base(image), ":")
	name, _, _ = strings.Cut(name, "@")
	return name == "pause" || strings.HasSuffix(name, "-pause")
}

func (p *player) told(outs []out) {
	for _, o := range outs {
		e := o.event
		e.Recorded = time.Now().UTC()
		p.results = append(p.results, Result{Line: o.line, Event: &e, Near: o.near})
	}
}

// recorded is an event of containerd as JSON has it; ctr writes names in its own way.
type recorded struct {
	Timestamp time.Time `json:"timestamp"`
	Namespace string    `json:"namespace"`
	Topic     string    `json:"topic"`
	Event     struct {
		ID            string    `json:"id"`
		Image         string    `json:"image"`
		ContainerID   string    `json:"containerId"`
		CtrID         string    `json:"container_id"`
		Pid           uint32    `json:"pid"`
		ExitStatus    uint32    `json:"exitStatus"`
		CtrExitStatus uint32    `json:"exit_status"`
		ExitedAt      time.Time `json:"exitedAt"`
		CtrExitedAt   time.Time `json:"exited_at"`
	} `json:"event"`
}

func readRecord(text []byte) (*record, error) {
	if bytes.Contains(text, []byte(`"CONTAINER_`)) {
		return readPod(text)
	}
	var in recorded
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, unread(err)
	}
	switch {
	case in.Topic == "":
		return nil, errors.New("not an event of containerd: topic is missing")
	case in.Timestamp.Year() < 1970 || in.Timestamp.Year() > 2262:
		return nil, errors.New("not an event of containerd: timestamp is missing or out of range")
	}
	e := in.Event
	r := &record{
		at: in.Timestamp.UnixNano(), namespace: in.Namespace, topic: in.Topic, id: cmp.Or(e.ContainerID, e.CtrID), pid: e.Pid, image: e.Image,
		code: int64(max(e.ExitStatus, e.CtrExitStatus)), exited: max(unix(e.ExitedAt), unix(e.CtrExitedAt)),
	}
	switch {
	case strings.HasPrefix(r.topic, "/containers/"):
		r.id = e.ID
	case r.topic == topicExited || r.topic == topicDeleted:
		r.process = cmp.Or(e.ID, r.id)
	}
	if r.id == "" && handlers[r.topic] != nil {
		return nil, fmt.Errorf("not an event of containerd: %s without a container", r.topic)
	}
	return r, nil
}

func unix(t time.Time) int64 {
	if t.Year() < 1970 || t.Year() > 2262 {
		return 0
	}
	return t.UnixNano()
}

// unread says why a record is none, without repeating what is in it.
func unread(err error) error {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return fmt.Errorf("not an event of containerd: %s can't be %s", typ.Field, typ.Value)
	}
	return fmt.Errorf("not an event of containerd: %w", recording.Why(err))
}
