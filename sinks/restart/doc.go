// Package restart starts tasks again that stopped or turned unhealthy without anybody wanting it.
//
// It stands at the end of an event's way as a sink and, because each of its decisions is an event again,
// at a beginning. For every task.stopped and task.unhealthy event the pure Decide says what to do; the
// Handler reads the task's real state, claims the run in the ledger by compare-and-set, acts, looks
// whether the new run lives, and records the end. Only tasks that opted in by the label bellbuoy.restart
// are touched or told about, never one that another controller owns or an operator stopped. In mode
// dry-run everything is decided and published and nothing is done.
//
// Guarantees: one stopped run is started at most once, whatever is redelivered, crashes or runs twice,
// because the claim is in the ledger before the act, one claim holder at a time may act, and who takes
// over a claim looks at the real state first. The budget counts per workload. All state is in the ledger,
// so a process may end at any point.
//
// Send never waits for a back-off or a verification: it returns *sinks.Partial with a *sinks.Throttled for
// such an event and goes on at its redelivery. It is safe for concurrent use. On failure of the runtime,
// the ledger or the stream the event comes again; a call whose outcome is unknown is not repeated before
// its lease has ended.
package restart
