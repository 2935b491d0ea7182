package silence_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/router/silence"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// matcher is a condition in Go; those of users are of package router.
type matcher func(e *event.Event) (bool, error)

func (m matcher) Match(e *event.Event) (bool, error) { return m(e) }

// compile knows "all", "fails" and the beginnings of workloads' names.
func compile(s string) (silence.Matcher, error) {
	switch s {
	case "wrong":
		return nil, errors.New("unknown name wrong")
	case "fails":
		return matcher(func(*event.Event) (bool, error) { return true, errors.New("index out of range") }), nil
	case "all":
		return matcher(func(e *event.Event) (bool, error) { return e.Type.Kind() == "incident", nil }), nil
	}
	return matcher(func(e *event.Event) (bool, error) { return strings.HasPrefix(e.Data.Workload, s), nil }), nil
}

// spans are the times within which a silence holds, found minute by minute.
func spans(t *testing.T, w silence.Window, from time.Time, long time.Duration) []string {
	t.Helper()
	require.NoError(t, w.Validate())
	s := silence.Silence{Match: "true", Owner: "a", Comment: "b", Weekly: []silence.Window{w}}
	var out []string
	var begun, until time.Time
	for at := from; at.Before(from.Add(long)); at = at.Add(time.Minute) {
		end, holds := s.Holds(at)
		switch {
		case holds && begun.IsZero():
			begun, until = at, end
		case holds:
			assert.Equal(t, until, end, "the end is told the same all the time")
		case !begun.IsZero():
			assert.Equal(t, until, at, "it ends when it was told to")
			out = append(out, begun.UTC().Format("Mon 02 15:04")+" - "+at.UTC().Format("Mon 02 15:04"))
			begun = time.Time{}
		}
	}
	return out
}

// TestWindows: a week of Berlin and others, with clocks set forward (29 March 2026, 02:00 → 03:00) and back
// (25 October 2026, 03:00 → 02:00).
func TestWindows(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * time.Hour
	spring := time.Date(2026, 3, 26, 0, 0, 0, 0, time.UTC)
	autumn := time.Date(2026, 10, 22, 0, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		window silence.Window
		from   time.Time
		want   []string
	}{
		"a night every day, an hour shorter in spring": {
			silence.Window{Days: []string{"fri", "sat", "sun"}, From: "22:00", To: "06:00", Zone: "Europe/Berlin"},
			spring,
			[]string{"Fri 27 21:00 - Sat 28 05:00", "Sat 28 21:00 - Sun 29 04:00", "Sun 29 20:00 - Mon 30 04:00"},
		},
		"and an hour longer in autumn": {
			silence.Window{Days: []string{"fri", "sat", "sun"}, From: "22:00", To: "06:00", Zone: "Europe/Berlin"},
			autumn,
			[]string{"Fri 23 20:00 - Sat 24 04:00", "Sat 24 20:00 - Sun 25 05:00", "Sun 25 21:00 - Mon 26 05:00"},
		},
		"from an hour that is left out":          {silence.Window{Days: []string{"sun"}, From: "02:30", To: "04:00", Zone: "Europe/Berlin"}, spring, []string{"Sun 29 01:00 - Sun 29 02:00"}},
		"to an hour that is left out":            {silence.Window{Days: []string{"sun"}, From: "01:00", To: "02:30", Zone: "Europe/Berlin"}, spring, []string{"Sun 29 00:00 - Sun 29 01:00"}},
		"within an hour that is left out":        {silence.Window{Days: []string{"sun"}, From: "02:15", To: "02:45", Zone: "Europe/Berlin"}, spring, nil},
		"within an hour that comes twice":        {silence.Window{Days: []string{"sun"}, From: "02:15", To: "02:45", Zone: "Europe/Berlin"}, autumn, []string{"Sun 25 00:15 - Sun 25 01:45"}},
		"up to an hour that comes twice":         {silence.Window{Days: []string{"sun"}, From: "01:00", To: "02:30", Zone: "Europe/Berlin"}, autumn, []string{"Sat 24 23:00 - Sun 25 01:30"}},
		"a whole day of 25 hours":                {silence.Window{Days: []string{"sun"}, From: "00:00", To: "24:00", Zone: "Europe/Berlin"}, autumn, []string{"Sat 24 22:00 - Sun 25 23:00"}},
		"half an hour is set in Lord Howe":       {silence.Window{Days: []string{"sun"}, From: "01:00", To: "03:00", Zone: "Australia/Lord_Howe"}, time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC), []string{"Sat 04 14:00 - Sat 04 16:30"}},
		"the day is that of the place, not ours": {silence.Window{Days: []string{"mon"}, From: "00:00", To: "01:00", Zone: "Pacific/Auckland"}, autumn, []string{"Sun 25 11:00 - Sun 25 12:00"}},
		"no zone is UTC":                         {silence.Window{Days: []string{"Mon"}, From: "09:00", To: "10:00"}, autumn, []string{"Mon 26 09:00 - Mon 26 10:00"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, spans(t, tt.window, tt.from, week))
		})
	}
	every := spans(t, silence.Window{From: "12:00", To: "12:30", Zone: "America/New_York"}, autumn, week)
	assert.Len(t, every, 7)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	s := silence.Silence{Weekly: []silence.Window{{Days: []string{"caturday"}, From: "25:00", To: "7", Zone: "Mars/Phobos"}}}
	err := s.Validate()
	for _, want := range []string{
		"match: is missing", "comment: is missing", "owner: is missing", `weekly[0].days[0]: "caturday" is not a day`,
		`weekly[0].from: "25:00"`, `weekly[0].to: "7"`, `weekly[0].zone: "Mars/Phobos" is not a zone`,
	} {
		assert.ErrorContains(t, err, want)
	}
	endless := silence.Silence{Match: "true", Owner: "a", Comment: "b"}
	require.ErrorContains(t, endless.Validate(), "a silence needs an end")
	endless.Starts, endless.Until = now, now.Add(-time.Hour)
	require.ErrorContains(t, endless.Validate(), "not after its start")
	endless.Until = now.Add(400 * 24 * time.Hour)
	require.ErrorContains(t, endless.Validate(), "more than a year")

	for _, text := range []string{"", "soon", "-2h", "0s", "2020-01-01T00:00:00Z", "-1d", "500d", "99999999999999d"} {
		_, err := silence.ParseUntil(text, now)
		require.Error(t, err, text)
	}
	for text, want := range map[string]time.Time{
		"2h": now.Add(2 * time.Hour), "3d": now.Add(72 * time.Hour), "2026-11-26T08:00:00+01:00": time.Date(2026, 11, 26, 7, 0, 0, 0, time.UTC),
	} {
		got, err := silence.ParseUntil(text, now)
		require.NoError(t, err)
		assert.True(t, want.Equal(got), "%s is %s", text, got)
	}
	w, err := silence.ParseWindow("Sat,sun 22:00-06:00 Europe/Berlin")
	require.NoError(t, err)
	assert.Equal(t, silence.Window{Days: []string{"sat", "sun"}, From: "22:00", To: "06:00", Zone: "Europe/Berlin"}, w)
	_, err = silence.ParseWindow("whenever")
	require.ErrorContains(t, err, "is not a window such as")
}

