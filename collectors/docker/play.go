package docker

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// Play is Replay for a recording of any length, one event a line: the results are handed on as soon as they
// are known, which is not quite the order of the records, and nothing is kept of them. Near misses are left
// out. The error is that of the reader or of each, which ends it.
func Play(r io.Reader, o ReplayOptions, each func(Result) error) error {
	p, lines := newPlayer(o), bufio.NewReaderSize(r, 64<<10)
	p.m.near = false
	for line := 1; ; line++ {
		text, err := lines.ReadSlice('\n')
		if err == bufio.ErrBufferFull { //nolint:errorlint // ReadSlice returns it bare
			text, err = longLine(lines, text)
		}
		if err != nil && err != io.EOF { //nolint:errorlint // a Reader returns it bare
			return fmt.Errorf("read recording: %w", err)
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			p.play(line, text)
		}
		if err == io.EOF { //nolint:errorlint // as above
			p.end()
		}
		for _, result := range p.results {
			if err := each(result); err != nil {
				return err
			}
		}
		clear(p.results)
		if p.results = p.results[:0]; err == io.EOF { //nolint:errorlint // as above
			return nil
		}
	}
}

// longLine reads the rest of a line that the reader's buffer can't hold.
func longLine(lines *bufio.Reader, begin []byte) ([]byte, error) {
	begin = bytes.Clone(begin)
	rest, err := lines.ReadBytes('\n')
	return append(begin, rest...), err
}
