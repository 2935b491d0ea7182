// Package natsserver runs a NATS server with JetStream inside this process.
//
// It is where the stream lives when no nats.url is configured: internal/bus connects to it in process,
// automation over the listener. Guarantees: Start returns a server that takes requests, or an error that
// says what to do; one process at a time owns a store; with Strict an acknowledged event is on the disk,
// without it a power cut may take the last second. Shutdown tells remote clients to go elsewhere, closes
// the store and waits for both.
//
// On failure after the start (a full or broken disk) the server goes on, refuses what it can't store, and
// Healthz says why.
package natsserver
