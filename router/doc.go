// Package router decides what happens to each event of the stream: it matches events against routes,
// hands them to the route's sink and acknowledges them.
//
// It stands between the stream and the sinks. Every route has a durable consumer of its own, and one
// for what is redriven to it, so a slow or broken target delays nobody else. Guarantees: an event is acknowledged only after its sink
// accepted it, after the route's filter left it out, or after it is safe in the dead-letter stream with
// its reason; outcome.go is the only code that does so. A killed router repeats what was not
// acknowledged, so delivery is at least once.
//
// On failure the route backs off: while a target refuses whole batches its breaker is open, nothing is
// pulled but one probe at a time, and no event is given up for a target's outage. An event that alone
// keeps failing while others pass, that no retry can mend or that can't be decoded goes to the dead
// letters.
package router
