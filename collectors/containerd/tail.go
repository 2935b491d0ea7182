package containerd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	native "github.com/containerd/containerd/api/types/task"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// logPlace is where a container's log is. containerd keeps none itself.
type logPlace struct {
	Form string `json:"f,omitempty"` // of its lines; empty if there is none
	Path string `json:"p,omitempty"`
	None string `json:"n,omitempty"` // why there is none
}

// The forms of a log: TIME STREAM F TEXT, JSON objects, or what the process wrote.
const (
	formPod  = "pod"
	formJSON = "json"
	formRaw  = "raw"
)

const noLog = "containerd keeps no logs, and nothing says where this one goes"

// logPlaceOf looks where clients of containerd note it, the surest first.
func logPlaceOf(c *containers.Container) logPlace {
	if p := podLog(c); p != "" {
		return logPlace{Form: formPod, Path: p}
	}
	if dir := c.Labels["nerdctl/state-dir"]; dir != "" {
		var config struct {
			Driver string            `json:"driver"`
			Opts   map[string]string `json:"opts"`
		}
		_ = json.Unmarshal([]byte(c.Labels["nerdctl/log-config"]), &config) // absent in old versions, which have json-file
		if config.Driver != "" && config.Driver != "json-file" {
			return logPlace{None: "its logging driver " + redact.Text(config.Driver) + " keeps no file that can be read"}
		}
		return logPlace{Form: formJSON, Path: cmp.Or(config.Opts["log-path"], filepath.Join(dir, c.ID+"-json.log"))}
	}
	return placeOfURI(c.Labels["containerd.io/restart.loguri"])
}

// placeOfURI reads where a task's output goes: a pipe to its client has no scheme.
func placeOfURI(uri string) logPlace {
	scheme, path, found := strings.Cut(uri, "://")
	switch {
	case !found || scheme == "fifo":
		return logPlace{None: noLog}
	case scheme == "file":
		return logPlace{Form: formRaw, Path: path}
	}
	return logPlace{None: "its log goes to a program, which keeps what can't be read here"}
}

// orOf returns the place, or else where the task itself writes to.
func (l logPlace) orOf(p *native.Process) logPlace {
	if l.None != noLog || p == nil {
		return l
	}
	return placeOfURI(p.Stdout)
}

// podLog reads the path that the Kubernetes runtime interface noted, and nothing else of the note.
func podLog(c *containers.Container) string {
	var note struct{ Metadata struct{ LogPath string } }
	if json.Unmarshal(c.Extensions["io.cri-containerd.container.metadata"].GetValue(), &note) != nil {
		return ""
	}
	return note.Metadata.LogPath
}

// tail is which log to read for a stop.
type tail struct {
	place logPlace
	since int64 // ns: lines of earlier runs are left out
	end   int64
	label string
}

func tailOf(t *task, end *stop) *tail {
	q := &tail{place: t.Log, end: end.at, label: t.Labels[collectors.LabelLogs], since: t.Before}
	if t.Started > 0 {
		q.since = max(q.since, t.Started-int64(time.Second)) // the process began to write before its start was told
	}
	return q
}

const (
	tailLineBytes = 1000
	tailWindow    = 256 << 10 // of the end of a file
	// flushed is how long after an end its last lines may be on their way into the file.
	flushed = 150 * time.Millisecond
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
func (h host) readTail(ctx context.Context, q *tail, c Logs) *event.Log {
	n := q.lines(c)
	switch {
	case n == 0 || c.Bytes == 0:
		return nil
	case q.place.Form == "":
		return &event.Log{None: cmp.Or(q.place.None, noLog)}
	}
	if wait := time.Until(utc(q.end).Add(flushed)); wait > 0 && backoff.Sleep(ctx, min(wait, flushed)) != nil {
		return nil
	}
	text, cut, err := h.end(q.place.Path, c.Folders)
	if err != nil {
		return &event.Log{None: whyNot(err)}
	}
	lines := linesOf(q.place.Form, text, q.since)
	if len(lines) == 0 {
		return &event.Log{None: "this run wrote nothing to its log"}
	}
	kept, short := redact.Lines(lines, redact.Limits{Lines: n, LineBytes: tailLineBytes, Bytes: c.Bytes})
	return &event.Log{Lines: kept, Cut: cut || short}
}

var (
	errOutside   = errors.New("its log is not in a folder of logs.folders, and labels can't be trusted with any other")
	errIrregular = errors.New("its log is no regular file")
)

// end reads the end of a file in one of the folders. No link leads out of the folder, and what is no
// regular file is not waited for.
func (h host) end(path string, folders []string) (text []byte, cut bool, err error) {
	for _, folder := range folders {
		below, err := filepath.Rel(folder, path)
		if err != nil || !filepath.IsLocal(below) {
			continue
		}
		root, err := os.OpenRoot(filepath.Join(h.root, folder))
		if err != nil {
			return nil, false, err
		}
		defer root.Close() //nolint:errcheck // nothing was written
		f, err := root.OpenFile(below, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, false, err
		}
		defer f.Close()
		return lastOf(f)
	}
	return nil, false, errOutside
}

func lastOf(f *os.File) (text []byte, cut bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, errIrregular
	}
	from := max(info.Size()-tailWindow, 0)
	text, err = io.ReadAll(io.NewSectionReader(f, from, tailWindow))
	if from > 0 { // it begins within a line
		_, text, cut = bytes.Cut(text, []byte("\n"))
	}
	return text, cut, err
}

func whyNot(err error) string {
	switch {
	case errors.Is(err, errOutside), errors.Is(err, errIrregular):
		return err.Error()
	case errors.Is(err, fs.ErrNotExist):
		return "its log is gone or was never written"
	case errors.Is(err, fs.ErrPermission):
		return "its log may not be read; run as root"
	}
	return "the log could not be read"
}

// linesOf takes the text of each line, without those that are older than since.
func linesOf(form string, text []byte, since int64) []string {
	var lines []string
	whole := true // the line before was not cut into parts
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		said, at, ends := string(line), int64(0), true
		switch form {
		case formPod:
			said, at, ends = podLine(line)
		case formJSON:
			said, at = jsonLine(line)
		}
		if at != 0 && at < since || said == "" && len(lines) == 0 {
			continue
		}
		if !whole {
			lines[len(lines)-1] += said
		} else {
			lines = append(lines, said)
		}
		whole = ends
	}
	return lines
}

// podLine reads TIME STREAM F TEXT; P instead of F is a part of a line.
func podLine(line []byte) (said string, at int64, ends bool) {
	parts := strings.SplitN(string(line), " ", 4)
	if len(parts) < 3 {
		return string(line), 0, true
	}
	t, err := time.Parse(time.RFC3339Nano, parts[0])
	if err != nil {
		return string(line), 0, true
	}
	if len(parts) == 4 {
		said = parts[3]
	}
	return said, t.UnixNano(), !strings.HasPrefix(parts[2], "P")
}

func jsonLine(line []byte) (said string, at int64) {
	var entry struct {
		Log  string    `json:"log"`
		Time time.Time `json:"time"`
	}
	if json.Unmarshal(line, &entry) != nil {
		return string(line), 0
	}
	if !entry.Time.IsZero() {
		at = entry.Time.UnixNano()
	}
	return strings.TrimRight(entry.Log, "\r\n"), at
}
