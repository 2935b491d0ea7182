package docker

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c clock
		answer := func(ahead time.Duration) *http.Response {
			return &http.Response{Header: http.Header{"Date": {time.Now().Add(ahead).UTC().Format(http.TimeFormat)}}}
		}
		ask := func(ahead, there, back time.Duration) {
			asked := time.Now()
			<-time.After(there)
			said := time.Now().Add(ahead)
			<-time.After(back)
			c.set(said, asked, time.Now())
		}
		ask(0, 3*time.Second, 4*time.Second)
		assert.Zero(t, c.skew.Load(), "the way of an answer is no other clock")
		ask(time.Hour, time.Millisecond, time.Millisecond)
		assert.Equal(t, int64(time.Hour), c.skew.Load())
		ask(-time.Hour, 3*time.Second, time.Second)
		assert.InDelta(t, -time.Hour, time.Duration(c.skew.Load()), float64(2*time.Second))
		assert.InDelta(t, time.Now().Add(-time.Hour).UnixNano(), c.now(), float64(2*time.Second))
		assert.Equal(t, time.Now().UTC(), c.ours(c.theirs(time.Now())))

		ask(0, time.Millisecond, time.Millisecond)
		c.hear(answer(0))
		assert.False(t, c.stepped())
		c.hear(&http.Response{Header: http.Header{"Date": {"tomorrow"}}})
		assert.False(t, c.stepped())
		c.hear(answer(-time.Minute))
		assert.True(t, c.stepped())
		ask(-time.Minute, time.Millisecond, time.Millisecond)
		assert.False(t, c.stepped())
	})
}
