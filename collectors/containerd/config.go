package containerd

import (
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// Config says which containerd is watched and how.
type Config struct {
	// Address is the path of containerd's socket, also as unix:///path.
	Address string `yaml:"address"`
	// Namespaces are the only ones that are watched; empty is all that are not skipped.
	Namespaces []string `yaml:"namespaces"`
	// SkipNamespaces are left to other collectors.
	SkipNamespaces []string `yaml:"skip_namespaces"`
	Logs           Logs     `yaml:"logs"`
	// SnapshotEvery is how often all containers are looked at, to find what the stream lost.
	SnapshotEvery time.Duration `yaml:"snapshot_every"`
	// HostRoot is where the host's file system is seen, such as /host within a container. Logs, /proc and
	// /sys/fs/cgroup are read below it.
	HostRoot string `yaml:"host_root"`
}

// Logs bounds the log tail of an unexpected stop. The label bellbuoy.logs overrides Lines.
type Logs struct {
	// Lines is how many lines are read; 0 is none.
	Lines int `yaml:"lines"`
	// Bytes bounds all lines together.
	Bytes int `yaml:"bytes"`
	// Folders are the only ones that logs are read from: which file is a container's log, its labels say,
	// and an image can bring labels along.
	Folders []string `yaml:"folders"`
}

const (
	maxLogLines = 200
	maxLogBytes = 32 << 10
)

// DefaultConfig returns the local containerd without the namespaces of Docker and Kubernetes.
func DefaultConfig() Config {
	return Config{
		Address: "/run/containerd/containerd.sock", SkipNamespaces: []string{"moby", "plugins.moby", "k8s.io"},
		SnapshotEvery: time.Minute, HostRoot: "/",
		Logs: Logs{Lines: 20, Bytes: 8 << 10, Folders: []string{"/var/log/pods", "/var/lib/nerdctl"}},
	}
}

// Validate returns every fault of the config.
func (c *Config) Validate() error {
	var faults []error
	add := func(key, format string, args ...any) { faults = append(faults, fault.At(key, format, args...)) }
	if !filepath.IsAbs(c.socket()) {
		add("address", "%q is no path of a socket; use /run/containerd/containerd.sock or the like", c.Address)
	}
	for _, list := range []struct {
		key   string
		names []string
	}{{"namespaces", c.Namespaces}, {"skip_namespaces", c.SkipNamespaces}} {
		for _, name := range list.names {
			if !validNamespace.MatchString(name) {
				add(list.key, "%q can't be the name of a namespace; containerd allows letters, digits and single . _ - between them", name)
			}
		}
	}
	if c.Logs.Lines < 0 || c.Logs.Lines > maxLogLines {
		add("logs.lines", "%d lines; use 0 (no log) to %d", c.Logs.Lines, maxLogLines)
	}
	if c.Logs.Bytes < 0 || c.Logs.Bytes > maxLogBytes {
		add("logs.bytes", "%d bytes; use 0 to %d", c.Logs.Bytes, maxLogBytes)
	}
	for _, folder := range c.Logs.Folders {
		if !filepath.IsAbs(folder) || filepath.Clean(folder) == "/" {
			add("logs.folders", "%q is no folder of logs; use a full path such as /var/log/pods", folder)
		}
	}
	if c.SnapshotEvery < time.Second || c.SnapshotEvery > time.Hour {
		add("snapshot_every", "%s is out of range; use 1s to 1h", c.SnapshotEvery)
	}
	if !filepath.IsAbs(c.HostRoot) {
		add("host_root", "%q is no full path; use / or where the host's file system is mounted", c.HostRoot)
	}
	return errors.Join(faults...)
}

var validNamespace = regexp.MustCompile(`^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$`)

func (c *Config) socket() string { return strings.TrimPrefix(c.Address, "unix://") }

// watches reports whether a namespace is watched, as far as names tell. One that is named is, even if
// the list of those to skip has it by default.
func (c *Config) watches(namespace string) bool {
	if len(c.Namespaces) > 0 {
		return slices.Contains(c.Namespaces, namespace)
	}
	return !slices.Contains(c.SkipNamespaces, namespace)
}
