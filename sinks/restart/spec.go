package restart

import (
	"bytes"
	"cmp"
	"net/url"
	"os"
	"strconv"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// What the tools that make containers leave in their labels and extensions.
const (
	labelLogURI          = "containerd.io/restart.loguri"
	labelNerdctlLogURI   = "nerdctl/log-uri"
	labelNerdctlName     = "nerdctl/name"
	labelNerdctlNetworks = "nerdctl/networks"
	labelNerdctlRemove   = "nerdctl/auto-remove"
	extensionCtrNetwork  = "ctr.cni-containerd.metadata"
)

const byNerdctl = "nerdctl set up its networks, and only nerdctl can do that again"

// spec is what matters of an OCI runtime spec.
type spec struct {
	Process struct {
		Terminal bool `json:"terminal"`
	} `json:"process"`
	Hooks map[string][]jsontext.Value `json:"hooks"`
	Linux struct {
		Namespaces []struct {
			Type string `json:"type"`
			Path string `json:"path"`
		} `json:"namespaces"`
	} `json:"linux"`
}

// setupOf says what of the container a new task would not have, because whoever made the container set it
// up outside containerd; empty if nothing. A task with half of its network is worse than a stopped one.
func setupOf(c *containers.Container) string {
	var s spec
	err := json.Unmarshal(c.GetSpec().GetValue(), &s)
	_, networks := c.GetLabels()[labelNerdctlNetworks]
	_, cni := c.GetExtensions()[extensionCtrNetwork]
	switch {
	case networks:
		return byNerdctl
	case cni:
		return "ctr set up its network, which a new task would not have"
	case err != nil:
		return "its spec can't be read"
	case s.hooked():
		return "its spec has hooks, which belong to the tool that made it"
	case s.networked():
		return "it runs in a network namespace that another tool made"
	case s.Process.Terminal:
		return "it has a terminal, to which nobody would be attached"
	case c.GetSnapshotter() == "" || c.GetSnapshotKey() == "":
		return "its root file system is not a snapshot of containerd"
	}
	return ""
}

func (s *spec) hooked() bool {
	for _, hooks := range s.Hooks {
		if len(hooks) > 0 {
			return true
		}
	}
	return false
}

func (s *spec) networked() bool {
	for _, n := range s.Linux.Namespaces {
		if n.Type == "network" && n.Path != "" {
			return true
		}
	}
	return false
}

// logOf returns where the output of the new task goes: where that of the last one went, or where the label
// of a tool says. Empty drops it, as a client's pipe has no reader any more.
func logOf(c *containers.Container, last *task.Process) string {
	for _, uri := range [...]string{last.GetStdout(), c.GetLabels()[labelNerdctlLogURI], c.GetLabels()[labelLogURI]} {
		if u, err := url.Parse(uri); err == nil && (u.Scheme == "file" || u.Scheme == "binary") {
			return uri
		}
	}
	return ""
}

// attached says that a client made pipes for the task's output: it may wait for the end to clean up.
func attached(p *task.Process) bool {
	u, err := url.Parse(p.GetStdout())
	return err != nil || u.Path != "" && u.Scheme == ""
}

func nameOf(c *containers.Container) string {
	return cmp.Or(c.GetLabels()[labelNerdctlName], c.GetID())
}

// runOf names a run as the events do, by its first process and the boot: containerd keeps no start time.
func runOf(p *task.Process, boot string) string {
	run := strconv.FormatUint(uint64(p.GetPid()), 10)
	if boot != "" {
		run += "-" + boot
	}
	return run
}

// bootOf is as much of the host's boot id as events have; empty if it can't be read.
func bootOf(path string) string {
	const enough = 12
	id, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	id = bytes.TrimSpace(id)
	return string(id[:min(len(id), enough)])
}
