// Package docker watches one Docker daemon and publishes what its containers do.
//
// It stands at the start of an event's way: daemon → reader → shard → publisher → cursor. The reader
// takes events off the daemon's stream and never waits, because the daemon drops events, unseen, for a
// slow subscriber and is slowed down by it. Shards, keyed by container id, ask the daemon (the stream
// is a hint, inspect is the truth), run the state machine, publish, and only then let the cursor move.
// After every connect and every minute the daemon's list is compared with what is known, and a snapshot
// of the containers that may have changed is queued behind the events, in batches; what it shows and no
// event told is published as reconciled. The state machine and the translation are pure and the same for
// live, reconciled and recorded events; see Replay.
//
// Guarantees: events of one container are published in order; an occurrence has the same id however it
// was learned; the cursor never passes an event that the stream has not acknowledged. Environment and
// command lines are never read; labels, logs and errors are redacted. Containers that had ended before
// the very first start are not told; running ones are.
//
// On failure it reconnects with back-off, replays from the cursor with two seconds of overlap, and tells
// a gap when it was blind: with what the snapshot found, and what can't be known. A record that can't be
// read hides no other. A daemon that hangs is noticed by pings, which never wait for the stream, and a
// stream that fell silent by the daemon's log. When publishing is blocked it stops reading. Another
// collector of the same daemon is found by its claim in the bucket and told as a conflict; both go on.
package docker
