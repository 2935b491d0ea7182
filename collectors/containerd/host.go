package containerd

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// host reads what the kernel of the host tells, below the folder where its file system is seen. All of
// it is a second witness: without it events say less and stay right.
type host struct{ root string }

func (h host) read(parts ...string) ([]byte, error) {
	return os.ReadFile(filepath.Join(h.root, filepath.Join(parts...)))
}

// bootID tells one boot of the host from another: process ids are used again in the next one.
func (h host) bootID() (string, error) {
	b, err := h.read("proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// cgroup returns the memory control group of a process. ok is false unless its name holds the
// container's id: in another process namespace the number is another process.
func (h host) cgroup(pid uint32, id string) (group string, ok bool) {
	b, err := h.read("proc", strconv.FormatUint(uint64(pid), 10), "cgroup")
	if err != nil || pid == 0 {
		return "", false
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) < 3 || parts[1] != "" && !containsWord(parts[1], "memory") || group != "" && parts[1] == "" {
			continue
		}
		group = parts[2]
	}
	return group, clean(group) && strings.Contains(path.Base(group), id)
}

func containsWord(list, word string) bool { return strings.Contains(","+list+",", ","+word+",") }

func clean(group string) bool {
	return strings.HasPrefix(group, "/") && path.Clean(group) == group && group != "/"
}

// groupOf returns the control group that a runtime's spec means: a path, or for systemd slice:prefix:name.
func groupOf(spec string) string {
	if strings.HasPrefix(spec, "/") {
		return path.Clean(spec)
	}
	parts := strings.Split(spec, ":")
	if len(parts) != 3 || strings.Contains(spec, "/") {
		return ""
	}
	group, name := "/", ""
	slice := strings.TrimSuffix(cmp.Or(parts[0], "system.slice"), ".slice")
	for part := range strings.SplitSeq(slice, "-") {
		if part == "" {
			continue
		}
		name = strings.TrimPrefix(name+"-"+part, "-")
		group = path.Join(group, name+".slice")
	}
	if parts[1] != "" {
		parts[2] = parts[1] + "-" + parts[2]
	}
	return path.Join(group, parts[2]+".scope")
}

// began returns when a process began, ns, 0 if the kernel does not say.
func (h host) began(pid uint32) int64 {
	const ticks = 100 // a second, on every Linux
	b, err := h.read("proc", strconv.FormatUint(uint64(pid), 10), "stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return 0
	}
	since, err := strconv.ParseInt(fields[19], 10, 64)
	booted := h.booted()
	if err != nil || booted == 0 {
		return 0
	}
	return booted + since*int64(time.Second)/ticks
}

func (h host) booted() int64 {
	b, err := h.read("proc/stat")
	if err != nil {
		return 0
	}
	return count(b, "btime") * int64(time.Second)
}

// witness is what the counter of a control group told about an end.
type witness struct {
	counted bool
	kills   int64
	why     string // there is no count; empty if nobody asked
}

func (w witness) note() string {
	switch {
	case w.counted && w.kills == 0:
		return "its memory control group counted no out-of-memory kill"
	case w.why != "":
		return "its memory control group could not be asked for out-of-memory kills: " + w.why
	}
	return ""
}

// kills asks the memory control group of a task how many of its processes the kernel killed for memory.
// The group begins with the run and is removed with the task.
func (h host) kills(group string) witness {
	if !clean(group) {
		return witness{why: "it is not known"}
	}
	b, err := h.read("sys/fs/cgroup/memory", group, "memory.oom_control")
	if err != nil {
		b, err = h.read("sys/fs/cgroup", group, "memory.events")
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return witness{why: "it was gone or is not to be seen here"}
	case err != nil:
		return witness{why: "it can't be read"}
	case !bytes.Contains(b, []byte("oom_kill ")):
		return witness{why: "this kernel does not count"}
	}
	return witness{counted: true, kills: count(b, "oom_kill")}
}

// count returns the number behind a name, in a file of one a line.
func count(b []byte, name string) int64 {
	for line := range bytes.Lines(b) {
		if rest, found := bytes.CutPrefix(line, []byte(name+" ")); found {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			return n
		}
	}
	return 0
}
