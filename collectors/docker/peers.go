package docker

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// peers remembers what happened lately to other containers of a workload, to tell a deploy or a scale-in
// from a stop. It is safe for concurrent use: the reader notes in the order of the stream, before any
// shard can be at an event that came later.
type peers struct {
	mu      sync.Mutex // guards what follows
	created []peer
	ended   []peer
	scaled  map[string]int64 // by swarm service: when it was told to have fewer tasks, ns
	downs   []down
}

// down is a time, in ns, in which the daemon did not answer: from the end of its stream until a new one
// did. What it did then is its own work, for nobody could ask for anything.
type down struct{ from, to int64 }

// peer is one container of a workload.
type peer struct {
	at       int64
	id       string
	place    collectors.Place
	image    string
	replaces string // id or name of a container
}

const (
	peersKept = 512
	downsKept = 16
	// beforeStop is how long before the first signal to a container its replacement is created, afterStop
	// how long after its end, ns.
	beforeStop = int64(15 * time.Second)
	afterStop  = int64(10 * time.Second)
	// scaleTime is how long after the order the tasks of a service end.
	scaleTime = int64(time.Minute)

	labelReplaces     = "com.docker.compose.replace"
	labelComposeImage = "com.docker.compose.image"
	labelService      = "com.docker.swarm.service.name"
)

func peerOf(m *events.Message) peer {
	a := m.Actor.Attributes
	return peer{
		at: m.TimeNano, id: m.Actor.ID, place: collectors.PlaceOf(a, collectors.Place{Workload: a["name"]}),
		image: cmp.Or(a[labelComposeImage], a["image"]), replaces: a[labelReplaces],
	}
}

// note takes in an event of any kind.
func (p *peers) note(m *events.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case m.Type == events.ServiceEventType:
		p.noteService(m)
	case m.Type != events.ContainerEventType:
	case m.Action == events.ActionCreate:
		p.created = appendPeer(p.created, peerOf(m))
	case actionOf(m.Action) == "die":
		p.ended = appendPeer(p.ended, peerOf(m))
	}
}

func appendPeer(list []peer, one peer) []peer {
	if len(list) == peersKept {
		list = append(list[:0], list[peersKept/2:]...)
	}
	return append(list, one)
}

// noteService takes in an order to swarm, which only its managers tell.
func (p *peers) noteService(m *events.Message) {
	name := m.Actor.Attributes["name"]
	before, _ := strconv.Atoi(m.Actor.Attributes["replicas.old"])
	after, err := strconv.Atoi(m.Actor.Attributes["replicas.new"])
	if fewer := err == nil && after < before; name == "" || !fewer && m.Action != events.ActionRemove {
		return
	}
	if p.scaled == nil || len(p.scaled) == peersKept {
		p.scaled = map[string]int64{}
	}
	p.scaled[name] = m.TimeNano
}

// replacement returns the revision that took the place of a task that ended, if one did.
func (p *peers) replacement(t *task, end *stop) (revision string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := end.at
	if len(t.Kills) > 0 {
		from = min(from, t.Kills[0].At.UnixNano())
	}
	old := t.peer()
	for i := len(p.created) - 1; i >= 0 && p.created[i].at >= from-beforeStop; i-- {
		if c := &p.created[i]; c.at-end.at <= afterStop && c.replaced(&old) {
			return c.revision(&old), true
		}
	}
	return "", false
}

// replacedBy returns the containers that ended lately and whose place a new one takes.
func (p *peers) replacedBy(m *events.Message) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := peerOf(m)
	var ids []string
	for i := len(p.ended) - 1; i >= 0 && c.at-p.ended[i].at <= afterStop; i-- {
		if c.replaced(&p.ended[i]) {
			ids = append(ids, p.ended[i].id)
		}
	}
	return ids
}

// scaledIn reports whether the service of the task was told to have fewer of them shortly before.
func (p *peers) scaledIn(t *task, end *stop) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.scaled[t.Labels[labelService]]
	return at > 0 && end.at >= at && end.at-at <= scaleTime
}

// revision is what makes the new container differ from the old one: its revision, or else its image.
func (p *peer) revision(old *peer) string {
	if p.place.Revision != "" && (p.place.Revision != old.place.Revision || p.image == old.image) {
		return p.place.Revision
	}
	if strings.HasPrefix(p.image, "sha256:") {
		return collectors.Short(p.image)
	}
	return redact.Text(p.image)
}

// returned notes that the daemon is back.
func (p *peers) returned(from, to int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.downs) == downsKept {
		p.downs = append(p.downs[:0], p.downs[1:]...)
	}
	p.downs = append(p.downs, down{from, to})
}

func (p *peers) wasDown(at int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.downs, func(d down) bool { return d.from <= at && at <= d.to })
}

// swept reports whether a daemon that came back, instead of one that was killed, ended the task because
// it still ran.
func (p *peers) swept(t *task) bool {
	return slices.ContainsFunc(t.Kills, func(k cause.Kill) bool { return p.wasDown(k.At.UnixNano()) })
}

func (t *task) peer() peer {
	return peer{at: t.Created, id: t.id, place: t.place(), image: cmp.Or(t.Labels[labelComposeImage], t.Image)}
}

// replaced reports whether the new container takes the place of the old one: it says so, or it is of the
// same workload and of another revision or image.
func (p *peer) replaced(old *peer) bool {
	switch {
	case p.id == old.id || p.at < old.at:
		return false
	case p.replaces != "" && p.replaces == old.id:
		return true
	case p.place.Scope != old.place.Scope || p.place.Workload != old.place.Workload:
		return false
	}
	return p.image != old.image || p.place.Revision != "" && p.place.Revision != old.place.Revision
}
