// Package bus is the way of events through NATS JetStream: streams, publisher, consumers, buckets and
// dead letters. It is the only package beside internal/natsserver that knows NATS.
//
// It stands between the collectors, which publish, and the router, which consumes. Guarantees: an event
// whose Publish returned nil is stored, and with Strict durability it survives a power cut; events are
// stored in the order of their Publish calls; a re-sent id within ten minutes is stored once; a delivery
// that was not acknowledged comes again. Everything is safe for concurrent use unless its comment says
// otherwise.
//
// On failure nothing is dropped: while the server is away or refuses, Publish blocks and Health says why;
// a timeout means "unknown" and is resolved by sending the same id again; a consumer that went silent or
// was deleted is provisioned again from where it had acknowledged.
package bus
