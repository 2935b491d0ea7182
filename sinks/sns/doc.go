// Package sns is the sink that publishes alerts to an Amazon SNS topic.
//
// It stands at the end of an event's way: the router hands it batches; it renders each event for people,
// as its CloudEvent, for a chat or as an alarm, publishes up to ten with one call, and gives a verdict for each.
//
// Guarantees: what it renders keeps SNS's rules whatever the event holds (subject, size in bytes with
// attributes, typed attributes that are never empty, FIFO ids). Expected stops and workloads labelled
// bellbuoy.alert=off are accepted and never sent. A mark in a bucket, written after SNS took the alert,
// keeps a redelivery and a later event that only amends it from alerting again. A standard topic may still
// repeat an alert whose answer was lost; a FIFO topic does not. Send is safe for concurrent use.
//
// On failure: what SNS will never take is a *sinks.Permanent, throttling a *sinks.Throttled; a missing
// right, bad credentials and everything unclear is an error to try again, because an operator can mend it
// and an alert must not get lost. If the bucket fails, the alert is sent: twice is better than never.
package sns
