package containerd

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// podRecord is what an event of the Kubernetes runtime interface says beyond containerd's own.
type podRecord struct {
	run     string // when it was started, in place of a process id
	oom     bool
	failure string // the runtime's reason
	labels  map[string]string
	sandbox bool
}

// podEvent is an event of the Kubernetes runtime interface (GetContainerEvents) as people record it.
// Live, it is never asked for: on containerd 1.7 it would be taken away from the kubelet.
type podEvent struct {
	ContainerID string `json:"containerId"`
	Type        string `json:"type"`
	CreatedAt   int64  `json:"createdAt"` // ns
	Pod         *struct {
		Name, Namespace string
	} `json:"pod"`
	Containers []podContainer `json:"containers"`
}

type podContainer struct {
	ID, Name, Reason      string
	ExitCode              int64
	StartedAt, FinishedAt int64 // ns
}

func podTopic(typ string) string {
	switch typ {
	case "CONTAINER_CREATED_EVENT":
		return topicCreated
	case "CONTAINER_STARTED_EVENT":
		return topicStarted
	case "CONTAINER_STOPPED_EVENT":
		return topicExited
	case "CONTAINER_DELETED_EVENT":
		return topicRemoved
	}
	return typ
}

// readPod reads a recorded event of the Kubernetes runtime interface. A container that is not among
// those of its pod is the pod's sandbox, or deleted.
func readPod(text []byte) (*record, error) {
	var e podEvent
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, unread(err)
	}
	if e.ContainerID == "" || e.CreatedAt <= 0 || e.Pod == nil {
		return nil, errors.New("not an event of containerd: containerId, createdAt or pod is missing")
	}
	r := &record{
		at: e.CreatedAt, namespace: "k8s.io", topic: podTopic(e.Type), id: e.ContainerID, process: e.ContainerID,
		pod: &podRecord{labels: map[string]string{labelPod: e.Pod.Name, labelPodNamespace: e.Pod.Namespace}},
	}
	i := slices.IndexFunc(e.Containers, func(c podContainer) bool { return c.ID == e.ContainerID })
	if r.pod.sandbox = i < 0; r.pod.sandbox {
		return r, nil
	}
	c := e.Containers[i]
	r.code, r.exited = c.ExitCode, max(c.FinishedAt, 0)
	r.pod.run, r.pod.oom, r.pod.failure = decimal(c.StartedAt), c.Reason == "OOMKilled", redact.Text(c.Reason)
	r.pod.labels[labelPodContainer] = c.Name
	return r, nil
}

// facts are what a recorded event tells of its container.
func (p *podRecord) facts(r *record) *facts {
	return &facts{
		at: r.at, namespace: r.namespace, id: r.id, name: redact.Clean(nameOf(p.labels)), labels: redact.Labels(p.labels), policy: "no",
	}
}
