package containerd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	native "github.com/containerd/containerd/api/types/task"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"
)

// files makes a host of a folder.
func files(t *testing.T, contents map[string]string) host {
	t.Helper()
	root := t.TempDir()
	for name, text := range contents {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return host{root}
}

func TestCgroupOfAProcess(t *testing.T) {
	t.Parallel()
	h := files(t, map[string]string{
		"proc/1/cgroup": "4:memory:/default/web\n3:cpu,cpuacct:/other\n0::/\n",
		"proc/2/cgroup": "0::/system.slice/nerdctl-web.scope\n",
		"proc/3/cgroup": "4:memory:/user/somebody\n0::/\n",
		"proc/4/cgroup": "0::/../../web\n",
		"proc/5/cgroup": "nonsense\n",
		"proc/6/cgroup": "5:pids:/default/web\n4:cpu,memory:/default/web\n0::/x/web\n",
	})
	for pid, want := range map[uint32]string{1: "/default/web", 2: "/system.slice/nerdctl-web.scope", 6: "/default/web"} {
		group, ok := h.cgroup(pid, "web")
		assert.True(t, ok, pid)
		assert.Equal(t, want, group)
	}
	for _, pid := range []uint32{0, 3, 4, 5, 7} {
		_, ok := h.cgroup(pid, "web")
		assert.False(t, ok, "process %d is another one, or not to be seen", pid)
	}
}

func TestGroupOfASpec(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"/default/web": "/default/web", "/a/../../b": "/b", "system.slice:nerdctl:web": "/system.slice/nerdctl-web.scope",
		":cri-containerd:web": "/system.slice/cri-containerd-web.scope", "": "", "a/b": "", "a:b": "", "..:..:/etc": "",
		"kubepods-besteffort-pod1.slice:cri-containerd:web": "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/cri-containerd-web.scope",
	} {
		assert.Equal(t, want, groupOf(spec), spec)
	}
}

func TestOutOfMemoryKillsAreCountedOnBothVersions(t *testing.T) {
	t.Parallel()
	h := files(t, map[string]string{
		"sys/fs/cgroup/memory/v1/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
		"sys/fs/cgroup/memory/v0/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n",
		"sys/fs/cgroup/v2/memory.events":             "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n",
		"sys/fs/cgroup/calm/memory.events":           "oom 0\noom_kill 0\n",
	})
	assert.Equal(t, witness{counted: true, kills: 2}, h.kills("/v1"))
	assert.Equal(t, witness{counted: true, kills: 1}, h.kills("/v2"))
	assert.Equal(t, "its memory control group counted no out-of-memory kill", h.kills("/calm").note())
	assert.Contains(t, h.kills("/v0").note(), "this kernel does not count")
	assert.Contains(t, h.kills("/gone").note(), "it was gone or is not to be seen here")
	assert.Contains(t, h.kills("").note(), "it is not known")
	assert.Contains(t, h.kills("/../x").note(), "it is not known")
	assert.Empty(t, witness{}.note(), "nobody asked")
	assert.Empty(t, h.kills("/v1").note(), "the evidence says it")
}

func TestBeginOfAProcess(t *testing.T) {
	t.Parallel()
	h := files(t, map[string]string{
		"proc/stat":   "cpu 1 2\nbtime 1700000000\n",
		"proc/7/stat": "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1",
		"proc/8/stat": "8 (x) S 1",
	})
	assert.Equal(t, int64(1700000123450000000), h.began(7))
	assert.Zero(t, h.began(8))
	assert.Zero(t, h.began(9))
	mine := host{"/"}.began(uint32(os.Getpid()))
	assert.WithinDuration(t, time.Now(), utc(mine), time.Hour)
	boot, err := host{"/"}.bootID()
	require.NoError(t, err)
	assert.Len(t, boot, 36)
}

func TestLogIsReadFromItsFolderOnly(t *testing.T) {
	t.Parallel()
	h := files(t, map[string]string{"etc/shadow": "root:hunter2\n", "logs/web.log": "one\npassword=hunter2\ntwo\n", "logs/empty": ""})
	at := func(path string) string { return filepath.Join(h.root, path) }
	require.NoError(t, os.Symlink("../etc/shadow", at("logs/out")))
	require.NoError(t, os.Symlink("/etc/shadow", at("logs/far")))
	require.NoError(t, os.Symlink("web.log", at("logs/in")))
	require.NoError(t, syscall.Mkfifo(at("logs/pipe"), 0o600))
	cfg := Logs{Lines: 20, Bytes: 8 << 10, Folders: []string{"/logs"}}
	read := func(path string) (string, []string) {
		log := h.readTail(t.Context(), &tail{place: logPlace{Form: formRaw, Path: path}}, cfg)
		require.NotNil(t, log, path)
		return log.None, log.Lines
	}
	for _, path := range []string{"/logs/web.log", "/logs/in", "/logs/../logs/web.log"} {
		none, lines := read(path)
		assert.Empty(t, none, path)
		assert.Equal(t, []string{"one", "password=[redacted]", "two"}, lines)
	}
	for path, want := range map[string]string{
		"/etc/shadow": "not in a folder of logs.folders", "/logs/../etc/shadow": "not in a folder", "logs/web.log": "not in a folder",
		"/logs/out": "could not be read", "/logs/far": "could not be read", "/logs/pipe": "no regular file", "/logs": "no regular file",
		"/logs/none": "gone or was never written", "/logs/empty": "wrote nothing",
	} {
		none, lines := read(path)
		assert.Contains(t, none, want, path)
		assert.Empty(t, lines, path)
	}
	assert.Nil(t, h.readTail(t.Context(), &tail{label: "off"}, cfg))
	assert.Equal(t, noLog, h.readTail(t.Context(), &tail{}, cfg).None)
}

