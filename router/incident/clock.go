package incident

import "time"

// clock turns times of the wall and of the stream into those of the machine, which pass as those of the wall do
// but do not jump with it.
type clock struct {
	skew time.Duration // what the wall has jumped by
	last time.Time     // with its monotonic part
}

// jump is a difference that no scheduler makes.
const jump = 5 * time.Second

// jumped compares how far the wall and the monotonic clock went since the last call, and returns by how much
// the wall has jumped, or 0.
func (c *clock) jumped(now time.Time) time.Duration {
	last := c.last
	c.last = now
	if last.IsZero() {
		return 0
	}
	by := now.Round(0).Sub(last.Round(0)) - now.Sub(last)
	if by.Abs() < jump {
		return 0
	}
	c.skew += by
	return by
}

// now is the machine's time at the wall's.
func (c *clock) now(wall time.Time) time.Time { return wall.Round(0).Add(-c.skew) }

// at is the machine's time of what the stream stored then: never later than now.
func (c *clock) at(stored, wall time.Time) time.Time {
	return earliest(stored.Add(-c.skew), c.now(wall))
}
