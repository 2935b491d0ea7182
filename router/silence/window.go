package silence

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones must be known where the system has none

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// Window is a time of the week by the clock on a wall. From is 22:00, To 06:00 is the next day's if it is not later,
// and 24:00 is midnight. Where clocks are set back within it, the window is as much longer: it lasts from the first
// time that clocks show From to the last time that they show To. An hour that clocks leave out is left out.
type Window struct {
	// Days are mon to sun, of the day when it begins; none is every day.
	Days []string `json:"days,omitempty" yaml:"days"`
	From string   `json:"from" yaml:"from"`
	To   string   `json:"to" yaml:"to"`
	// Zone is an IANA name, such as Europe/Berlin; empty is UTC.
	Zone string `json:"zone,omitempty" yaml:"zone"`
}

// Validate returns all faults.
func (w *Window) Validate() error {
	var faults []error
	for i, day := range w.Days {
		if !slices.Contains(dayNames(), strings.ToLower(day)) {
			faults = append(faults, fault.At(fmt.Sprintf("days[%d]", i), "%q is not a day; write mon, tue, wed, thu, fri, sat or sun", day))
		}
	}
	from, err := minutes(w.From)
	if err != nil || from == 24*60 {
		faults = append(faults, fault.At("from", "%q is not a time of day; write 00:00 to 23:59", w.From))
	}
	to, err := minutes(w.To)
	if err != nil {
		faults = append(faults, fault.At("to", "%q is not a time of day; write 00:00 to 24:00", w.To))
	}
	if err == nil && from == to {
		faults = append(faults, fault.At("to", "is the same as from; for a whole day write 00:00 to 24:00"))
	}
	if _, err := w.location(); err != nil {
		faults = append(faults, fault.At("zone", "%q is not a zone of the IANA database; write one such as Europe/Berlin or UTC", w.Zone))
	}
	return errors.Join(faults...)
}

func dayNames() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

func (w *Window) location() (*time.Location, error) {
	if w.Zone == "Local" { // that of whoever runs it, which differs by host
		return nil, errors.New("that of the host is no zone")
	}
	return time.LoadLocation(w.Zone)
}

// minutes reads 06:30 as the minutes since midnight.
func minutes(s string) (int, error) {
	h, m, found := strings.Cut(s, ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !found || err1 != nil || err2 != nil || len(h) != 2 || len(m) != 2 || hour < 0 || minute < 0 || minute > 59 || hour*60+minute > 24*60 {
		return 0, fmt.Errorf("%q is not a time of day", s)
	}
	return hour*60 + minute, nil
}

// around returns the window's occurrence that holds at the time, if one does.
func (w *Window) around(now time.Time) (start, end time.Time, in bool) {
	loc, err := w.location()
	if err != nil {
		return start, end, false
	}
	from, err1 := minutes(w.From)
	to, err2 := minutes(w.To)
	if err1 != nil || err2 != nil {
		return start, end, false
	}
	if to <= from {
		to += 24 * 60
	}
	today := now.In(loc)
	for back := 2; back >= -1; back-- {
		day := time.Date(today.Year(), today.Month(), today.Day()-back, 0, 0, 0, 0, time.UTC)
		if !w.begins(day.Weekday()) {
			continue
		}
		start, end = shown(day, from, loc, false), shown(day, to, loc, true)
		if !now.Before(start) && now.Before(end) {
			return start, end, true
		}
	}
	return time.Time{}, time.Time{}, false
}

func (w *Window) begins(day time.Weekday) bool {
	return len(w.Days) == 0 || slices.ContainsFunc(w.Days, func(d string) bool { return strings.ToLower(d) == dayNames()[day] })
}

// shown returns when clocks in a place show a time of a day, given in minutes since its midnight: the first or the
// last time, or the moment at which they leave it out.
func shown(day time.Time, minute int, loc *time.Location, last bool) time.Time {
	wall := day.Add(time.Duration(minute) * time.Minute) // as if the place were at UTC
	_, before := wall.Add(-26 * time.Hour).In(loc).Zone()
	_, after := wall.Add(26 * time.Hour).In(loc).Zone()
	var fits []time.Time
	for _, offset := range []int{before, after} {
		t := wall.Add(-time.Duration(offset) * time.Second)
		if _, there := t.In(loc).Zone(); there == offset {
			fits = append(fits, t)
		}
	}
	if len(fits) == 0 {
		jump, _ := wall.Add(-time.Duration(before) * time.Second).In(loc).ZoneBounds()
		return jump.UTC()
	}
	slices.SortFunc(fits, time.Time.Compare)
	if last {
		return fits[len(fits)-1]
	}
	return fits[0]
}

// ParseWindow reads a window as it is typed: "sat,sun 22:00-06:00 Europe/Berlin"; days and zone may be left out.
func ParseWindow(s string) (Window, error) {
	var w Window
	for _, word := range strings.Fields(s) {
		from, to, isTimes := strings.Cut(word, "-")
		switch {
		case isTimes && strings.Contains(from, ":"):
			w.From, w.To = from, to
		case w.From == "":
			w.Days = strings.Split(strings.ToLower(word), ",")
		default:
			w.Zone = word
		}
	}
	if err := w.Validate(); err != nil {
		return w, fmt.Errorf("%q is not a window such as \"sat,sun 22:00-06:00 Europe/Berlin\": %w", s, err)
	}
	return w, nil
}

// ParseUntil reads an end as it is typed: a duration from now such as 2h or 3d, or a time such as
// 2026-12-01T08:00:00Z. It must lie ahead.
func ParseUntil(s string, now time.Time) (time.Time, error) {
	const example = "write a duration such as 2h or 3d, or a time such as 2026-12-01T08:00:00Z"
	until, err := time.Parse(time.RFC3339, s)
	if err != nil {
		days, isDays := strings.CutSuffix(s, "d")
		n, errDays := strconv.Atoi(days)
		d, errDuration := time.ParseDuration(s)
		switch {
		case isDays && errDays == nil:
			until = now.Add(time.Duration(min(max(n, -1), 100_000)) * 24 * time.Hour)
		case errDuration == nil:
			until = now.Add(d)
		default:
			return time.Time{}, fmt.Errorf("%q is no end of a silence; %s", s, example)
		}
	}
	switch {
	case !until.After(now):
		return time.Time{}, fmt.Errorf("%q is not ahead: it is %s now; %s", s, now.UTC().Format(time.RFC3339), example)
	case until.Sub(now) > Longest:
		return time.Time{}, fmt.Errorf("%q is more than a year ahead; leave such events out by the condition of a route", s)
	}
	return until.UTC(), nil
}
