package event

import (
	"fmt"
	"time"
)

// ContentType is the media type of an encoded event.
const ContentType = "application/cloudevents+json"

const (
	specVersion = "1.0"
	dataType    = "application/json"
	schemaRoot  = "https://bellbuoy.io/schemas/"
	// maxAttribute bounds one context attribute in bytes, so that the envelope always leaves room for
	// data. SourceOf and SubjectOf stay far below it.
	maxAttribute = 1 << 10
)

// Append appends the event in structured JSON to b and returns the extended buffer. The same event
// always gives the same bytes. It allocates nothing while b has room and there are at most 32 labels.
//
// An event above MaxSize is cut on the way, see Data.Truncated; e itself is not changed. Control
// characters and invalid UTF-8 in attributes become U+FFFD. The error wraps ErrInvalid: id, source,
// type or time is missing, or an attribute is longer than 1 KiB; b is then returned as it was.
func Append(b []byte, e *Event) ([]byte, error) {
	if err := checkAttributes(e); err != nil {
		return b, err
	}
	out := appendEvent(b, e)
	if len(out)-len(b) > MaxSize {
		cut := fit(e)
		out = appendEvent(b, &cut)
	}
	return out, nil
}

func appendEvent(b []byte, e *Event) []byte {
	w := writer{b: b}
	w.openObject()
	w.attribute("id", e.ID)
	w.attribute("source", e.Source)
	w.attribute("type", string(e.Type))
	w.attribute("specversion", specVersion)
	w.optAttribute("subject", e.Subject)
	w.when("time", e.Time)
	w.when("recordedtime", e.Recorded)
	w.optAttribute("partitionkey", e.PartitionKey)
	w.optAttribute("sequence", e.Sequence)
	if e.Severity != 0 {
		w.number("severitynumber", int64(e.Severity))
		w.attribute("severitytext", e.Severity.String())
	}
	w.optAttribute("causationid", e.CausationID)
	w.optAttribute("traceparent", e.TraceParent)
	w.attribute("datacontenttype", dataType)
	w.schema(e.Type)
	w.name("data")
	w.data(&e.Data)
	w.closeObject()
	return w.b
}

// checkAttributes refuses what can't be a CloudEvent at all.
func checkAttributes(e *Event) error {
	for _, a := range [...]struct {
		name, value string
		required    bool
	}{
		{"id", e.ID, true},
		{"source", e.Source, true},
		{"type", string(e.Type), true},
		{"subject", e.Subject, false},
		{"partitionkey", e.PartitionKey, false},
		{"sequence", e.Sequence, false},
		{"causationid", e.CausationID, false},
		{"traceparent", e.TraceParent, false},
	} {
		if a.required && a.value == "" {
			return fmt.Errorf("%w: %s is missing", ErrInvalid, a.name)
		}
		if size := len(cleanAttribute(a.value)); size > maxAttribute {
			return fmt.Errorf("%w: %s is %d bytes long, at most %d are allowed", ErrInvalid, a.name, size, maxAttribute)
		}
	}
	if !writable(e.Time) {
		return fmt.Errorf("%w: time is missing or outside the years 1 to 9999", ErrInvalid)
	}
	return nil
}

// writable tells whether RFC 3339 can express the time; the zero time means unknown.
func writable(t time.Time) bool {
	if t.IsZero() {
		return false
	}
	year := t.UTC().Year()
	return 1 <= year && year <= 9999
}
