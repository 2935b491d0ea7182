package event

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// What stays of the parts that are cut.
const (
	truncatedRoom = 256 // what is cut beyond the need, for Data.Truncated itself
	keptText      = 512
	keptEvidence  = 8
	firstLimit    = 1024
	lastLimit     = 32 // an id stays whole
)

// fit returns a copy of an event that is too large, cut to MaxSize. It cuts what is worth least first
// and stops as soon as the event fits: log lines (oldest first), labels (largest first), the native
// record, the output of health probes, the evidence; at last every long string and list there is. What
// was cut is named in Data.Truncated.
func fit(e *Event) Event {
	c := *e
	c.Data = cloneData(&e.Data)
	d := &c.Data
	for _, part := range [...]struct {
		name string
		cut  func(d *Data, excess int) bool
	}{
		{"task.log", cutLog},
		{"labels", cutLabels},
		{"native.record", cutRecord},
		{"task.containers.health_output", cutProbes},
		{"cause.evidence", cutEvidence},
	} {
		excess := excessOf(&c)
		if excess <= 0 {
			return c
		}
		if part.cut(d, excess+truncatedRoom) {
			d.mark(part.name)
		}
	}
	for limit := firstLimit; limit >= lastLimit && excessOf(&c) > 0; limit /= 2 {
		clip(reflect.ValueOf(d).Elem(), limit)
		d.mark("data")
	}
	return c
}

// cloneData copies the data by way of its own encoding, which can't fail to be read.
func cloneData(d *Data) Data {
	var w writer
	w.data(d)
	var c Data
	_ = json.Unmarshal(w.b, &c)
	return c
}

func excessOf(e *Event) int { return len(appendEvent(nil, e)) - MaxSize }

func (d *Data) mark(part string) {
	if !slices.Contains(d.Truncated, part) {
		d.Truncated = append(d.Truncated, part)
	}
}

// quotedSize is what a string takes in the encoding, comma included.
func quotedSize(s string) int {
	quoted, _ := jsontext.AppendQuote(nil, s)
	return len(quoted) + 1
}

func cutLog(d *Data, excess int) bool {
	if d.Task == nil || d.Task.Log == nil || len(d.Task.Log.Lines) == 0 {
		return false
	}
	log := d.Task.Log
	log.Cut = true
	for excess > 0 && len(log.Lines) > 1 {
		excess -= quotedSize(log.Lines[0])
		log.Lines = log.Lines[1:]
	}
	if excess > 0 {
		log.Lines[0] = clipText(log.Lines[0], firstLimit)
	}
	return true
}

func cutLabels(d *Data, excess int) bool {
	size := func(name string) int { return quotedSize(name) + quotedSize(d.Labels[name]) }
	names := slices.SortedFunc(maps.Keys(d.Labels), func(a, b string) int {
		return cmp.Or(cmp.Compare(size(b), size(a)), cmp.Compare(a, b))
	})
	for _, name := range names {
		if excess <= 0 {
			break
		}
		excess -= size(name)
		delete(d.Labels, name)
	}
	return len(names) > 0
}

func cutRecord(d *Data, _ int) bool {
	if d.Native == nil || d.Native.Record == "" {
		return false
	}
	d.Native.Record = ""
	return true
}

func cutProbes(d *Data, _ int) bool {
	if d.Task == nil {
		return false
	}
	cut := false
	for i := range d.Task.Containers {
		output := &d.Task.Containers[i].HealthOutput
		cut = cut || len(*output) > keptText
		*output = clipText(*output, keptText)
		log := d.Task.Containers[i].HealthLog
		for j := range log {
			cut = cut || len(log[j]) > keptText
			log[j] = clipText(log[j], keptText)
		}
	}
	return cut
}

func cutEvidence(d *Data, _ int) bool {
	if d.Cause == nil || len(d.Cause.Evidence) == 0 {
		return false
	}
	d.Cause.Evidence = d.Cause.Evidence[:min(len(d.Cause.Evidence), keptEvidence)]
	for i, line := range d.Cause.Evidence {
		d.Cause.Evidence[i] = clipText(line, keptText)
	}
	return true
}

// clip shortens, in place, every string below v to limit bytes and every list and map to an eighth as
// many elements.
func clip(v reflect.Value, limit int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(clipText(v.String(), limit))
	case reflect.Pointer:
		if !v.IsNil() {
			clip(v.Elem(), limit)
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			if field.CanSet() {
				clip(field, limit)
			}
		}
	case reflect.Slice:
		v.SetLen(min(v.Len(), limit/8))
		for i := range v.Len() {
			clip(v.Index(i), limit)
		}
	case reflect.Map:
		if labels, ok := v.Interface().(map[string]string); ok {
			clipMap(labels, limit)
		}
	}
}

func clipMap(m map[string]string, limit int) {
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i >= limit/8 || len(name) > limit {
			delete(m, name)
			continue
		}
		m[name] = clipText(m[name], limit)
	}
}

// clipText keeps at most limit bytes, the ellipsis included, and no part of a character.
func clipText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const ellipsis = "…"
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
