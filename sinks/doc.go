// Package sinks holds the contract between the router and its targets: the Sink interface and the
// classes of failure that decide what happens to an event next.
//
// A sink stands at the end of an event's way. It hands a batch to its target and says what came of
// it; it does not retry, queue, count or acknowledge, because the router does each of these once for
// all sinks. Guarantee: nil means that the target accepted the whole batch. A sink may see an event
// again after a failure or a restart, so it must be idempotent on the event id as far as the target
// allows.
package sinks
