package docker

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock is what time the daemon has. Its clock may be set while it is watched, and so may ours.
type clock struct {
	skew  atomic.Int64 // of the daemon's clock against ours, ns
	heard atomic.Int64 // the same as its answers' dates have it, which know no fractions of a second
}

// now is the daemon's time in ns.
func (c *clock) now() int64 { return time.Now().UnixNano() + c.skew.Load() }

// theirs is the daemon's time of a moment of ours.
func (c *clock) theirs(t time.Time) int64 { return t.UnixNano() + c.skew.Load() }

// ours is our time of a moment of the daemon's.
func (c *clock) ours(ns int64) time.Time { return utc(ns - c.skew.Load()) }

// set takes what time the daemon said between asking and answering it. The time of the answer's way is no
// other clock.
func (c *clock) set(said, asked, answered time.Time) {
	least, most := said.Sub(answered), said.Sub(asked)
	skew := (least + most) / 2
	if least <= 0 && most >= 0 {
		skew = 0
	}
	c.skew.Store(int64(skew))
	c.heard.Store(int64(skew))
}

// hear takes the date of an answer.
func (c *clock) hear(r *http.Response) {
	if t, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		c.heard.Store(int64(time.Until(t.Add(time.Second / 2))))
	}
}

// stepped reports whether the answers tell another time than is believed.
func (c *clock) stepped() bool {
	const enough = 2 * time.Second
	return time.Duration(c.heard.Load()-c.skew.Load()).Abs() > enough
}
