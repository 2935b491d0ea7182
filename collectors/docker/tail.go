package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// tail is which log to read for a stop.
type tail struct {
	id    string
	tty   bool
	since int64 // ns: lines of earlier runs are left out
	label string
}

func tailOf(t *task) *tail {
	q := &tail{id: t.id, tty: t.tty, label: t.Labels[collectors.LabelLogs]}
	if t.Started > 0 {
		// The daemon stamps StartedAt after the process has begun to write.
		q.since = max(t.Before, t.Started-int64(time.Second))
	}
	return q
}

const (
	tailTimeout   = 3 * time.Second
	tailLineBytes = 1000
	tailReads     = 4 << 20 // of a log whose last lines are longer, the end is not looked for
)

// lines returns how many lines the label and the config ask for.
func (q *tail) lines(c Logs) int {
	if q.label == "off" {
		return 0
	}
	if n, err := strconv.Atoi(q.label); err == nil && n >= 0 {
		return min(n, maxLogLines)
	}
	return c.Lines
}

// readTail reads the last lines of a log. Its failure is told in the result: a stop is told without a
// log rather than not at all.
func readTail(ctx context.Context, cli *client.Client, q *tail, c Logs) *event.Log {
	n := q.lines(c)
	if n == 0 || c.Bytes == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	o := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(n)}
	if q.since > 0 {
		o.Since = stamp(q.since)
	}
	r, err := cli.ContainerLogs(ctx, q.id, o)
	if err != nil {
		return &event.Log{None: noLog(err)}
	}
	defer r.Close()
	keep := &lastBytes{limit: 4 * maxLogBytes}
	from := io.LimitReader(r, tailReads)
	if q.tty {
		_, err = io.Copy(keep, from)
	} else {
		_, err = stdcopy.StdCopy(keep, keep, from)
	}
	if err != nil && len(keep.b) == 0 {
		return &event.Log{None: noLog(err)}
	}
	return keep.log(redact.Limits{Lines: n, LineBytes: tailLineBytes, Bytes: c.Bytes})
}

func noLog(err error) string {
	switch {
	case errdefs.IsNotFound(err) || strings.Contains(err.Error(), "marked for removal"):
		return "the container was removed before its log could be read"
	case strings.Contains(err.Error(), "does not support reading"):
		return "its logging driver does not keep logs that can be read"
	case errors.Is(err, context.DeadlineExceeded):
		return "the daemon did not send the log in time"
	}
	return fmt.Sprintf("the log could not be read: %s", redact.Text(err.Error()))
}

// lastBytes keeps the end of what is written.
type lastBytes struct {
	limit int
	b     []byte
	cut   bool
}

func (l *lastBytes) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	if len(l.b) > l.limit {
		l.b = l.b[:copy(l.b, l.b[len(l.b)-l.limit:])]
		l.cut = true
	}
	return len(p), nil
}

func (l *lastBytes) log(limits redact.Limits) *event.Log {
	text := bytes.TrimRight(l.b, "\r\n")
	if len(text) == 0 {
		return &event.Log{None: "this run wrote nothing to its log"}
	}
	lines, cut := redact.Lines(strings.Split(string(text), "\n"), limits)
	return &event.Log{Lines: lines, Cut: cut || l.cut}
}
