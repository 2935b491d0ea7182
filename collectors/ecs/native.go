package ecs

import (
	"bytes"
	"cmp"
	"encoding/json"

	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// passNative makes an event of any record: whole, without secrets, and under the names that its source gave it.
// why says what kept it from becoming more; empty if there is nothing more.
func passNative(r *record, o origin, why string) fact {
	e := r.event(o, event.NativePassed, place{"", r.Source, r.DetailType, cmp.Or(lastPart(firstOf(r.Resources)), r.ID)})
	e.Data.Native.Record = safeRecord(r)
	e.ID = event.NewID("native", r.Source, r.DetailType, cmp.Or(r.ID, e.Data.Native.Record))
	e.Severity = event.Info
	e.Data.Message = r.Source + ": " + r.DetailType + because(summary(r.Detail))
	if why != "" {
		e.Data.Message += "; passed as it is, because " + why
	}
	return fact{event: e}
}

// summaries are the names under which AWS's services write what happened for people.
var summaries = [...]string{"eventTypeCode", "Description", "description", "message", "Message", "reason", "StatusMessage", "state-reason", "Cause"}

const maxSummary = 200

// summary is what a detail says for people, if it says that in a place of its own.
func summary(detail json.RawMessage) string {
	var d map[string]json.RawMessage
	if json.Unmarshal(detail, &d) != nil {
		return ""
	}
	for _, name := range summaries {
		var text string
		if json.Unmarshal(d[name], &text) == nil && text != "" {
			return cutText(redact.Text(maskLists(text)), maxSummary)
		}
	}
	return ""
}

// safeRecord is the record as JSON without what must not leave: environment and command of overrides, and
// secrets. It is empty if the record is no JSON.
func safeRecord(r *record) string {
	raw := []byte(r.Raw)
	if len(raw) == 0 {
		raw, _ = json.Marshal(map[string]any{
			"id": r.ID, "detail-type": r.DetailType, "source": r.Source, "account": r.Account, "region": r.Region,
			"time": r.Time, "resources": r.Resources, "detail": r.Detail,
		})
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // numbers stay as they are written
	var whole any
	if d.Decode(&whole) != nil {
		return ""
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(masked("", whole)) != nil {
		return ""
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

// masked returns a value of JSON without what must not leave. name is what it is called.
func masked(name string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		if neverLeaves(name) && len(v) > 0 {
			return redact.Mask
		}
		// What is written as a pair of name and value is one thing.
		if label, ok := pairName(v); ok {
			for _, key := range [...]string{"value", "Value"} {
				if text, is := v[key].(string); is {
					v[key] = redact.Value(label, text)
				}
			}
		}
		out := make(map[string]any, len(v))
		for key, member := range v {
			out[redact.Text(key)] = masked(key, member)
		}
		return out
	case []any:
		if neverLeaves(name) && len(v) > 0 {
			return []any{redact.Mask}
		}
		for i := range v {
			v[i] = masked(name, v[i])
		}
		return v
	case string:
		if neverLeaves(name) && v != "" {
			return redact.Mask
		}
		return redact.Value(name, maskLists(v)) // a task may be in it as JSON
	}
	return value
}

func pairName(v map[string]any) (string, bool) {
	for _, key := range [...]string{"name", "Name", "key", "Key"} {
		if label, ok := v[key].(string); ok {
			return label, true
		}
	}
	return "", false
}

func neverLeaves(name string) bool {
	for _, hidden := range hiddenLists {
		if name == hidden {
			return true
		}
	}
	return false
}
