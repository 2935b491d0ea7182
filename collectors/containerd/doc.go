// Package containerd watches one containerd and publishes what the tasks of its namespaces do.
//
// It stands at the start of an event's way: containerd → reader → shard → publisher. The reader takes
// events off the stream and never waits, because containerd keeps all that a slow subscriber has not
// taken. Shards, keyed by namespace and container, ask for labels and image, run the state machine and
// publish. containerd replays nothing and keeps no start times, so a snapshot of all namespaces,
// containers and tasks is queued behind the events after every connect and every minute, the end of each
// task is waited for beside its event, which a shim may lose, and what the shards know is kept in a bucket. The state machine and the translation are pure and the same for live,
// reconciled and recorded events; see Replay.
//
// One container that has a task is one task of ours. Exits of execs, sandboxes of pods and containers
// that a Docker daemon owns are not told; of the latter, Docker's own collector tells.
//
// Guarantees: events of one container are published in order; an occurrence has the same id however it
// was learned. What is about to be published is saved first, so that a crash repeats a start or a stop
// with its id and loses none. Environment and command lines are never kept; labels, logs and errors are
// redacted. Containers that had ended before the very first start are not told; running ones are.
//
// On failure it reconnects with back-off, takes a snapshot, and tells a gap: what the snapshot found,
// and that what ended and was deleted in between can't be known. A run that is gone with its task is told
// as lost. When publishing is blocked for long it stops reading.
package containerd
