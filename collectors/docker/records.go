package docker

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/moby/moby/api/types/events"
)

const (
	readBuffer = 32 << 10
	// maxRecord bounds one record, in bytes: a container may have a megabyte of labels.
	maxRecord = 16 << 20
)

// records reads events off an answer of a daemon, which writes one a line. A record that can't be read
// does not hide those behind it.
type records struct {
	body io.ReadCloser
	in   *bufio.Reader
	line []byte // of the line what is not read yet
	long []byte // room for a line that exceeds the buffer
}

// garbledError tells of a record that can't be read; the next ones can. It never holds the record.
type garbledError struct{ cause error }

// Error implements error.
func (e *garbledError) Error() string { return "a record can't be read: " + e.cause.Error() }

// Unwrap returns where and why.
func (e *garbledError) Unwrap() error { return e.cause }

var errLongRecord = errors.New("it is longer than 16 MiB")

func newRecords(body io.ReadCloser) *records {
	return &records{body: body, in: bufio.NewReaderSize(body, readBuffer)}
}

func (r *records) close() { _ = r.body.Close() }

// next reads one event: io.EOF at the end of the answer, a garbledError for what is no event.
func (r *records) next(into *events.Message) error {
	for len(r.line) == 0 {
		if err := r.readLine(); err != nil {
			return err
		}
	}
	rest, err := decodeNext(r.line, into)
	if err == nil {
		r.line = rest
		return nil
	}
	r.line = found(r.line)
	return &garbledError{err}
}

// found returns the part of a garbled line that begins with the first whole event: a record that was cut
// off and the one after it can be on the same line.
func found(line []byte) []byte {
	const enough = 32 // tries, each of which may read the whole line
	for try := 0; try < enough && len(line) > 1; try++ {
		next := bytes.Index(line[1:], []byte(`{"`))
		if next < 0 {
			return nil
		}
		line = line[1+next:]
		var m events.Message
		if _, err := decodeNext(line, &m); err == nil && m.Type != "" && m.Action != "" && m.TimeNano > 0 {
			return line
		}
	}
	return nil
}

// readLine reads the next line without the space around it. The daemon ends each with a newline; what
// has none was cut off.
func (r *records) readLine() error {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		r.long = append(r.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = r.in.ReadSlice('\n')
			if len(r.long) <= maxRecord {
				r.long = append(r.long, line...)
			}
		}
		if line = r.long; len(r.long) > maxRecord && err == nil {
			r.long = nil
			return &garbledError{errLongRecord}
		}
		if cap(r.long) > 1<<20 {
			r.long = nil // a rare one must not stay
		}
	}
	if err != nil {
		if errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) > 0 {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	r.line = bytes.Trim(line, " \t\r\n\x1e")
	return nil
}
