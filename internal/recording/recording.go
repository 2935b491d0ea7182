// Package recording splits a recording of a runtime's records.
//
// It stands where recorded records come in, for explain and for tests, before the collector that
// translates them. Nothing is lost: what can't be read is returned with its error, which never repeats
// the text, and the rest is still read.
package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Record is one JSON value of a recording.
type Record struct {
	Line int // where it begins, from 1
	Text []byte
	Err  error // why it can't be read; Text is then the line as it is
}

// Split splits a recording: objects one after the other, an array, or one object a line, perhaps behind what
// a log puts before it. What is no JSON is returned with its error, and the rest is still read.
func Split(text []byte) []Record {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	trimmed := bytes.TrimSpace(text)
	lead := 1 + bytes.Count(text[:bytes.Index(text, trimmed)], []byte("\n"))
	switch {
	case len(trimmed) == 0:
		return nil
	case trimmed[0] == '[':
		return elements(trimmed, lead)
	case trimmed[0] == '{':
		if all, ok := sequence(trimmed, lead); ok {
			return all
		}
	}
	var all []Record
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = behindStamp(bytes.TrimSpace(line))
		if len(line) > 0 {
			all = append(all, Record{Line: i + 1, Text: line, Err: checkObject(line)})
		}
	}
	return all
}

// sequence reads objects with or without anything blank between them; false if there is anything else.
func sequence(text []byte, line int) ([]Record, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	var all []Record
	for end := 0; ; {
		var raw json.RawMessage
		switch err := d.Decode(&raw); {
		case errors.Is(err, io.EOF):
			return all, true
		case err != nil || raw[0] != '{':
			return nil, false
		}
		begin := int(d.InputOffset()) - len(raw)
		line += bytes.Count(text[end:begin], []byte("\n"))
		all = append(all, Record{Line: line, Text: raw})
		line, end = line+bytes.Count(raw, []byte("\n")), begin+len(raw)
	}
}

// behindStamp returns the object that a line ends with, if there is one behind a time, a host and the like.
func behindStamp(line []byte) []byte {
	at := bytes.IndexByte(line, '{')
	if at > 0 && (line[at-1] == ' ' || line[at-1] == '\t') && json.Valid(line[at:]) {
		return line[at:]
	}
	return line
}

func elements(text []byte, lead int) []Record {
	d := json.NewDecoder(bytes.NewReader(text))
	var all []Record
	_, err := d.Token()
	for err == nil && d.More() {
		begin := int(d.InputOffset())
		for begin < len(text) && (text[begin] == ',' || text[begin] <= ' ') {
			begin++
		}
		line := lead + bytes.Count(text[:begin], []byte("\n"))
		var raw json.RawMessage
		if err = d.Decode(&raw); err != nil {
			return append(all, Record{Line: line, Err: Why(err)})
		}
		all = append(all, Record{Line: line, Text: raw, Err: checkObject(raw)})
	}
	if _, end := d.Token(); err == nil && end != nil {
		all = append(all, Record{Line: lead + bytes.Count(text, []byte("\n")), Err: errors.New("the array does not end; the recording is cut off")})
	}
	return all
}

func checkObject(b []byte) error {
	var o map[string]json.RawMessage
	if err := json.Unmarshal(b, &o); err != nil {
		return Why(err)
	}
	return nil
}

// Why tells a JSON error without repeating the text, which may hold secrets.
func Why(err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	var when *time.ParseError
	switch {
	case errors.As(err, &when):
		return errors.New("a time in it can't be read")
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON: column %d: %w", syntax.Offset, syntax)
	case errors.As(err, &typ):
		return fmt.Errorf("a record must be an object, not %s", typ.Value)
	}
	return fmt.Errorf("not JSON: %w", err)
}
