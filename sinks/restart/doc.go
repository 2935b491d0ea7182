// Package restart starts tasks again that stopped or turned unhealthy without anybody wanting it.
//
// It stands at the end of an event's way as a sink and, because each of its decisions is an event again,
// at a beginning. For every task.stopped and task.unhealthy event the pure Decide says what to do; the
// Handler reads the task's real state, claims the run in the ledger by compare-and-set, acts, looks
// whether the new run lives, and records the end. Only tasks that opted in by the label bellbuoy.restart
// are touched or told about, never one that another controller owns or an operator stopped. In mode
// dry-run everything is decided and published and nothing is done.
//
// A Docker container is started or restarted as it is. Of a containerd container a new task is made, on the
// same spec and snapshot; what another tool set up around it nobody would set up again, so then it is
// refused. containerd does not record who sends a signal: a stop whose cause is a guess is left alone there,
// unless the label says always.
//
// After a success the tasks that stand on the restarted one follow, one by one in their order, each verified:
// those that share its network, which is gone, and those whose compose file wants it. They need no label of
// their own, because they are broken otherwise or have said so; the label off keeps them out. They spend no
// budget but that of the task that they follow.
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
