package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/moby/moby/api/types/events"

	"github.com/bellbuoy/bellbuoy/collectors"
)

const (
	// ringSize is how many events of all kinds a daemon remembers, and forgets when it ends.
	ringSize = 256
	// tellBlind is how long a loss of sight is told even if nothing was lost.
	tellBlind = 5 * time.Second
	// soonBack is how long a daemon that has never logged anything is presumed to be the same process.
	soonBack = time.Minute
)

// blindness is a loss of sight that has not been told. The zero value is none.
type blindness struct {
	since   time.Time // the last moment that is known to be covered
	noticed time.Time
	reach   time.Time // how far back the daemon's log must go for nothing to be lost
	process int64     // that listened at the daemon's socket; 0 is unknown
	anchor  int64     // time of an event of any kind that the daemon had logged by then, ns; 0 is none
	hole    bool      // once the log did not go back so far
	reason  string
	always  bool // told even if short
	down    bool // the daemon did not answer when asked again
}

// away is the time in which no collector ran.
func away(s *saved) blindness {
	alive := utc(s.Alive)
	b := blindness{since: alive, noticed: alive, reach: alive, anchor: s.Anchor, always: true, reason: "Bellbuoy was not running"}
	if !s.Clean {
		b.reason = "Bellbuoy ended without a stop and was not running"
	}
	return b
}

// lostSight notes that the stream broke.
func (w *watch) lostSight(err error) {
	now := time.Now()
	// A break is noticed later than it happens, one without an end of the stream much later. Up to the
	// newest event all has been seen.
	sure := w.reader.proven.Load()
	if errors.Is(err, errEnded) {
		sure = w.daemon.now() - overlap
	}
	since := w.daemon.ours(max(w.reader.newest.Load(), sure))
	if since.After(now) {
		since = now
	}
	switch {
	case w.blind.since.IsZero():
		w.blind = blindness{
			since: since, noticed: now, reach: since, process: w.process.Load(), anchor: w.reader.anchor.Load(), reason: err.Error(),
		}
	case w.whole:
		w.blind.reach, w.blind.anchor, w.blind.process = since, w.reader.anchor.Load(), w.process.Load() // up to here nothing was lost
	}
	w.whole = false
}

// ring is what a daemon remembers.
type ring struct {
	size           int
	oldest, newest int64 // times of events of any kind, ns
	marker         int64 // time of the newest transition, ns
	transitions    []seenKey
	anchored       bool // the event of the anchor is still there
}

// missed says why a ring does not tell all that happened while nobody saw; it is empty if it does.
// process is the one that listens now.
func (b *blindness) missed(r ring, d daemon, process int64) string {
	switch {
	case d.podman, // its log is a file
		r.anchored, r.size > 0 && r.oldest <= d.theirs(b.reach):
		return ""
	case r.size >= ringSize/2: // what happens while it answers pushes older events out and is not in the answer
		return fmt.Sprintf("; the daemon's log keeps %d events and begins %s", ringSize, utc(r.oldest).Format("15:04:05.000"))
	case b.anchor != 0, b.process != 0 && process != 0 && process != b.process:
		return "; the daemon was restarted, and its log begins anew"
	case b.down || time.Since(b.noticed) > soonBack:
		return "; whether the daemon was restarted can't be known"
	}
	return ""
}

// reached holds what the daemon remembers against the time of which nothing was told yet.
func (w *watch) reached(r ring) {
	if w.blind.since.IsZero() {
		return
	}
	if why := w.blind.missed(r, w.daemon, w.process.Load()); why != "" && !w.blind.hole {
		w.blind.hole = true
		w.blind.reason += why
	}
	w.whole = !w.blind.hole && w.reader.newest.Load() >= r.marker
}

// account tells a gap: sight was lost long enough, or the daemon's log does not reach back to then, or
// a snapshot or what came later showed what no event had told. proven is up to when the stream had told all.
func (w *watch) account(ctx context.Context, first bool, proven int64) error {
	gap := collectors.Gap{From: w.blind.since, To: time.Now(), Reason: w.blind.reason}
	w.found.move(&gap)
	tell := w.blind.always || gap.Reconciled > 0 || gap.UnseenRuns > 0
	switch {
	case !w.blind.since.IsZero():
		if w.blind.hole {
			gap.Unknown = []string{
				"containers that were created and removed within this time",
				"signals, stop requests and out-of-memory kills of this time",
			}
		}
		tell = tell || w.blind.hole || gap.To.Sub(w.blind.noticed) >= tellBlind
	case first: // the very first look: nothing was promised before
		tell = false
	default:
		gap.From, gap.Reason = w.daemon.ours(proven), "the daemon's event stream lost events"
	}
	if tell {
		if err := w.deps.Reporter.Gap(ctx, gap); err != nil {
			w.found.back(&gap)
			return err
		}
	}
	w.blind = blindness{}
	return nil
}

// logged replays the daemon's log up to now, whole or as far as it concerns containers.
func (w *watch) logged(ctx context.Context, since int64, whole bool) (r ring, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	s := span{since: max(since, 1), until: w.daemon.now()}
	if !whole {
		s.filters = filters(w.daemon.podman)
	}
	r.oldest = math.MaxInt64
	answer, err := w.events(ctx, s)
	if err != nil {
		return r, w.describe(err)
	}
	defer answer.close()
	for {
		var m events.Message
		err := answer.next(&m)
		var garbled *garbledError
		switch {
		case errors.Is(err, io.EOF):
			return r, nil
		case errors.As(err, &garbled):
			r.size++
			continue
		case err != nil:
			return r, w.describe(err)
		}
		r.take(&m, w.blind.anchor)
	}
}

func (r *ring) take(m *events.Message, anchor int64) {
	r.size++
	r.oldest, r.newest = min(r.oldest, m.TimeNano), max(r.newest, m.TimeNano)
	r.anchored = r.anchored || m.TimeNano == anchor
	if transition(m) {
		r.marker = max(r.marker, m.TimeNano)
		r.transitions = append(r.transitions, keyOf(m))
	}
}
