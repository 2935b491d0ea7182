// Package notify decides which transitions of incidents a sink that wakes somebody gets.
//
// It stands between a route and its sink: events/… → route → notify → sinks/sns, webhook or console. What is silenced, explained by
// another incident or not yet this route's turn is held back. The end of a problem is told to those alone who were told
// of the problem. What could not be sent in time is folded: whoever could not be reached while a problem lasted gets
// one message that it is over, not two.
//
// More problems a minute than a sink is to tell are told by digests, at growing distance, until it is calm again.
//
// What became of each transition is noted in the bucket of incidents, with the reason, after the sink has taken it:
// a note that can't be written repeats at worst a notice, which the sink's own marks then catch. Events that are no
// incidents pass.
package notify
