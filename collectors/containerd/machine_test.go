package containerd

import (
	"bytes"
	"testing"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/types"
	native "github.com/containerd/containerd/api/types/task"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const (
	second = int64(time.Second)
	begin  = int64(1_800_000_000) * second
)

func newTestMachine(boot string) *machine {
	m := newMachine(origin{"site", "node", "engine", boot}, tableOf(nil), begin)
	m.holds = func(*task, *stop) time.Duration { return 0 }
	return m
}

// do plays an event at a time after the begin.
func do(m *machine, after int64, topic string, change ...func(*input)) step {
	in := input{record: &record{at: begin + after, namespace: "ns", topic: topic, id: "web", pid: 7}}
	if topic == topicExited || topic == topicDeleted {
		in.process, in.exited = "web", in.at
	}
	in.now = in.at
	for _, c := range change {
		c(&in)
	}
	return m.event(in)
}

func factsAt(after int64, change ...func(*facts)) *facts {
	f := &facts{at: begin + after, namespace: "ns", id: "web", created: begin + second, policy: "no"}
	for _, c := range change {
		c(f)
	}
	return f
}

func marked(f *facts) { f.onPurpose = true }

func causeOf(t *testing.T, outs []out) *event.Cause {
	t.Helper()
	for _, o := range outs {
		if o.event.Type == event.TaskStopped {
			o.event.Recorded = time.Now()
			require.NoError(t, event.Validate(&o.event))
			return o.event.Data.Cause
		}
	}
	require.Fail(t, "no stop")
	return nil
}

func typesOf(outs []out) []string {
	var names []string
	for _, o := range outs {
		names = append(names, o.event.Type.Event())
	}
	return names
}

// TestMarkOfASignalThatEndsNothing: nerdctl marks a container for every signal that it sends.
func TestMarkOfASignalThatEndsNothing(t *testing.T) {
	t.Parallel()
	for after, class := range map[int64]string{3 * second: "user.stop", 60 * second: "exit.error"} {
		m := newTestMachine("boot")
		do(m, second, topicCreated, func(in *input) { in.facts = factsAt(second) })
		do(m, 2*second, topicStarted, func(in *input) { in.facts = factsAt(2 * second) })
		s := do(m, 3*second, topicUpdated, func(in *input) { in.facts = factsAt(3*second, marked) })
		assert.Equal(t, []string{"stopping"}, typesOf(s.outs))
		s = do(m, 3*second+after, topicExited, func(in *input) { in.code = 1 })
		assert.Equal(t, class, causeOf(t, s.outs).Class)
	}
}

func TestRunOfAnotherBoot(t *testing.T) {
	t.Parallel()
	m := newTestMachine("1111111111111111")
	do(m, second, topicStarted, func(in *input) { in.facts = factsAt(second) })
	after := newTestMachine("2222222222222222")
	after.tasks["ns/web"] = &task{namespace: "ns", id: "web", memory: m.tasks["ns/web"].remembered()}
	require.Equal(t, 1, after.snapshot(factsAt(60*second)).unsure)
	d := after.snapshot(factsAt(61 * second))
	c := causeOf(t, d.outs)
	assert.Equal(t, "host.shutdown", c.Class)
	assert.True(t, c.Expected)
	d = after.snapshot(factsAt(70*second, func(f *facts) { f.pid, f.status = 7, native.Status_RUNNING }))
	assert.Equal(t, []string{"started"}, typesOf(d.outs), "the same process id in another boot is another run")
}

// TestListsAndEventsAreNotInStep: a list that is older than an event changes nothing, and what is missing
// from one list is not lost yet.
func TestListsAndEventsAreNotInStep(t *testing.T) {
	t.Parallel()
	m := newTestMachine("boot")
	do(m, 2*second, topicCreated, func(in *input) { in.facts = factsAt(2 * second) })
	assert.Empty(t, m.vanished(nil, begin+second).outs, "the list is older than the container")
	do(m, 3*second, topicStarted, func(in *input) { in.facts = factsAt(3 * second) })
	assert.Zero(t, m.snapshot(factsAt(2*second)).unsure, "the list is older than the start")
	assert.Equal(t, 1, m.snapshot(factsAt(4*second)).unsure)
	s := do(m, 5*second, topicExited, func(in *input) { in.code = 3 })
	assert.Equal(t, "exit.error", causeOf(t, s.outs).Class, "the end was on its way")
	assert.Zero(t, m.snapshot(factsAt(6*second)).unsure)
	assert.Empty(t, do(m, 7*second, topicDeleted).outs)
	assert.Equal(t, 1, m.vanished(nil, begin+8*second).unsure)
	s = do(m, 8*second, topicRemoved)
	assert.Equal(t, []string{"removed"}, typesOf(s.outs))
	assert.Empty(t, m.snapshot(factsAt(7*second)).outs, "the list is older than the removal")
	assert.Empty(t, m.vanished(nil, begin+9*second).outs)
	assert.Equal(t, []string{"created"}, typesOf(m.snapshot(factsAt(20*second, func(f *facts) { f.created = f.at })).outs), "the id is used again")
}

func TestEndWithoutAnEventOfIt(t *testing.T) {
	t.Parallel()
	m := newTestMachine("boot")
	do(m, 2*second, topicStarted, func(in *input) { in.facts = factsAt(2 * second) })
	s := do(m, 3*second, topicDeleted, func(in *input) { in.code = 4 })
	assert.Equal(t, []string{"stopped"}, typesOf(s.outs), "its deletion tells it, too")

	m = newTestMachine("boot")
	do(m, 2*second, topicStarted, func(in *input) { in.facts = factsAt(2*second, func(f *facts) { f.policy = "always" }) })
	s = do(m, 3*second, topicStarted, func(in *input) { in.pid = 8 })
	assert.Equal(t, []string{"stopped", "started"}, typesOf(s.outs))
	c := causeOf(t, s.outs)
	assert.Equal(t, "unknown.lost", c.Class)
	assert.False(t, c.Expected)
	s = do(m, 4*second, topicExited, func(in *input) { in.pid, in.exited = 7, begin+2*second })
	assert.Equal(t, "older than the run that is known", s.ignored)
}

func TestTaskThatEndsBeforeItIsStarted(t *testing.T) {
	t.Parallel()
	m := newTestMachine("boot")
	do(m, second, topicCreated, func(in *input) { in.facts = factsAt(second) })
	do(m, 2*second, topicPrepared)
	s := do(m, 3*second, topicExited, func(in *input) { in.code = 137 })
	assert.Equal(t, "start.error", causeOf(t, s.outs).Class)
	assert.Equal(t, []string{"removed"}, typesOf(do(m, 4*second, topicRemoved).outs))
}

func TestNamespaceThatVanishes(t *testing.T) {
	t.Parallel()
	m := newTestMachine("boot")
	do(m, 2*second, topicStarted, func(in *input) { in.facts = factsAt(2 * second) })
	require.Equal(t, 1, m.vanished(map[string]bool{"other/web": true}, begin+10*second).unsure)
	d := m.vanished(map[string]bool{"other/web": true}, begin+11*second)
	assert.Equal(t, []string{"stopped", "removed"}, typesOf(d.outs))
	assert.Equal(t, "unknown.lost", causeOf(t, d.outs).Class)
}

func TestHeldEndIsRememberedAsOpen(t *testing.T) {
	t.Parallel()
	m := newTestMachine("boot")
	m.holds = hold
	do(m, 2*second, topicStarted, func(in *input) { in.facts = factsAt(2 * second) })
	s := do(m, 3*second, topicExited, func(in *input) { in.code = 137 })
	require.True(t, s.held)
	assert.True(t, m.tasks["ns/web"].Exited)
	assert.False(t, m.tasks["ns/web"].remembered().Exited, "a crash finds it again")
	assert.Empty(t, m.due(begin+3*second))
	assert.Len(t, m.due(m.next()), 1)
	assert.True(t, m.tasks["ns/web"].remembered().Exited)
}

func FuzzRecord(f *testing.F) {
	for topic := range readers {
		f.Add(topic, "ns", []byte("\n\x03web\x12\x03web\x18\x07"))
	}
	f.Add("/shiny/new", "", []byte{0xff})
	f.Fuzz(func(t *testing.T, topic, namespace string, value []byte) {
		r, ok, err := recordOf(&types.Envelope{Topic: topic, Namespace: namespace, Event: &anypb.Any{Value: value}})
		if ok && (err != nil || r.id == "") {
			t.Fatal("a record without a container")
		}
		if !ok || handlers[r.topic] == nil {
			return
		}
		m := newTestMachine("boot")
		for range 2 {
			for _, o := range m.event(input{record: r}).outs {
				e := o.event
				e.Time = e.Time.Add(time.Hour)
				if _, err := event.Append(nil, &e); err != nil && len(e.Subject) <= 1<<10 && r.exited >= 0 {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestTextThatIsNoText(t *testing.T) {
	t.Parallel()
	want := &containers.Container{ID: "web", Labels: map[string]string{"odd": "xAAAy"}, Image: "AAA:1", Spec: &anypb.Any{Value: []byte("AAA\xfe")}}
	b, err := proto.Marshal(&containers.GetContainerResponse{Container: want})
	require.NoError(t, err)
	odd := bytes.ReplaceAll(b, []byte("AAA"), []byte("\xff\xfe\xfd"))
	var got containers.GetContainerResponse
	require.Error(t, proto.Unmarshal(odd, &got))
	require.NoError(t, codec{}.Unmarshal(odd, &got))
	assert.Equal(t, map[string]string{"odd": "x\ufffdy"}, got.Container.Labels)
	assert.Equal(t, "\ufffd:1", got.Container.Image)
	assert.Equal(t, []byte("\xff\xfe\xfd\xfe"), got.Container.Spec.Value, "bytes are no text")
	require.Error(t, codec{}.Unmarshal(odd[:len(odd)-3], &got))
	require.Error(t, codec{}.Unmarshal(odd, "no message"))
}

func TestRemovalsOfStrangersDiffer(t *testing.T) {
	t.Parallel()
	m := newTestMachine("boot")
	first, second := do(m, second, topicRemoved), do(m, 2*second, topicRemoved)
	assert.NotEqual(t, first.outs[0].event.ID, second.outs[0].event.ID, "an id is used again")
}
