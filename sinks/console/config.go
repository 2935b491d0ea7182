package console

import "github.com/bellbuoy/bellbuoy/internal/fault"

// Config is what a user sets.
type Config struct {
	// Color is auto, always or never. auto colours a terminal, unless NO_COLOR is set.
	Color string `yaml:"color"`
}

// DefaultConfig returns the config of a console that the user said nothing about.
func DefaultConfig() Config { return Config{Color: "auto"} }

// Validate returns the faults.
func (c Config) Validate() error {
	switch c.Color {
	case "auto", "always", "never":
		return nil
	}
	return fault.At("color", "is %q; write auto, always or never", c.Color)
}