func TestLongLogIsReadFromItsEnd(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 30000 {
		text.WriteString("line " + strconv.Itoa(i) + "\n")
	}
	h := files(t, map[string]string{"logs/long": text.String()})
	log := h.readTail(t.Context(), &tail{place: logPlace{Form: formRaw, Path: "/logs/long"}, label: "2"}, Logs{Lines: 20, Bytes: 1000, Folders: []string{"/logs"}})
	assert.Equal(t, []string{"line 29998", "line 29999"}, log.Lines)
	assert.True(t, log.Cut)
}

func TestLinesOfEachForm(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()
	for name, tt := range map[string]struct {
		form, text string
		want       []string
	}{
		"pod":        {formPod, "2026-01-02T03:04:04Z stdout F old\n2026-01-02T03:04:06Z stdout P he\n2026-01-02T03:04:06Z stdout F llo\n2026-01-02T03:04:07.5Z stderr F \n2026-01-02T03:04:08Z stderr F by e\n", []string{"hello", "", "by e"}},
		"pod, odd":   {formPod, "short\n2026-01-02T03:04:06Z stdout F\nx y z w\n", []string{"short", "", "x y z w"}},
		"part first": {formPod, "2026-01-02T03:04:04Z stdout P old\n2026-01-02T03:04:06Z stdout F new\n", []string{"new"}},
		"JSON":       {formJSON, `{"log":"old\n","time":"2026-01-02T03:04:04Z"}` + "\n" + `{"log":"boom\n","stream":"stderr","time":"2026-01-02T03:04:06Z"}` + "\n{cut", []string{"boom", "{cut"}},
		"raw":        {formRaw, "a\r\n\nb", []string{"a", "", "b"}},
	} {
		assert.Equal(t, tt.want, linesOf(tt.form, []byte(tt.text), since), name)
	}
}

func FuzzLines(f *testing.F) {
	f.Add(formPod, []byte("2026-01-02T03:04:06Z stdout P he\n2026-01-02T03:04:06Z stdout F llo\n"), int64(0))
	f.Add(formJSON, []byte(`{"log":"boom\n","time":"2026-01-02T03:04:06Z"}`), int64(1)<<62)
	f.Fuzz(func(t *testing.T, form string, text []byte, since int64) {
		size := 0
		for _, line := range linesOf(form, text, since) {
			size += len(line)
		}
		if form == formRaw && size > len(text) {
			t.Fatal("more than there was")
		}
	})
}

func TestPlaceOfALog(t *testing.T) {
	t.Parallel()
	labels := func(pairs ...string) *containers.Container {
		c := &containers.Container{ID: "web", Labels: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			c.Labels[pairs[i]] = pairs[i+1]
		}
		return c
	}
	pod := labels("nerdctl/state-dir", "/x")
	pod.Extensions = map[string]*anypb.Any{"io.cri-containerd.container.metadata": {Value: []byte(`{"Version":"v1","Metadata":{"Config":{"envs":[{"key":"TOKEN"}]},"LogPath":"/var/log/pods/a/0.log"}}`)}}
	for name, tt := range map[string]struct {
		c    *containers.Container
		p    *native.Process
		want logPlace
	}{
		"pod":             {pod, nil, logPlace{Form: formPod, Path: "/var/log/pods/a/0.log"}},
		"nerdctl":         {labels("nerdctl/state-dir", "/s", "nerdctl/log-config", `{"driver":"json-file"}`), nil, logPlace{Form: formJSON, Path: "/s/web-json.log"}},
		"nerdctl, old":    {labels("nerdctl/state-dir", "/s"), nil, logPlace{Form: formJSON, Path: "/s/web-json.log"}},
		"nerdctl, moved":  {labels("nerdctl/state-dir", "/s", "nerdctl/log-config", `{"driver":"json-file","opts":{"log-path":"/l/x"}}`), nil, logPlace{Form: formJSON, Path: "/l/x"}},
		"nerdctl, driver": {labels("nerdctl/state-dir", "/s", "nerdctl/log-config", `{"driver":"journald"}`), nil, logPlace{None: "its logging driver journald keeps no file that can be read"}},
		"label":           {labels("containerd.io/restart.loguri", "file:///l/y"), &native.Process{Stdout: "file:///l/z"}, logPlace{Form: formRaw, Path: "/l/y"}},
		"task":            {labels(), &native.Process{Stdout: "file:///l/z"}, logPlace{Form: formRaw, Path: "/l/z"}},
		"program":         {labels(), &native.Process{Stdout: "binary:///bin/logger"}, logPlace{None: "its log goes to a program, which keeps what can't be read here"}},
		"pipe":            {labels(), &native.Process{Stdout: "/run/containerd/fifo/1/web-stdout"}, logPlace{None: noLog}},
		"nothing":         {labels(), nil, logPlace{None: noLog}},
	} {
		assert.Equal(t, tt.want, logPlaceOf(tt.c).orOf(tt.p), name)
	}
}
