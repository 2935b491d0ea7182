package restart

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Two handlers read one record; the second to save finds what the first has made of it.
func TestWhatOthersHaveWrittenIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		first, second func(r *record)
		raced         bool
	}{
		"two attempts":             {func(r *record) { r.of("a").Says = "first" }, func(r *record) { r.of("b").Says = "second" }, false},
		"the same attempt":         {func(r *record) { r.of("a").Says = "first" }, func(r *record) { r.of("a").Says = "second" }, true},
		"a claim":                  {func(r *record) { r.of("a").Says = "first" }, func(r *record) { r.Attempts = append(r.Attempts, Attempt{Trigger: "c"}) }, true},
		"a claim before":           {func(r *record) { r.Attempts = append(r.Attempts, Attempt{Trigger: "c"}) }, func(r *record) { r.of("b").Says = "second" }, false},
		"nothing but giving up":    {func(r *record) { r.of("a").Says = "first" }, func(r *record) { r.GaveUp = &gaveUp{Trigger: "b"} }, true},
		"giving up with its end":   {func(r *record) { r.of("a").Says = "first" }, func(r *record) { r.of("b").Says, r.GaveUp = "second", &gaveUp{Trigger: "b"} }, false},
		"an attempt that has left": {func(r *record) { r.Attempts = r.Attempts[:1] }, func(r *record) { r.of("b").Says = "second" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				h, e, now := w.handler(t), event.Event{}, time.Now()
				start, err := h.load(t.Context(), &e)
				require.NoError(t, err)
				start.Attempts = []Attempt{{Trigger: "a", Phase: acting, Tried: now}, {Trigger: "b", Phase: acting, Tried: now}}
				require.NoError(t, h.save(t.Context(), start, now))
				first, err := h.load(t.Context(), &e)
				require.NoError(t, err)
				second, err := h.load(t.Context(), &e)
				require.NoError(t, err)
				require.True(t, second.holds("b", first))
				c.first(first)
				require.NoError(t, h.save(t.Context(), first, now))
				c.second(second)
				err = h.save(t.Context(), second, now)
				if c.raced {
					require.ErrorIs(t, err, errRaced)
					return
				}
				require.NoError(t, err)
				got, err := h.load(t.Context(), &e)
				require.NoError(t, err)
				require.Equal(t, "second", got.of("b").Says)
				require.Equal(t, len(first.Attempts), len(got.Attempts))
				require.Equal(t, first.of("a").Says, got.of("a").Says)
				require.Equal(t, second.GaveUp, got.GaveUp)
			})
		})
	}
}