func about(workload string) *event.Event {
	return &event.Event{Type: event.IncidentOpened, Severity: event.Error, Data: event.Data{Workload: workload, Incident: &event.Incident{ID: "i"}}}
}

func TestSet(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	set, err := silence.NewSet([]silence.Silence{
		{ID: "short", Match: "web", Owner: "a", Comment: "b", Until: now.Add(time.Hour)},
		{ID: "long", Match: "w", Owner: "a", Comment: "b", Until: now.Add(2 * time.Hour)},
		{ID: "later", Match: "all", Owner: "a", Comment: "b", Starts: now.Add(time.Hour), Until: now.Add(9 * time.Hour)},
		{ID: "fails", Match: "fails", Owner: "a", Comment: "b", Until: now.Add(99 * time.Hour)},
		{ID: "wrong", Match: "wrong", Owner: "a", Comment: "b", Until: now.Add(time.Hour)},
		{ID: "endless", Match: "all", Owner: "a", Comment: "b"},
	}, compile)
	require.ErrorContains(t, err, "silence wrong: unknown name wrong")
	require.ErrorContains(t, err, "silence endless: until: is missing")
	id, until := set.Holding(about("web"), now)
	assert.Equal(t, "long", id, "the one that holds longest")
	assert.Equal(t, now.Add(2*time.Hour), until)
	id, _ = set.Holding(about("pay"), now)
	assert.Empty(t, id)
	id, _ = set.Holding(about("pay"), now.Add(time.Hour))
	assert.Equal(t, "later", id)
	assert.Equal(t, "short", set.All()[0].ID)
}

func TestMatchesAll(t *testing.T) {
	t.Parallel()
	for when, want := range map[string]bool{"all": true, "": true, "web": false, "fails": false} {
		m, err := compile(when)
		require.NoError(t, err)
		assert.Equal(t, want, silence.MatchesAll(m), when)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("sat,sun 22:00-06:00 Europe/Berlin", "2h")
	f.Add("24:00-00:00", "2026-11-26T08:00:00Z")
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, window, until string) {
		if w, err := silence.ParseWindow(window); err == nil {
			s := silence.Silence{Match: "true", Owner: "a", Comment: "b", Weekly: []silence.Window{w}}
			if end, holds := s.Holds(now); holds && (!end.After(now) || end.Sub(now) > 50*time.Hour) {
				t.Fatalf("%q holds at %s until %s", window, now, end)
			}
		}
		if end, err := silence.ParseUntil(until, now); err == nil && !end.After(now) {
			t.Fatalf("%q is %s", until, end)
		}
	})
}
