package churn

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Kind is a kind of transition.
type Kind int

// The transitions that are counted.
const (
	Created Kind = iota
	Started
	Stopped
	Removed
)

// Record is one transition as the daemon told it.
type Record struct {
	At   int64 // ns of the daemon's clock
	Kind Kind
	ID   string
	Code string // of an end
	Run  string // of a start or an end: what names its run, if the daemon names it
}

// Fact is one transition: of a container, and of which of its runs, from 0; -1 for none that there was.
type Fact struct {
	ID   string
	Kind Kind
	Run  int
}

// after orders the transitions of one container, which a daemon may tell in another order.
func (f Fact) after(other Fact) bool {
	if f.Kind == Removed || other.Kind == Removed {
		return f.Kind == Removed
	}
	return f.Run > other.Run || f.Run == other.Run && f.Kind > other.Kind
}

// Truth is what a witness saw.
type Truth struct {
	facts []Fact // in order
	at    map[Fact]int64
	codes map[Fact]string
	runs  map[string][]Record // what began each run of a container
	named map[Record]Fact
}

// NewTruth takes what a witness saw, in its order.
func NewTruth(records []Record) *Truth {
	t := &Truth{at: map[Fact]int64{}, codes: map[Fact]string{}, runs: map[string][]Record{}, named: map[Record]Fact{}}
	for _, r := range records {
		f := Fact{ID: r.ID, Kind: r.Kind}
		if r.Kind == Started || r.Kind == Stopped {
			f.Run = t.begin(r)
		}
		t.facts = append(t.facts, f)
		t.at[f], t.codes[f], t.named[r] = r.At, r.Code, f
	}
	return t
}

// begin returns which run a start or an end is of. Named ones may come in any order.
func (t *Truth) begin(r Record) int {
	runs := t.runs[r.ID]
	if r.Run != "" {
		if i := slices.IndexFunc(runs, func(known Record) bool { return known.Run == r.Run }); i >= 0 {
			return i
		}
	} else if r.Kind == Stopped {
		return len(runs) - 1
	}
	t.runs[r.ID] = append(runs, r)
	return len(runs)
}

// Tale is what one observer told: how often each transition, and the exit codes of ends, empty if unknown.
type Tale struct {
	told  map[Fact]int
	codes map[Fact]string
}

// Read is the tale of who reads the daemon's events: they are the same for everybody.
func (t *Truth) Read(records []Record) Tale {
	tale := Tale{map[Fact]int{}, map[Fact]string{}}
	for _, r := range records {
		f, ok := t.named[r]
		if !ok {
			f = Fact{r.ID, r.Kind, -1}
		}
		tale.told[f]++
		tale.codes[f] = r.Code
	}
	return tale
}

var kindOf = map[event.Type]Kind{
	event.TaskCreated: Created, event.TaskStarted: Started, event.TaskStopped: Stopped, event.TaskRemoved: Removed,
}

// Events is the tale of a collector. Amendments are no transitions of their own.
func (t *Truth) Events(events []event.Event) Tale {
	tale := Tale{map[Fact]int{}, map[Fact]string{}}
	for _, e := range events {
		kind, ok := kindOf[e.Type]
		if !ok || e.Data.Task == nil || e.Data.Supersedes != "" {
			continue
		}
		f := Fact{ID: e.Data.Task.ID, Kind: kind}
		if kind == Started || kind == Stopped {
			f.Run = t.run(f.ID, e.Data.Task.Run)
		}
		tale.told[f]++
		if code := e.Data.Task.Containers[0].ExitCode; code != nil && kind == Stopped {
			tale.codes[f] = strconv.FormatInt(*code, 10)
		}
	}
	return tale
}

// run finds the run that a collector names. The name is when the daemon says that the run started, which
// precedes the event of it and follows the end of the run before; or t and the time of an event of the
// run; or the number of its process, and more behind a -.
func (t *Truth) run(id, name string) int {
	name, _, _ = strings.Cut(name, "-")
	digits, ofEvent := strings.CutPrefix(name, "t")
	at, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return -1
	}
	for i, start := range t.runs[id] {
		last := i == len(t.runs[id])-1
		switch {
		case start.Run != "":
			if start.Run == name {
				return i
			}
		case !ofEvent && at <= start.At, ofEvent && at >= start.At && (last || at < t.runs[id][i+1].At):
			return i
		}
	}
	return -1
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// Surplus returns what a tale has more than once, or what never happened.
func (t *Truth) Surplus(tale Tale) map[Fact]int {
	surplus := map[Fact]int{}
	for f, n := range tale.told {
		if _, happened := t.at[f]; happened {
			n--
		}
		if n > 0 {
			surplus[f] = n
		}
	}
	return surplus
}

// Score is a tale held against the truth.
type Score struct {
	Lives, Runs int
	Facts, Told int // transitions that there were, and those of them that were told
	Surplus     int // told more than once, or never happened
	Final       int // lives of which the last thing that happened was told, with its exit code
}

// Percent is how much of the truth was told.
func (s Score) Percent() string {
	if s.Facts == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(s.Told)/float64(s.Facts))
}

// Hold holds a tale against the truth about some lives.
func (t *Truth) Hold(tale Tale, of func(Life) bool, lives []Life) Score {
	var score Score
	in := map[string]bool{}
	last := map[string]Fact{}
	for _, l := range lives {
		in[l.ID] = of(l)
	}
	for _, f := range t.facts {
		if in[f.ID] {
			score.Facts++
			score.Told += min(tale.told[f], 1)
			if l, ok := last[f.ID]; !ok || f.after(l) {
				last[f.ID] = f
			}
		}
	}
	for f, n := range t.Surplus(tale) {
		if in[f.ID] {
			score.Surplus += n
		}
	}
	for id, f := range last {
		score.Lives++
		score.Runs += len(t.runs[id])
		if tale.told[f] > 0 && tale.codes[f] == t.codes[f] {
			score.Final++
		}
	}
	return score
}

// A Missing transition was not told.
type Missing struct {
	Fact
	At time.Time
}

// Untold returns the transitions of some lives that a tale lacks, in order.
func (t *Truth) Untold(tale Tale, of func(Life) bool, lives []Life) []Missing {
	in := map[string]bool{}
	for _, l := range lives {
		in[l.ID] = of(l)
	}
	var untold []Missing
	for _, f := range t.facts {
		if in[f.ID] && tale.told[f] == 0 {
			untold = append(untold, Missing{f, time.Unix(0, t.at[f])})
		}
	}
	return untold
}
