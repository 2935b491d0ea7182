// Package secret holds the type of a config field that must never be read back.
//
// A String stands in the Config of a component from the moment the loader has expanded its reference
// until the component hands it to its target. Whatever prints, logs or encodes it on the way (fmt, slog,
// JSON, YAML, text) gets Redacted, or nothing when it is empty. Only Reveal returns the value; there is
// nothing here that can fail.
package secret

import (
	"fmt"
	"log/slog"
)

// Redacted is what a set secret prints as.
const Redacted = "<redacted>"

// String is a secret text. Its zero value is an unset secret.
type String string

// Reveal returns the value itself. It is for the one place that hands it to its target.
func (s String) Reveal() string { return string(s) }

// String returns Redacted, or nothing for an unset secret.
func (s String) String() string {
	if s == "" {
		return ""
	}
	return Redacted
}

// Format prints String for every verb, %#v and %x included.
func (s String) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue is what slog writes.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what JSON, YAML and the printed config show.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText sets the secret to the text.
func (s *String) UnmarshalText(text []byte) error {
	*s = String(text)
	return nil
}
