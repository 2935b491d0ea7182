package docker

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
)

const (
	// maxPart bounds one part of the memory, in bytes: below what one message may carry.
	maxPart = 900 << 10
	// maxMemory bounds the memory of one container, in bytes.
	maxMemory = 8 << 10
)

// part is the memory of some of the containers: one value in the bucket. A change writes its part only,
// and all parts together hold what one value could not.
type part struct {
	engine, key string
	tasks       map[string]remembered
	gone        map[string]int64
	size        int // of the tasks, encoded
	dirty       bool
	waiting     []chan struct{} // closed once what is kept now is saved
	dropped     int             // how many did not fit

	revision uint64 // belongs to load and run of the ledger
}

// remembered is a memory as it is saved.
type remembered struct {
	value []byte
	runs  bool
	last  int64
}

// partValue is a part in the bucket.
type partValue struct {
	Engine string                     `json:"engine"`
	Tasks  map[string]json.RawMessage `json:"tasks"`
	Gone   map[string]int64           `json:"gone,omitempty"`
}

func newPart(engine, key string) *part {
	return &part{engine: engine, key: key, tasks: map[string]remembered{}, gone: map[string]int64{}}
}

// encodeMemory leaves out the labels of a container that has too many.
func encodeMemory(m memory) ([]byte, error) {
	value, err := json.Marshal(m)
	if err == nil && len(value) > maxMemory {
		m.Labels = nil
		value, err = json.Marshal(m)
	}
	return value, err
}

// load adds a part of the same daemon to what was saved.
func (p *part) load(value []byte, into *saved) error {
	var v partValue
	if err := json.Unmarshal(value, &v); err != nil || v.Engine != p.engine {
		return err
	}
	var faults []error
	for id, raw := range v.Tasks {
		var m memory
		if err := json.Unmarshal(raw, &m); err != nil {
			faults = append(faults, err)
			continue
		}
		into.Tasks[id] = m
		p.keep(id, raw, m)
	}
	maps.Copy(into.Gone, v.Gone)
	maps.Copy(p.gone, v.Gone)
	p.dirty = false
	return errors.Join(faults...)
}

func (p *part) keep(id string, value []byte, m memory) {
	old := p.tasks[id]
	if bytes.Equal(old.value, value) {
		return
	}
	p.size += len(value) - len(old.value)
	p.tasks[id] = remembered{value, m.Run != "" && !m.Exited, max(m.Last, m.Started, m.Ended)}
	p.dirty = true
}

func (p *part) forget(id string, removed int64) {
	if old, ok := p.tasks[id]; ok {
		p.size -= len(old.value)
		delete(p.tasks, id)
		p.dirty = true
	}
	if removed > 0 && p.gone[id] != removed {
		p.gone[id] = removed
		p.dirty = true
	}
}

// encode returns the value to save, or nil if there is nothing to do, and who waits for it. The cursor is the saved
// one: events behind it are not read again.
func (p *part) encode(urgent bool, cursor int64, logger *slog.Logger) (value []byte, waiting []chan struct{}) {
	if len(p.waiting) == 0 && (urgent || !p.dirty) {
		return nil, nil
	}
	maps.DeleteFunc(p.gone, func(_ string, at int64) bool { return at < cursor-keepGone })
	v := partValue{Engine: p.engine, Tasks: p.fitting(logger), Gone: p.gone}
	value, err := json.Marshal(v)
	if err != nil {
		logger.Error("memory not encoded", "key", p.key, "err", err)
		return nil, nil
	}
	waiting, p.waiting, p.dirty = p.waiting, nil, false
	return value, waiting
}

// fitting returns the memories that one value can hold. What runs goes before what has ended, and the
// newest first: a snapshot learns the others anew, and at most an end is told without what led to it.
func (p *part) fitting(logger *slog.Logger) map[string]json.RawMessage {
	const around = 64 + len(`"":,`) // an id and what goes around it
	fit := make(map[string]json.RawMessage, len(p.tasks))
	room := maxPart - (around+20)*len(p.gone)
	ids := slices.Collect(maps.Keys(p.tasks))
	if p.size+around*len(ids) > room {
		slices.SortFunc(ids, func(a, b string) int {
			x, y := p.tasks[a], p.tasks[b]
			if x.runs != y.runs {
				return cmp.Compare(b2i(y.runs), b2i(x.runs))
			}
			return cmp.Compare(y.last, x.last)
		})
	}
	for i, id := range ids {
		if room -= len(p.tasks[id].value) + around; room < 0 {
			p.tell(len(ids)-i, logger)
			return fit
		}
		fit[id] = p.tasks[id].value
	}
	p.dropped = 0
	return fit
}

func (p *part) tell(dropped int, logger *slog.Logger) {
	if p.dropped == 0 {
		logger.Warn("more containers than the memory can hold: a restart will learn the oldest anew", "key", p.key, "containers", dropped)
	}
	p.dropped = dropped
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
