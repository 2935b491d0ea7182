// Package opensearch writes every event once into OpenSearch, for analysts.
//
// It stands at the end of an event's way. An event becomes one document of the index
// <prefix>-events-<ISO week>, chosen by the event's own time, with the event's id as document id and the
// bulk action create. Both are functions of the event alone, so a redelivery, even a month later, meets
// its own id and counts as accepted: at least once in, once in the index. Before the first write the sink
// installs its index template, or makes sure that there is one, and otherwise refuses to write, because a
// guessed mapping would spoil the index for good.
//
// Send returns after each document has its verdict. On failure the error says whose it is: a document
// that no mapping will ever take is *sinks.Permanent; a target that is busy, full, closed or wrongly set
// up is *sinks.Throttled and never costs an event; an answer that is cut short or does not fit the request
// is an unknown outcome and retryable. Nothing is retried here. Send is safe for concurrent use; Close
// ends the connections that the first use has opened.
package opensearch
