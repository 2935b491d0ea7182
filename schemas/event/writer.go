package event

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// writer appends JSON. Each method writes one member of the open object, comma included; an opt method
// leaves an empty value out. It is a value on the stack: no method allocates while b has room.
type writer struct{ b []byte }

func (w *writer) openObject()  { w.b = append(w.b, '{') }
func (w *writer) closeObject() { w.b = append(w.b, '}') }

// closeUnlessEmpty takes back all since before when the object got no member.
func (w *writer) closeUnlessEmpty(before int) {
	if w.b[len(w.b)-1] == '{' {
		w.b = w.b[:before]
		return
	}
	w.closeObject()
}

func (w *writer) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

// quote writes a JSON string; invalid UTF-8 becomes U+FFFD, which is all that its error reports.
func (w *writer) quote(s string) { w.b, _ = jsontext.AppendQuote(w.b, s) }

func (w *writer) text(name, value string) {
	w.name(name)
	w.quote(value)
}

func (w *writer) optText(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *writer) number(name string, value int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, value, 10)
}

func (w *writer) optNumber(name string, value int64) {
	if value != 0 {
		w.number(name, value)
	}
}

// optFloat writes a finite number as encoding/json does; the others can't be written.
func (w *writer) optFloat(name string, value float64) {
	if value != 0 && !math.IsNaN(value) && !math.IsInf(value, 0) {
		w.name(name)
		w.b = append(w.b, jsontext.Float(value).String()...)
	}
}

func (w *writer) flag(name string, value bool) {
	w.name(name)
	w.b = strconv.AppendBool(w.b, value)
}

func (w *writer) optFlag(name string, value bool) {
	if value {
		w.flag(name, value)
	}
}

// when writes RFC 3339 in UTC with up to nanoseconds; a time that can't be written counts as unknown.
func (w *writer) when(name string, t time.Time) {
	if !writable(t) {
		return
	}
	w.name(name)
	w.b = append(w.b, '"')
	w.b = t.UTC().AppendFormat(w.b, time.RFC3339Nano)
	w.b = append(w.b, '"')
}

func (w *writer) optList(name string, values []string) {
	if values == nil {
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

// optMap writes the members sorted by name.
func (w *writer) optMap(name string, values map[string]string) {
	if values == nil {
		return
	}
	var room [32]string
	keys := room[:0]
	valid := true
	for key := range values {
		keys = append(keys, key)
		valid = valid && utf8.ValidString(key)
	}
	slices.Sort(keys)
	if !valid {
		w.optMap(name, validKeys(keys, values))
		return
	}
	w.name(name)
	w.openObject()
	for _, key := range keys {
		if w.b[len(w.b)-1] != '{' {
			w.b = append(w.b, ',')
		}
		w.quote(key)
		w.b = append(w.b, ':')
		w.quote(values[key])
	}
	w.closeObject()
}

// validKeys makes the names valid UTF-8; of names that become the same one, the first in order stays.
func validKeys(sorted []string, values map[string]string) map[string]string {
	out := make(map[string]string, len(values))
	for _, key := range sorted {
		valid := toValid(key)
		if _, taken := out[valid]; !taken {
			out[valid] = values[key]
		}
	}
	return out
}

// toValid replaces each invalid byte.
func toValid(s string) string { return strings.Map(func(r rune) rune { return r }, s) }

func (w *writer) attribute(name, value string) {
	w.name(name)
	w.quote(cleanAttribute(value))
}

func (w *writer) optAttribute(name, value string) {
	if value != "" {
		w.attribute(name, value)
	}
}

// cleanAttribute replaces what CloudEvents forbids in an attribute: control characters, noncharacters
// and invalid UTF-8.
func cleanAttribute(s string) string {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			return strings.Map(func(r rune) rune {
				if r < 0x20 || 0x7f <= r && r < 0xa0 || 0xfdd0 <= r && r <= 0xfdef || r&0xfffe == 0xfffe {
					return utf8.RuneError
				}
				return r
			}, s)
		}
	}
	return s
}

// schema writes the URI of the type's JSON Schema; a type that is not of this contract has none.
func (w *writer) schema(t Type) {
	info, ok := Lookup(t)
	if !ok {
		return
	}
	w.name("dataschema")
	w.b = append(w.b, '"')
	w.b = info.appendSchema(w.b)
	w.b = append(w.b, '"')
}
