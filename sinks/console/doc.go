// Package console is the sink that writes events for a person at a terminal.
//
// It stands at the end of an event's way: the router hands it batches, and it writes a few lines for an
// unexpected stop or another problem and one line for everything else, in the words of sinks/notice.
//
// Guarantees: the lines of one event stay together whoever else calls Send; no control character of an
// event reaches the terminal; colours only where they are wanted. Send is safe for concurrent use.
//
// On failure of the writer Send returns its error, and the batch may be written again: a person may read
// a line twice.
package console
