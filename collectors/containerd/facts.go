package containerd

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	native "github.com/containerd/containerd/api/types/task"

	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// Labels that others set.
const (
	labelDocker        = "com.docker/engine.bundle.path" // the only one on a container of a Docker daemon
	labelKind          = "io.cri-containerd.kind"
	labelPod           = "io.kubernetes.pod.name"
	labelPodNamespace  = "io.kubernetes.pod.namespace"
	labelPodContainer  = "io.kubernetes.container.name"
	labelNerdctlName   = "nerdctl/name"
	labelAutoRemove    = "nerdctl/auto-remove"
	labelRestart       = "containerd.io/restart.policy"
	labelRestartStatus = "containerd.io/restart.status"
	labelRestartCount  = "containerd.io/restart.count"
	labelOnPurpose     = "containerd.io/restart.explicitly-stopped"
	labelError         = "nerdctl/error"        // what nerdctl could not do last
	labelGrace         = "nerdctl/stop-timeout" // s
)

// facts is what containerd told about a container and its task. The environment, the command line and
// the mounts are left behind here, so that nothing downstream can leak them.
type facts struct {
	at            int64 // when containerd was asked, ns
	namespace, id string
	name          string // empty if it has no other than its id
	image, digest string
	labels        map[string]string // redacted
	created       int64             // CreatedAt, ns
	policy        string
	autoRemove    bool
	restarts      int64
	onPurpose     bool   // marked by who stops it
	grace         int64  // ns, how long after the mark it may end
	failure       string // of its first start, in its client's words
	owner         string
	cgroup        string // as the runtime's spec says
	log           logPlace

	// Of the task; pid 0 is none.
	pid    uint32
	status native.Status
	code   int64
	exited int64 // ns, 0 unknown
	began  int64 // ns, when the process began as the kernel says, 0 unknown
	down   int64 // since when containerd was down before it was asked, ns, 0 if it was not
}

// Who tells of a container, if not we.
const (
	ownedByDocker = "the Docker daemon that owns the container tells of it"
	ownedByPod    = "it holds a pod together and runs nothing of its own"
)

// factsOf takes from a container what may be known; p is its task or nil.
func factsOf(namespace string, c *containers.Container, p *native.Process, at int64) *facts {
	l := c.Labels
	f := &facts{
		at: at, namespace: namespace, id: c.ID, image: redact.Text(c.Image), labels: labelsOf(l), created: nanos(c.CreatedAt),
		grace: graceOf(l), failure: failureOf(l), name: redact.Clean(nameOf(l)), policy: redact.Clean(policyOf(l)), autoRemove: l[labelAutoRemove] == "true",
		onPurpose: l[labelOnPurpose] == "true", owner: ownerOf(l), cgroup: cgroupOf(c), log: logPlaceOf(c).orOf(p),
	}
	f.restarts, _ = strconv.ParseInt(l[labelRestartCount], 10, 64)
	if p != nil {
		f.pid, f.status, f.code, f.exited = p.Pid, p.Status, int64(p.ExitStatus), nanos(p.ExitedAt)
	}
	return f
}

func (f *facts) key() string { return key(f.namespace, f.id) }

func (f *facts) stopped() bool { return f.status == native.Status_STOPPED }

func (f *facts) running() bool {
	return f.status == native.Status_RUNNING || f.status == native.Status_PAUSED || f.status == native.Status_PAUSING
}

// internals are notes that nerdctl makes for itself, long and of no use to anybody else.
var internals = [...]string{
	"nerdctl/dns", "nerdctl/extraHosts", "nerdctl/host-config", "nerdctl/ipc", "nerdctl/log-config", "nerdctl/log-uri", "nerdctl/mounts",
	"nerdctl/ports", "nerdctl/state-dir",
}

func labelsOf(labels map[string]string) map[string]string {
	told := redact.Labels(labels)
	for _, name := range internals {
		delete(told, name)
	}
	if len(told) == 0 {
		return nil
	}
	return told
}

// graceOf is how long after its mark a container that is asked to stop may take.
func graceOf(labels map[string]string) int64 {
	const usual, margin = 10 * time.Second, 5 * time.Second
	if s, err := strconv.ParseInt(labels[labelGrace], 10, 32); err == nil && s > 0 {
		return int64(time.Duration(s)*time.Second + margin)
	}
	return int64(usual + margin)
}

// failureOf is why the first start failed. nerdctl notes there what else it could not do, too.
func failureOf(labels map[string]string) string {
	text := labels[labelError]
	if strings.HasPrefix(text, "cannot kill") || strings.Contains(text, "is not running") {
		return ""
	}
	return redact.Text(text)
}

func ownerOf(labels map[string]string) string {
	switch {
	case labels[labelDocker] != "":
		return ownedByDocker
	case labels[labelKind] == "sandbox":
		return ownedByPod
	}
	return ""
}

func nameOf(labels map[string]string) string {
	if pod := labels[labelPod]; pod != "" {
		return podName(pod, labels[labelPodContainer])
	}
	return labels[labelNerdctlName]
}

func podName(pod, container string) string {
	if container == "" {
		return pod
	}
	return pod + "/" + container
}

// policyOf is the policy of containerd's restart plugin. Its first version had only a wanted status.
func policyOf(labels map[string]string) string {
	policy, wanted := labels[labelRestart], labels[labelRestartStatus]
	switch {
	case policy != "":
		return policy
	case wanted == "running":
		return "always"
	}
	return "no"
}

// cgroupOf reads the control group from the runtime's spec, and nothing else of it.
func cgroupOf(c *containers.Container) string {
	var spec struct {
		Linux struct {
			CgroupsPath string `json:"cgroupsPath"`
		} `json:"linux"`
	}
	if json.Unmarshal(c.GetSpec().GetValue(), &spec) != nil {
		return ""
	}
	return spec.Linux.CgroupsPath
}
