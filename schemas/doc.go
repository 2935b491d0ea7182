// Package schemas is the event contract for readers outside Go: a JSON Schema 2020-12 for every event
// type and one for the envelope that they share, embedded in the program.
//
// It stands beside the flow: tests check every emitted event with it, commands show it, and automation
// copies it. The schemas are generated from the types of schemas/event; go generate writes them anew,
// together with docs/reference/events.md, and a test fails while they differ.
//
// A Validator may be used by many goroutines. A schema promises that fields are only ever added within
// a major version: unknown members are valid, and so is an unknown type that fits the envelope. On
// failure Validate says where in the event and which rule.
package schemas
