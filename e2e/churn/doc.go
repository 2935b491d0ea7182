// Package churn lets many containers live and die on a real daemon while what watches it loses its
// connection, and counts what was told of them.
//
// A driver makes the lives and the noise that turns the daemon's log over, a breaker cuts a client off, a
// peer reads events as monitors commonly do, and a tale is what one observer told: it is held against the
// tale of a witness that was never cut. Nothing here knows a collector. Everything ends with the test or
// the context that it was started with.
package churn
