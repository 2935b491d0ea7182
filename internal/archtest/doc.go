// Package archtest holds no code of the product: its tests read the whole source tree and fail when
// the architecture is broken.
//
// It stands outside an event's way. It guarantees that packages import each other one way only
// (table_test.go), that no package keeps hidden state, and that files and functions stay short enough
// to read. Each rule is proven on a planted source that breaks it. Nothing is compiled, so the
// tests take about a second and may run in parallel with anything. On failure the message names the
// place, the reason and where the rule is written down.
package archtest
