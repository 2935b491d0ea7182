package docker

import (
	"cmp"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// memory is what survives a restart of the collector about a container. Times are ns of the daemon's
// clock, 0 unknown.
type memory struct {
	Name     string            `json:"n,omitempty"`
	Image    string            `json:"i,omitempty"`
	Digest   string            `json:"d,omitempty"`
	Labels   map[string]string `json:"l,omitempty"` // redacted
	Policy   string            `json:"p,omitempty"`
	Auto     bool              `json:"a,omitempty"` // removed by the daemon when it ends
	State    event.State       `json:"s,omitempty"`
	Created  int64             `json:"c,omitempty"`
	Run      string            `json:"r,omitempty"`  // empty before the first start
	Started  int64             `json:"sa,omitempty"` // State.StartedAt of the run
	Start    int64             `json:"se,omitempty"` // its start event
	Exited   bool              `json:"x,omitempty"`  // the end of the run was told
	Ended    int64             `json:"e,omitempty"`  // when the run ended
	Before   int64             `json:"b,omitempty"`  // when the run before it ended
	Untold   bool              `json:"u,omitempty"`  // the start of the run may not have been told yet
	Restarts int64             `json:"rc,omitempty"` // by the restart policy
	Delay    int64             `json:"rd,omitempty"` // how long the policy waited last, ns
	Failed   string            `json:"f,omitempty"`  // key of the failed start that was told
	Tried    int64             `json:"ft,omitempty"` // by when that had failed
	Last     int64             `json:"t,omitempty"`  // newest event
	Health   string            `json:"h,omitempty"`
	Sick     int64             `json:"hu,omitempty"` // since when unhealthy
	Kills    []cause.Kill      `json:"k,omitempty"`  // of this run
	OOM      bool              `json:"o,omitempty"`  // an event of this run
	Stop     bool              `json:"st,omitempty"` // a stop event of this run
}

// task is one container as the state machine sees it.
type task struct {
	memory
	id         string
	inspected  bool // labels and policy are the daemon's, not an event's
	stopSignal int
	probeEvery time.Duration
	probed     probes
	tty        bool
	together   int  // how many tasks were asked to stop within the same second
	shutdown   bool // the daemon went down with it
	// plain says which of daemonAttributes, a bit for each, an event without them has shown not to be labels;
	// forged, which a label forges.
	plain, forged uint8
	learned       bool // an event was seen
	podman        bool // which keeps no record of stops
	// placed and subject are where the task belongs; an empty subject is to be made anew.
	placed  collectors.Place
	subject string
	// raw is how an event last wrote the name and the image.
	raw struct{ name, image string }

	pending *stop // ended, not told yet
	told    *stop // the last end that was told, while better evidence may come
}

const maxKills = 16

// begin starts a run.
func (t *task) begin(run string, started, start int64) {
	t.Run, t.Started, t.Start = run, started, start
	if t.Ended > 0 {
		t.Before, t.Ended = t.Ended, 0
	}
	t.Exited, t.Untold, t.State = false, false, event.StateRunning
	t.Health, t.Sick, t.Kills, t.OOM, t.Stop = "", 0, nil, false, false
	t.together, t.shutdown, t.probed, t.told = 0, false, probes{}, nil
}

// adopt takes over what an inspect told, except the state of the run.
func (t *task) adopt(f *facts) {
	t.inspected, t.subject = true, ""
	t.Name, t.Image, t.Digest = cmp.Or(f.name, t.Name), cmp.Or(f.image, t.Image), cmp.Or(f.digest, t.Digest)
	t.Labels, t.Policy, t.Auto, t.Created = f.labels, f.policy, f.autoRemove, f.created
	t.stopSignal, t.probeEvery, t.tty = f.stopSignal, f.probeEvery, f.tty
}

// learn takes over what an event's attributes tell: all labels, and a few that the daemon adds. Labels
// never change, and names hardly do.
func (t *task) learn(m *events.Message) {
	a := m.Actor.Attributes
	if name := a["name"]; name != "" && name != t.raw.name {
		t.raw.name, t.Name, t.subject = name, redact.Clean(name), ""
	}
	if image := a["image"]; image != "" && image != t.raw.image {
		t.raw.image, t.Image = image, redact.Text(image)
	}
	action := events.Action(actionOf(m.Action))
	for i, added := range daemonAttributes {
		if action == added.action {
			continue // this event has it by right
		}
		if _, has := a[added.name]; has {
			t.forged |= 1 << i
		} else {
			t.plain |= 1 << i
		}
	}
	if t.learned {
		return
	}
	if t.learned, t.podman = true, ofPodman(a); t.inspected {
		return
	}
	labels := make(map[string]string, len(a))
	for name, value := range a {
		if t.podman && (name == podmanCode || name == podmanPod) {
			continue
		}
		if name != "name" && name != "image" && name != "execDuration" && added(name) < 0 {
			labels[name] = value
		}
	}
	t.Labels, t.subject = redact.Labels(labels), ""
}

// What Podman adds to every event of a container.
const podmanCode, podmanPod = "containerExitCode", "podId"

func ofPodman(attributes map[string]string) bool {
	_, code := attributes[podmanCode]
	_, pod := attributes[podmanPod]
	return code && pod
}

// daemonAttributes are added by the daemon to these actions, but a label of the same name wins.
var daemonAttributes = [...]struct {
	name   string
	action events.Action
}{{"exitCode", events.ActionDie}, {"signal", events.ActionKill}, {"oldName", events.ActionRename}}

// added returns which of the attributes a name is, or -1.
func added(name string) int {
	for i := range daemonAttributes {
		if daemonAttributes[i].name == name {
			return i
		}
	}
	return -1
}

// attribute returns an attribute that the daemon adds, if no label of its name can have forged it. sure
// is false when that can't be ruled out, for want of another event of the container.
func (t *task) attribute(m *events.Message, name string) (value string, ok, sure bool) {
	value, ok = m.Actor.Attributes[name]
	bit := uint8(1) << added(name)
	if _, label := t.Labels[name]; t.forged&bit != 0 || label && t.inspected {
		return "", false, true
	}
	return value, ok, t.inspected || t.plain&bit != 0
}

// before reports whether an event belongs to an earlier run than the one that is known: it was read again.
func (t *task) before(action string, at int64) bool {
	switch action {
	case "create", "start", "die", "destroy":
		return false // which tell runs apart themselves
	}
	const step = int64(time.Millisecond) // stamps may be out of order by less
	return t.Run != "" && at < t.since()-step
}

func (t *task) hasPolicy() bool { return t.Policy != "" && t.Policy != "no" }

// since is when the run began as well as it is known.
func (t *task) since() int64 { return cmp.Or(t.Started, t.Start) }

// remembered is the memory to keep: of the labels only those that decide how a stop is told.
func (t *task) remembered() memory {
	m := t.memory
	m.Labels = nil
	for name, value := range t.Labels {
		if collectors.Deciding(name) {
			if m.Labels == nil {
				m.Labels = map[string]string{}
			}
			m.Labels[name] = value
		}
	}
	return m
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
