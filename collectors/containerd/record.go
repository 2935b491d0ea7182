package containerd

import (
	"fmt"
	"time"

	"github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// record is one native event, however it came.
type record struct {
	at               int64 // of the envelope, ns
	namespace, topic string
	id               string // container
	process          string // whose end or deletion it is: the container's id, or an exec's
	pid              uint32
	code             int64
	exited           int64 // exitedAt, ns, 0 unknown
	image            string
	pod              *podRecord // of the Kubernetes runtime interface, in recordings only
}

// key is a container's name within one containerd. Neither part can hold a slash.
func key(namespace, id string) string { return namespace + "/" + id }

func (r *record) key() string { return key(r.namespace, r.id) }

// The topics that are transitions, or evidence for one.
const (
	topicCreated   = "/containers/create"
	topicUpdated   = "/containers/update"
	topicRemoved   = "/containers/delete"
	topicPrepared  = "/tasks/create"
	topicStarted   = "/tasks/start"
	topicExited    = "/tasks/exit"
	topicDeleted   = "/tasks/delete"
	topicOOM       = "/tasks/oom"
	topicPaused    = "/tasks/paused"
	topicResumed   = "/tasks/resumed"
	topicSpaceGone = "/namespaces/delete"
	topicWaited    = "wait" // no event, but the answer to who waited for the end
)

// recordOf reads an event of the stream. ok is false for a topic that is no transition.
func recordOf(e *types.Envelope) (r *record, ok bool, err error) {
	r = &record{at: nanos(e.GetTimestamp()), namespace: e.GetNamespace(), topic: e.GetTopic()}
	read := readers[r.topic]
	if read == nil {
		return nil, false, nil
	}
	if err := read(e.GetEvent().GetValue(), r); err != nil {
		return nil, false, fmt.Errorf("read event %s of containerd: %w", r.topic, err)
	}
	return r, r.id != "", nil
}

// readers take from each event what is needed.
var readers = map[string]func([]byte, *record) error{
	topicCreated: func(b []byte, r *record) error {
		var e events.ContainerCreate
		err := proto.Unmarshal(b, &e)
		r.id, r.image = e.ID, e.Image
		return err
	},
	topicUpdated: func(b []byte, r *record) error {
		var e events.ContainerUpdate
		err := proto.Unmarshal(b, &e)
		r.id, r.image = e.ID, e.Image
		return err
	},
	topicRemoved: func(b []byte, r *record) error {
		var e events.ContainerDelete
		err := proto.Unmarshal(b, &e)
		r.id = e.ID
		return err
	},
	topicPrepared: func(b []byte, r *record) error {
		var e events.TaskCreate
		err := proto.Unmarshal(b, &e)
		r.id, r.pid = e.ContainerID, e.Pid
		return err
	},
	topicStarted: func(b []byte, r *record) error {
		var e events.TaskStart
		err := proto.Unmarshal(b, &e)
		r.id, r.pid = e.ContainerID, e.Pid
		return err
	},
	topicExited: func(b []byte, r *record) error {
		var e events.TaskExit
		err := proto.Unmarshal(b, &e)
		r.id, r.process, r.pid, r.code, r.exited = e.ContainerID, e.ID, e.Pid, int64(e.ExitStatus), nanos(e.ExitedAt)
		return err
	},
	topicDeleted: func(b []byte, r *record) error {
		var e events.TaskDelete
		err := proto.Unmarshal(b, &e)
		r.id, r.process, r.pid, r.code, r.exited = e.ContainerID, e.ID, e.Pid, int64(e.ExitStatus), nanos(e.ExitedAt)
		if r.process == "" { // the first process of the task
			r.process = r.id
		}
		return err
	},
	topicOOM: func(b []byte, r *record) error {
		var e events.TaskOOM
		err := proto.Unmarshal(b, &e)
		r.id = e.ContainerID
		return err
	},
	topicPaused: func(b []byte, r *record) error {
		var e events.TaskPaused
		err := proto.Unmarshal(b, &e)
		r.id = e.ContainerID
		return err
	},
	topicResumed: func(b []byte, r *record) error {
		var e events.TaskResumed
		err := proto.Unmarshal(b, &e)
		r.id = e.ContainerID
		return err
	},
	topicSpaceGone: func(b []byte, r *record) error {
		var e events.NamespaceDelete
		err := proto.Unmarshal(b, &e)
		r.namespace, r.id = e.Name, e.Name
		return err
	},
}

// nanos is 0 for no time and for what Go's zero time became on the way.
func nanos(t *timestamppb.Timestamp) int64 {
	if t.GetSeconds() <= 0 {
		return 0
	}
	return t.AsTime().UnixNano()
}

func utc(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
