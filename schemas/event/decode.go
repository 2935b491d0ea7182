package event

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// envelope is what Decode reads; members that it does not name are ignored.
type envelope struct {
	SpecVersion string `json:"specversion"`
	Event
	DataContentType string `json:"datacontenttype"`
	DataBase64      []byte `json:"data_base64"`
}

// Decode reads one event in structured JSON. Unknown members and unknown types are accepted; a type of
// this contract must have the sections that it needs. The error wraps ErrInvalid and says where and
// what, without repeating values of data.
func Decode(b []byte) (Event, error) {
	var env envelope
	if err := json.Unmarshal(b, &env); err != nil {
		return Event{}, where(err)
	}
	if len(env.DataBase64) > 0 {
		if err := json.Unmarshal(env.DataBase64, &env.Data); err != nil {
			return Event{}, fmt.Errorf("data_base64: %w", where(err))
		}
	}
	return env.event()
}

// event checks what was read and returns it.
func (env *envelope) event() (Event, error) {
	if env.SpecVersion != specVersion {
		return Event{}, fmt.Errorf("%w: specversion is %.20q, want %q", ErrInvalid, env.SpecVersion, specVersion)
	}
	if !isJSON(env.DataContentType) {
		return Event{}, fmt.Errorf("%w: datacontenttype is %.80q, want %q", ErrInvalid, env.DataContentType, dataType)
	}
	e := env.Event
	e.Time, e.Recorded = e.Time.UTC(), e.Recorded.UTC()
	if err := checkAttributes(&e); err != nil {
		return Event{}, err
	}
	if err := checkSections(&e); err != nil {
		return Event{}, err
	}
	return e, nil
}

// where turns an error of the JSON library into ours: place and problem, never the value, which may be
// anything that a foreign publisher sent.
func where(err error) error {
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return fmt.Errorf("%w: %s after byte %d: %w", ErrInvalid, place(syntactic.JSONPointer), syntactic.ByteOffset, syntactic.Err)
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return fmt.Errorf("%w: %s after byte %d: a JSON %s does not fit %v",
			ErrInvalid, place(semantic.JSONPointer), semantic.ByteOffset, semantic.JSONKind, semantic.GoType)
	}
	return fmt.Errorf("%w: %w", ErrInvalid, err)
}

func place(p jsontext.Pointer) string {
	if p == "" {
		return "at the top"
	}
	return fmt.Sprintf("at %.200s", string(p))
}
