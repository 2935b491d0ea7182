package event

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// ContentType is the media type of an encoded event.
const ContentType = "application/cloudevents+json"

type envelope struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        Type      `json:"type"`
	Subject     string    `json:"subject"`
	Time        time.Time `json:"time"`
	Data        *Data     `json:"data"`
}

// Append appends the event in structured JSON to b.
func Append(b []byte, e *Event) ([]byte, error) {
	enc, err := json.Marshal(envelope{"1.0", e.ID, e.Source, e.Type, e.Subject, e.Time, &e.Data})
	return append(b, enc...), err
}

// Decode reads one event in structured JSON.
func Decode(b []byte) (Event, error) {
	var env envelope
	if err := json.Unmarshal(b, &env); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return Event{ID: env.ID, Source: env.Source, Type: env.Type, Subject: env.Subject, Time: env.Time, Data: *env.Data}, nil
}
