// Package app wires the components into a program and runs it: every role in one process, one role
// alone, or one of the commands that look at a running one.
//
// It is the only package that knows every component; components.go is the table of them. Order of
// life: the stream first, then the routes, then the collectors; on the way down the reverse, so that
// nothing is read that can't be published and nothing is published that is not drained within the
// bound. Whatever fails to start stops the program with an error that says what to do; whatever fails
// later is retried and shown by /readyz.
package app
