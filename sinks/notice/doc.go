// Package notice says one event in words for people: a headline, an opening sentence, and parts such as
// the cause, the evidence and the last log lines.
//
// It stands within the sinks that people read (sns, console), which only lay the parts out. It is pure:
// the same event gives the same words, times are UTC.
//
// Guarantees: every string is one line of valid UTF-8 without control characters, whatever the event
// held, so that it may go to a terminal or a mail as it is; each line has a bounded length. What is not
// known is left out, never invented.
//
// There is no failure: an event without the section that its kind should have is told by its type.
package notice
