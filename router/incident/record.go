package incident

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Bounds of one record, so that no workload, however broken, takes more than its share.
const (
	maxTasks  = 1000 // tasks of a workload that are told apart
	maxStops  = 32   // stops that are remembered, and the most that make a loop
	maxShown  = 20   // task ids and hosts in an incident
	maxCauses = 16
	maxLines  = 12 // lines of what was done and of what changed lately
	maxOutbox = 16
	maxPast   = 16
)

// place says what a record is about: a workload, or a host, of which Workload is empty.
type place struct {
	Site     string        `json:"site"`
	Runtime  event.Runtime `json:"runtime,omitempty"`
	Account  string        `json:"account,omitempty"`
	Region   string        `json:"region,omitempty"`
	Scope    string        `json:"scope,omitempty"`
	Workload string        `json:"workload,omitempty"`
	Node     string        `json:"node,omitempty"`
}

// workloadOf is the workload that an event is about.
func workloadOf(d *event.Data) place {
	return place{Site: d.Site, Runtime: d.Runtime, Account: d.Account, Region: d.Region, Scope: d.Scope, Workload: d.Workload}
}

// Prefixes of the keys of the bucket.
const (
	workloadPrefix = "w."
	hostPrefix     = "h."
)

// key is the bucket's key of the record.
func (p place) key() string {
	if p.Workload == "" {
		return hostPrefix + event.Token(p.Site) + "." + event.Token(p.Node)
	}
	parts := []string{p.Site, string(p.Runtime), p.Account, p.Region, p.Scope, p.Workload}
	for i := range parts {
		parts[i] = event.Token(parts[i])
	}
	return workloadPrefix + strings.Join(parts, ".")
}

// record is all that is known of one workload or host.
type record struct {
	Place place `json:"place"`
	// Seq is the stream sequence of the last event that was taken.
	Seq uint64 `json:"seq"`
	// Seen is when that was.
	Seen     time.Time `json:"seen"`
	Revision string    `json:"revision,omitempty"`
	Tasks    []task    `json:"tasks,omitempty"`
	// Desired is how many tasks the platform wants, 0 unknown; Below is since when fewer run.
	Desired int64     `json:"desired,omitempty"`
	Below   time.Time `json:"below,omitzero"`
	Stops   []stop    `json:"stops,omitempty"`
	Waiting []waiting `json:"waiting,omitempty"`
	// Past are hashes of the runs that ended last: their starts may come late.
	Past []uint32 `json:"past,omitempty"`
	// Good is the last run that was well.
	Good *good `json:"good,omitempty"`
	// Ended is when a job last ended well.
	Ended time.Time `json:"ended,omitzero"`
	// Expected is since when a job that never ended well is waited for.
	Expected time.Time `json:"expected,omitzero"`
	// Recent is what changed lately.
	Recent []note `json:"recent,omitempty"`
	// Watches are the collectors of a host, by name.
	Watches  map[string]watch `json:"watches,omitempty"`
	Incident *state           `json:"incident,omitempty"`
	// Outbox holds the transitions that are decided; they are published after the record is written.
	Outbox []transition `json:"outbox,omitempty"`

	key      string
	revision uint64 // of the bucket
	dirty    bool
	told     int       // how much of Outbox is published
	due      time.Time // what the machine's queue holds for it
	gone     bool      // to be deleted
}

// task is one that runs.
type task struct {
	ID       string    `json:"id"`
	Run      string    `json:"run,omitempty"`
	Node     string    `json:"node,omitempty"`
	Revision string    `json:"rev,omitempty"`
	Image    string    `json:"image,omitempty"`
	Digest   string    `json:"digest,omitempty"`
	Since    time.Time `json:"since"`
	// Sick is since when it is unhealthy, Sign the event that said so.
	Sick time.Time    `json:"sick,omitzero"`
	Sign *event.Event `json:"sign,omitempty"`
}

// stop is an unexpected one that was taken.
type stop struct {
	ID    string    `json:"id"`
	Class string    `json:"class"`
	At    time.Time `json:"at"`
}

// waiting is a stop that may be healed by a replacement.
type waiting struct {
	Event  event.Event `json:"event"`
	Before int64       `json:"before"` // tasks that ran before it
	Until  time.Time   `json:"until"`
}

// good is what the last well run was made of.
type good struct {
	Revision string    `json:"rev,omitempty"`
	Image    string    `json:"image,omitempty"`
	Digest   string    `json:"digest,omitempty"`
	At       time.Time `json:"at"`
}

type note struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// watch is a collector as its heartbeats show it.
type watch struct {
	Runtime event.Runtime `json:"runtime"`
	Engine  string        `json:"engine,omitempty"`
	Seen    time.Time     `json:"seen"`
	// Blind is since when its gap is open; Left says that it was stopped on purpose.
	Blind time.Time `json:"blind,omitzero"`
	Left  bool      `json:"left,omitempty"`
}

