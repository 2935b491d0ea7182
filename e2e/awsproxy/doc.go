// Package awsproxy stands between an AWS client and a server, and knows what is said: it makes single
// operations fail as AWS makes them fail, in the protocol of the caller, and records every call as the IAM
// action and the resource that a policy would have to allow.
//
// Without rules it only forwards and records. Chance is counted, not drawn from a clock: the same seed makes
// the same calls of an operation fail. Everything may be called from any goroutine. A dead server behind it
// looks dead: the connection is cut.
package awsproxy
