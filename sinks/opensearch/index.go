package opensearch

import (
	"strconv"
	"time"
)

// The weeks that events can be in; an absurd time goes to the first or last of them.
const (
	firstYear = 2013 // Docker's first release
	lastYear  = 2099
)

// appendIndex appends <prefix>-events-<ISO year>.<ISO week>. It depends on the event's own time alone,
// so that a redelivery always meets its first copy.
func appendIndex(b []byte, prefix string, t time.Time) []byte {
	year, week := t.UTC().ISOWeek()
	switch {
	case year < firstYear:
		year, week = firstYear, 1
	case year > lastYear:
		year, week = lastYear, 52
	}
	b = append(b, prefix...)
	b = append(b, "-events-"...)
	b = strconv.AppendInt(b, int64(year), 10)
	b = append(b, '.', '0'+byte(week/10), '0'+byte(week%10))
	return b
}
