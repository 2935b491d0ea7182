// Package event is the event contract in Go: one Event is one CloudEvent, one fact about a task,
// workload, node, incident, action or collector.
//
// It stands between the collectors, which make events, and everything that reads them: the bus, the
// router, the sinks and automation. It holds the types, the registry of event types, the rules for
// ids and NATS subjects, and the structured JSON codec of the hot path. It imports nothing of this
// project.
//
// Guarantees: an id is a pure function of the native occurrence, so a re-read, a reconcile and a
// redelivery give the same id; Append writes the same bytes for the same event and never more than
// MaxSize (what had to be cut is listed in Data.Truncated); Decode accepts every event that Append or
// another producer of the contract wrote and ignores members that it does not know.
//
// On failure, Decode returns an error that wraps ErrInvalid and says where in the input and what is
// wrong; nothing here panics on data.
package event
