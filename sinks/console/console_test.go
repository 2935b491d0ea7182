package console

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	sinktest.Run(t, sinktest.Options{New: func(t *testing.T, _ string) sinks.Sink { return open(t, DefaultConfig(), io.Discard) }})
}

func open(t *testing.T, cfg Config, out io.Writer) *Sink {
	t.Helper()
	s, err := New(cfg, Deps{Out: out})
	require.NoError(t, err)
	return s
}

func TestText(t *testing.T) {
	plain := func(e *event.Event) string { return Text(e, false) }
	sinktest.Golden(t, "testdata/plain.txt", *update, plain)
	sinktest.Golden(t, "testdata/color.txt", *update, func(e *event.Event) string {
		return strings.ReplaceAll(Text(e, true), "\x1b[", "<")
	})
}

// Whatever an event holds, the terminal gets printable characters, new lines and our own colours.
func TestNothingControlsTheTerminal(t *testing.T) {
	for _, s := range sinktest.Samples() {
		text := Text(&s.Event, false)
		assert.True(t, utf8.ValidString(text), s.Name)
		for _, r := range text {
			assert.False(t, r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e'), "%s: %q in %q", s.Name, r, text)
		}
		own := strings.NewReplacer(red, "", yellow, "", cyan, "", dim, "", reset, "")
		assert.Equal(t, text, own.Replace(Text(&s.Event, true)), s.Name)
	}
}

// Each line of a drill says so: nobody takes a part of it for a real stop.
func TestEachLineOfADrillIsMarked(t *testing.T) {
	for _, s := range sinktest.Samples() {
		for _, observed := range []event.Observed{event.ObservedDrill, event.ObservedReplay} {
			s.Event.Data.Observed = observed
			for line := range strings.Lines(Text(&s.Event, false)) {
				assert.True(t, strings.HasPrefix(line, "drill  "), "%s: %q", s.Name, line)
			}
		}
	}
}

// Only problems take more than a line.
func TestOrdinaryEventsTakeOneLine(t *testing.T) {
	for _, s := range sinktest.Samples() {
		if s.Event.Type == event.TaskStarted || s.Event.Data.Cause != nil && s.Event.Data.Cause.Expected {
			assert.Equal(t, 1, strings.Count(Text(&s.Event, false), "\n"), s.Name)
		}
	}
}

func TestColorNeedsATerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	for when, want := range map[string]bool{"auto": false, "never": false, "always": true} {
		assert.Equal(t, want, open(t, Config{Color: when}, file).color, when)
	}
	assert.False(t, open(t, DefaultConfig(), &bytes.Buffer{}).color)
}

func TestFaults(t *testing.T) {
	_, err := New(Config{Color: "blue"}, Deps{Out: io.Discard})
	require.Len(t, fault.All(err), 1)
	assert.Equal(t, `color: is "blue"; write auto, always or never`, err.Error())
	_, err = New(DefaultConfig(), Deps{})
	assert.ErrorContains(t, err, "nothing to write to")
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestWriterFails(t *testing.T) {
	gone := errors.New("pipe closed")
	err := open(t, DefaultConfig(), broken{gone}).Send(t.Context(), sinktest.Events())
	require.ErrorIs(t, err, gone)
	assert.Equal(t, sinktest.Retryable, sinktest.ClassOf(err))
}

// counted counts the calls of Write: a batch is one, so that the lines of an event stay together.
type counted struct {
	calls int
	bytes.Buffer
}

func (c *counted) Write(b []byte) (int, error) { c.calls++; return c.Buffer.Write(b) }

func TestBatchIsOneWrite(t *testing.T) {
	out := &counted{}
	require.NoError(t, open(t, DefaultConfig(), out).Send(t.Context(), sinktest.Events()))
	assert.Equal(t, 1, out.calls)
	assert.Contains(t, out.String(), "pay stopped: exit code 3 (ran 4s)")
}
