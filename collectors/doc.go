// Package collectors holds the contract of a collector, which watches one runtime and publishes
// events, and the supervisor that keeps collectors running.
//
// Collectors stand at the start of an event's way, between a runtime's socket and the stream.
// Guarantee: a collector moves its cursor only after the stream has acknowledged every event before
// it, so a crash repeats events (with the same ids) and never loses one. A collector that ends with
// an error is started again with back-off, and the stream is told: collector.started, stopped, gap
// and heartbeat events. When the stream refuses, Publish blocks and the collector stops reading.
package collectors