// state is an incident, open or resolved lately.
type state struct {
	ID         string           `json:"id"`
	Family     string           `json:"family"`
	Title      string           `json:"title"`
	Revision   string           `json:"rev,omitempty"`
	Open       bool             `json:"open"`
	Transition int64            `json:"transition"`
	Severity   event.Severity   `json:"severity"`
	Stops      int64            `json:"stops,omitempty"`
	Restarts   int64            `json:"restarts,omitempty"`
	Flaps      int64            `json:"flaps,omitempty"`
	Tasks      []string         `json:"tasks,omitempty"`
	TaskCount  int64            `json:"task_count,omitempty"`
	Nodes      []string         `json:"nodes,omitempty"`
	Causes     map[string]int64 `json:"causes,omitempty"`
	Done       []string         `json:"done,omitempty"`
	Recent     []string         `json:"recent,omitempty"`
	Changed    []event.Change   `json:"changed,omitempty"`
	// Need is how many tasks must run for the workload to be well.
	Need     int64     `json:"need,omitempty"`
	Opened   time.Time `json:"opened"`
	Last     time.Time `json:"last"`
	Resolved time.Time `json:"resolved,omitzero"`
	Healthy  time.Time `json:"healthy,omitzero"`
	Loop     bool      `json:"loop,omitempty"`
	Down     bool      `json:"down,omitempty"`
	// Well is since when all is well, by the events' own time, and WellAt when that was seen.
	Well   time.Time `json:"well,omitzero"`
	WellAt time.Time `json:"well_at,omitzero"`
	// Gone is when nothing was left of the workload, on purpose; GoneWhy says whose.
	Gone    time.Time `json:"gone,omitzero"`
	GoneWhy string    `json:"gone_why,omitempty"`
	// News is when anything last happened, Remind when and Every after how many seconds it is told again.
	News   time.Time `json:"news"`
	Remind time.Time `json:"remind,omitzero"`
	Every  int64     `json:"every_s,omitempty"`
	// Since is when it was opened by the machine's time, Escalated how many of the escalations are told.
	Since     time.Time `json:"since"`
	Escalated int       `json:"escalated,omitempty"`
	// Silenced is the silence that holds its notices back, Look when to ask again.
	Silenced string    `json:"silenced,omitempty"`
	Look     time.Time `json:"look,omitzero"`
	// Known are the revisions that ran when it opened.
	Known []string `json:"known,omitempty"`
	// Lost counts the tasks of a host by the key of their workload, until they are replaced.
	Lost map[string]int64 `json:"lost,omitempty"`
	// Base is the occurrence that opened it.
	Base event.Event `json:"base"`
}

// transition is one change of an incident, as it is published.
type transition struct {
	Type     event.Type     `json:"type"`
	At       time.Time      `json:"at"`
	Severity event.Severity `json:"severity"`
	Section  event.Incident `json:"section"`
	Changed  []event.Change `json:"changed,omitempty"`
	Base     event.Event    `json:"base"`
}

// take says whether the event at seq is new to the record; 0 is an event that is in no stream.
func (r *record) take(seq uint64, now time.Time) bool {
	if seq != 0 && seq <= r.Seq {
		return false
	}
	r.Seq, r.Seen, r.dirty, r.gone = max(seq, r.Seq), now, true, false
	return true
}

// open returns the open incident, or nil.
func (r *record) open() *state {
	if r.Incident != nil && r.Incident.Open {
		return r.Incident
	}
	return nil
}

// running is how many tasks run.
func (r *record) running() int64 { return int64(len(r.Tasks)) }

func (r *record) find(id string) *task {
	for i := range r.Tasks {
		if r.Tasks[i].ID == id {
			return &r.Tasks[i]
		}
	}
	return nil
}

// remove forgets the task.
func (r *record) remove(id string) (task, bool) {
	for i, t := range r.Tasks {
		if t.ID == id {
			r.Tasks = slices.Delete(r.Tasks, i, i+1)
			return t, true
		}
	}
	return task{}, false
}

// passed notes that a run has ended; over says that one has.
func (r *record) passed(t *event.Task) {
	if t.Run == "" {
		return
	}
	r.Past = append(r.Past, runHash(t))
	if over := len(r.Past) - maxPast; over > 0 {
		r.Past = r.Past[over:]
	}
}

func (r *record) over(t *event.Task) bool { return t.Run != "" && slices.Contains(r.Past, runHash(t)) }

func runHash(t *event.Task) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(t.ID + " " + t.Run)) // it never fails
	return h.Sum32()
}

// remember adds a line about what changed lately.
func (r *record) remember(at time.Time, text string) {
	r.Recent = append(r.Recent, note{at, text})
	if over := len(r.Recent) - maxLines; over > 0 {
		r.Recent = r.Recent[over:]
	}
}
