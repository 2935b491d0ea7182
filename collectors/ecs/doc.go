// Package ecs watches Amazon ECS: it reads the events that an EventBridge rule puts into an SQS queue, and
// compares them with what the ECS API lists.
//
// It stands at the start of an event's way. A message of the queue is decoded (envelope), translated into a
// fact (pure), applied to what is known of its task (the machine, whose state is in a bucket under
// compare-and-set) and published; only after the stream has acknowledged that, the message is deleted. The
// reconciler hands the machine the same facts from DescribeTasks, so that a late event and a listed task
// collapse: the identity of an occurrence is its ARN and detail.version.
//
// Guarantees: nothing is lost between the rule and the stream; a stop is told as task.stopped once, at the
// first event that proves it, and amended by events that name the one they supersede; older versions are
// history and change no state. What can't be decoded is quarantined with its reason and deleted. While the
// stream refuses, a gate keeps every poller from receiving, so that the queue's redrive policy counts no
// receive of a good message. On failure of AWS the collector reports itself blind and tries again.
package ecs
