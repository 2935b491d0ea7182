// Package collectortest is the conformance suite of collectors, and the doubles they are tested with: a
// stream that may refuse, a bucket, and a reporter.
//
// Run takes a factory, so that the same suite runs against a runtime on the wire and against a real
// one. What it checks is the contract of package collectors: Run ends with ctx and joins what it
// started; what the stream refuses is kept and not lost; ids do not depend on who watched or how; a
// restart goes on where the last run was; every event is valid and holds no secret.
package collectortest
