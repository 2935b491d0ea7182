// Package webhook is the sink that posts events to an HTTP endpoint of the user's.
//
// It stands at the end of an event's way: the router hands it batches; it posts each event on its own, in order: as a
// CloudEvent in structured mode, or as a message that Slack's incoming webhooks and their likes take.
//
// Guarantees: with a secret each request is signed, so that a receiver can tell ours from others and old from new; an
// id in a header is the same for each repetition. The address, whose path may be a secret, and the secret are in no
// log and no error. Redirects are not followed. Send is safe for concurrent use.
//
// On failure: an answer that says that the request is wrong is a *sinks.Permanent, 429 and 503 are a *sinks.Throttled
// with the time that the endpoint asks for, all else is tried again. An endpoint may get an event twice.
package webhook
