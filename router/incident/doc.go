// Package incident folds the events of the stream into incidents: one open problem of one workload, host or
// collector, which opens once, is updated in place and is resolved with its downtime.
//
// It stands in the router beside the routes: it reads the stream by a pinned durable consumer of its own,
// and publishes incident.opened, updated and resolved on the same stream, from which the routes to alerts
// take them. Every one of these events is worth a notice; counts that only grow are kept, not told.
//
// Machine is pure: events and times in, records and transitions out. Engine keeps the records in a bucket by
// compare-and-set: a transition is decided by the write of its record and published after it, so that a
// crash between the two repeats the same event under the same id. A record remembers the last event that it
// has taken, so what the stream delivers again changes nothing. When another instance has written first, its
// record is read and the events are applied to that.
//
// On failure of the bucket or the stream nothing is acknowledged and all is done again later; nothing is
// decided from memory alone. Times of deadlines are those at which the stream stored the events; a clock
// that jumps is noticed and moves no deadline.
package incident
