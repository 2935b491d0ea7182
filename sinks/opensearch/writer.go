package opensearch

import (
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// writer appends the JSON of one document. Each method writes one member of the open object and leaves
// an empty value out; open and close leave out an object without members. Nothing allocates while b has
// room.
type writer struct{ b []byte }

// begin opens the document.
func (w *writer) begin() { w.b = append(w.b, '{') }

// open starts an object and returns where to cut if it stays empty; close ends it.
func (w *writer) open(name string) (mark int) {
	mark = len(w.b)
	w.name(name)
	w.b = append(w.b, '{')
	return mark
}

func (w *writer) close(mark int) {
	if w.b[len(w.b)-1] == '{' {
		w.b = w.b[:mark]
		return
	}
	w.b = append(w.b, '}')
}

func (w *writer) comma() {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
}

func (w *writer) name(name string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

// quote writes a JSON string; invalid UTF-8 becomes U+FFFD, which is all that its error reports.
func (w *writer) quote(s string) { w.b, _ = jsontext.AppendQuote(w.b, s) }

func (w *writer) text(name, value string) {
	if value != "" {
		w.name(name)
		w.quote(value)
	}
}

// number writes zero, too.
func (w *writer) number(name string, value int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, value, 10)
}

// count leaves zero out.
func (w *writer) count(name string, value int64) {
	if value != 0 {
		w.number(name, value)
	}
}

// seconds leaves zero out, and what JSON has no number for.
func (w *writer) seconds(name string, value float64) {
	if value != 0 && !math.IsNaN(value) && !math.IsInf(value, 0) {
		w.name(name)
		w.b = strconv.AppendFloat(w.b, value, 'f', -1, 64)
	}
}

// flag writes false, too, so that analysts can filter on it.
func (w *writer) flag(name string, value bool) {
	w.name(name)
	w.b = strconv.AppendBool(w.b, value)
}

// when writes RFC 3339 in UTC; a time that a date field can't hold is left out.
func (w *writer) when(name string, t time.Time) {
	if !dateable(t) {
		return
	}
	w.name(name)
	w.b = append(w.b, '"')
	w.b = t.UTC().AppendFormat(w.b, time.RFC3339Nano)
	w.b = append(w.b, '"')
}

func (w *writer) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.name(name)
	w.b = append(w.b, '[')
	for i, value := range values {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.quote(value)
	}
	w.b = append(w.b, ']')
}

// lines writes a list as one text.
func (w *writer) lines(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.name(name)
	w.b = append(w.b, '"')
	for i, value := range values {
		if i > 0 {
			w.b = append(w.b, '\\', 'n')
		}
		at := len(w.b)
		w.quote(value)
		// The quotes around the line go; what is between them stays as it was escaped.
		w.b = append(w.b[:at], w.b[at+1:len(w.b)-1]...)
	}
	w.b = append(w.b, '"')
}

// between writes the time from one moment to another in ms, if both are known and in order.
func (w *writer) between(name string, from, to time.Time) {
	if dateable(from) && dateable(to) && !to.Before(from) {
		w.number(name, to.Sub(from).Milliseconds())
	}
}

// dateable tells whether RFC 3339 can express the time; the zero time means unknown.
func dateable(t time.Time) bool {
	if t.IsZero() {
		return false
	}
	year := t.UTC().Year()
	return 1 <= year && year <= 9999
}
