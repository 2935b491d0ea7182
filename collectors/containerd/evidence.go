package containerd

import (
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// evidence is what is known about an end, for the table of causes.
func (m *machine) evidence(t *task, end *stop) cause.Evidence {
	e := cause.Evidence{
		Task: t.identity(), ExitCode: end.code, OOMEvent: t.OOM, OOMFlag: end.oomFlag, OOMCounted: end.witness.kills > 0,
		NoKillRecord: true, ExplicitlyStopped: t.onPurpose(end.at), StoppedAt: utc(end.at), AutoRemove: t.Auto,
		StartFailed: end.failed, StateError: end.failure, RestartPolicy: t.Policy, Restarts: t.Restarts,
		OwnAction: m.acting != nil && m.acting(t.id), Unseen: end.unseen, RuntimeDown: end.down,
		Shutdown: end.reboot && end.code == nil,
	}
	if end.failed {
		e.OOMEvent, e.ExplicitlyStopped = false, false
		return e
	}
	if end.restarted && restarts(t.Policy) {
		e.Restarted, e.PolicyRestarted = true, true
	}
	if t.Started > 0 && end.at > t.Started && (!end.unseen || end.code != nil) {
		e.Ran = time.Duration(end.at - t.Started)
	}
	return e
}

func restarts(policy string) bool { return policy != "" && policy != "no" }

// booted reports a run of the boot that the host is in.
func (o *origin) booted(run string) bool {
	return strings.HasSuffix(run, o.run(0)[1:])
}

func (m *machine) stopEvent(t *task, end *stop, c event.Cause) event.Event {
	e := m.make(t, event.TaskStopped, end.key, end.at, end.seen)
	e.Data.Cause, e.Data.Native = &c, end.native
	e.Data.Task.State, e.Data.Task.PreviousState = event.StateStopped, event.StateRunning
	e.Data.Task.Times.Stopped = utc(end.at)
	switch {
	case end.failed:
		e.Data.Task.PreviousState = event.StateCreated
	case t.onPurpose(end.at):
		e.Data.Task.PreviousState = event.StateStopping
	}
	only := &e.Data.Task.Containers[0]
	only.ExitCode, only.Reason = end.code, end.failure
	only.OOMKilled = !end.failed && (t.OOM || end.oomFlag || end.witness.kills > 0)
	if end.code != nil && !end.failed {
		only.Signal = cause.SignalOf(*end.code)
	}
	finish(&e, cause.Sentence(t.title(), c))
	return e
}
