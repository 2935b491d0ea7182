// Package sinktest is the conformance suite of sinks, and the events to try one with.
//
// A sink's own test calls Run with a factory. Where the sink speaks HTTP, the suite stands a scriptable
// server on a socket in the target's place and lets it accept, refuse with every status, hang and hang
// up.
//
// It holds a sink to the contract of package sinks: nil only if the target took the whole batch, the
// class of each refusal, no end without an answer after a cancel, no change to the batch, no secret in an
// error, concurrent use, no goroutine left behind. What breaks it fails the test that called Run.
package sinktest
