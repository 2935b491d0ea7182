package containerd

import (
	"cmp"
	"encoding/json"
	"regexp"
	"strconv"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// memory is what survives a restart of the collector about a container. Times are ns, 0 unknown.
type memory struct {
	Name     string            `json:"n,omitempty"`
	Image    string            `json:"i,omitempty"`
	Digest   string            `json:"d,omitempty"`
	Labels   map[string]string `json:"l,omitempty"` // redacted
	Policy   string            `json:"p,omitempty"`
	Auto     bool              `json:"a,omitempty"` // removed by its client when it ends
	State    event.State       `json:"s,omitempty"`
	Created  int64             `json:"c,omitempty"`  // CreatedAt
	Born     int64             `json:"cb,omitempty"` // its create event, when CreatedAt was not to be had
	Run      string            `json:"r,omitempty"`  // empty before the first start
	Started  int64             `json:"sa,omitempty"` // when the run began as well as it is known
	Exited   bool              `json:"x,omitempty"`  // the end of the run was told, or is in Unsent
	Ended    int64             `json:"e,omitempty"`  // exitedAt of the run
	Before   int64             `json:"b,omitempty"`  // when the run before it ended
	Restarts int64             `json:"rc,omitempty"`
	Last     int64             `json:"t,omitempty"`  // newest event
	OOM      bool              `json:"o,omitempty"`  // an event of this run
	Purpose  bool              `json:"m,omitempty"`  // marked as to be stopped
	Marked   int64             `json:"mt,omitempty"` // since when
	Stale    bool              `json:"ms,omitempty"` // the mark is of an earlier run
	Failed   bool              `json:"f,omitempty"`  // its first start, which was told
	Cgroup   string            `json:"g,omitempty"`
	Log      logPlace          `json:"lp,omitzero"`
	// Unsent are events that were being published when this was saved.
	Unsent []json.RawMessage `json:"u,omitempty"`
}

// task is one container as the state machine sees it.
type task struct {
	memory
	namespace, id string
	asked         bool   // containerd was asked about it
	prepared      uint32 // pid of a task that was created and not started
	grace         int64  // ns, how long after its mark it may take to end
	missing       int64  // since when a snapshot can't find what should run, ns

	pending *stop // ended, not told yet
	told    *stop // the last end that was told, while better evidence may come
}

func (t *task) key() string { return key(t.namespace, t.id) }

// begin starts a run.
func (t *task) begin(run string, started int64) {
	t.Run, t.Started = run, started
	if t.Ended > 0 {
		t.Before, t.Ended = t.Ended, 0
	}
	t.Exited, t.State, t.OOM = false, event.StateRunning, false
	t.Stale = t.Purpose
	t.prepared, t.missing, t.told = 0, 0, nil
}

// adopt takes over what containerd told, except the state of the run.
func (t *task) adopt(f *facts) {
	t.asked = true
	t.Name, t.Image, t.Digest = cmp.Or(f.name, t.Name), cmp.Or(f.image, t.Image), cmp.Or(f.digest, t.Digest)
	t.Labels, t.Policy, t.Auto, t.Restarts = f.labels, f.policy, f.autoRemove, f.restarts
	t.Created = cmp.Or(f.created, t.Created)
	t.Cgroup = cmp.Or(f.cgroup, t.Cgroup)
	if f.log.None != noLog || t.Log.Form == "" { // only a task itself may know where its log is
		t.Log = f.log
	}
	t.grace = f.grace
	switch {
	case !f.onPurpose:
		t.Stale, t.Marked = false, 0
	case !t.Purpose:
		t.Marked = f.at
	}
	t.Purpose = f.onPurpose
}

// running reports a run whose end nobody has told.
func (t *task) running() bool { return t.Run != "" && !t.Exited }

// remembered is the memory to keep: of the labels only those that decide how a stop is told. An end that
// is held back is not told yet, so that a crash finds it again.
func (t *task) remembered() memory {
	m := t.memory
	m.Exited = m.Exited && t.pending == nil
	m.Labels = nil
	for name, value := range t.Labels {
		if collectors.Deciding(name) || kept(name) {
			if m.Labels == nil {
				m.Labels = map[string]string{}
			}
			m.Labels[name] = value
		}
	}
	return m
}

func kept(label string) bool {
	return label == labelPod || label == labelPodNamespace || label == labelPodContainer || label == labelKind
}

// title is the task's name for sentences.
func (t *task) title() string {
	switch {
	case t.Name != "":
		return t.Name
	case hash.MatchString(t.id):
		return collectors.Short(t.id)
	}
	return t.id
}

var hash = regexp.MustCompile(`^[0-9a-f]{64}$`)

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
