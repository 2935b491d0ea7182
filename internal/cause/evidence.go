package cause

import (
	"slices"
	"time"
)

// Evidence is what a collector knows about the end of one run. The zero value of a field means that it
// is not known, or not so.
type Evidence struct {
	// Task is whose end it is. Built-in rows don't look at it; a user's may.
	Task Identity

	// ExitCode is nil when it can't be known; CodeFrom says where it was read when that is not the
	// runtime's own record, such as "the event", which a label can forge.
	ExitCode *int64
	CodeFrom string
	// Ran is from start to stop, 0 if unknown.
	Ran time.Duration

	// OOMFlag is the runtime's record, OOMEvent an event within this run. OOMCounted is the second
	// witness: the task's memory cgroup counted an out-of-memory kill in this run.
	OOMFlag, OOMEvent, OOMCounted bool

	// Kills are the signals that somebody sent through the runtime's API during this run, in order.
	Kills []Kill
	// NoKillRecord says that the runtime keeps no record of signals, so that none in Kills proves nothing.
	NoKillRecord bool
	// StopSignal is the signal that a stop request sends first; 0 means SIGTERM.
	StopSignal int
	// StopEvent says that the runtime reported a completed stop request.
	StopEvent bool
	// ExplicitlyStopped is a mark that whoever stopped the task left on it, such as the label
	// containerd.io/restart.explicitly-stopped=true. It is not to be set for a mark that an earlier run left.
	ExplicitlyStopped bool
	// StoppedAt is when the run ended, for the distance to the signals.
	StoppedAt time.Time
	// Removed says that the task was removed right after; AutoRemove that this was asked for at creation.
	Removed, AutoRemove bool

	// StartFailed says that no process ever ran; StateError is the runtime's own word for it.
	StartFailed bool
	StateError  string

	// Unhealthy says that the probe failed when the run ended; UnhealthyFor is how long before the
	// first signal that began, ProbeEvery the probe's interval.
	Unhealthy                bool
	UnhealthyFor, ProbeEvery time.Duration

	// RestartPolicy is the runtime's own, such as on-failure:3; Restarts counts the restarts that it made of
	// this task, NextRestart is how long it waits before the next one.
	RestartPolicy string
	Restarts      int64
	NextRestart   time.Duration
	// PolicyGaveUp says that the policy would have started it again, but has done so often enough.
	PolicyGaveUp bool

	// Service says that an orchestrator such as swarm wants the task to run for ever and stops it as it
	// likes. ScaledIn says that the orchestrator wants fewer tasks of the workload than before.
	Service, ScaledIn bool
	// Replaced says that a deploy put another task in its place: one of the same scope and workload with
	// another revision, such as compose's recreate with another config hash, or one that says whom it
	// replaces, was created within seconds of the end. ReplacedBy is its revision. Any other new task of
	// the same revision is no deploy.
	Replaced   bool
	ReplacedBy string

	// OwnAction says that a restart handler of ours is acting on the task.
	OwnAction bool
	// Shutdown says that the whole runtime or host went down within seconds of the end. For an end that
	// was Unseen it takes a proof: another boot of the host since, or an end at the same time as the
	// runtime's own.
	Shutdown bool
	// Together counts the tasks that were asked to stop within the same second.
	Together int
	// Unseen says that the end was inferred from a snapshot; Restarted that another run had begun by
	// then, and PolicyRestarted that the runtime's policy began it.
	Unseen, Restarted, PolicyRestarted bool
	// RuntimeDown says that the run ended between two lives of the runtime: no event told of it, and an
	// out-of-memory kill can't be known.
	RuntimeDown bool

	// StopCode is the platform's word for the kind of stop and StopReason its text, as ECS has them. Texts of a
	// platform may hold what a stranger wrote; their secrets are to be taken out before.
	StopCode, StopReason string
	// Parts are the containers of a task that has several, or whose platform tells of each: the one that the
	// stop came from first, as far as that is known.
	Parts []Part
	// StopTook is how long the platform waited for its containers to end, from its own request to the end of the
	// last one; 0 if it is not known.
	StopTook time.Duration
	// Draining says that its host was being drained or scaled in when it ended.
	Draining bool
	// Spot says that EC2 took its host back.
	Spot bool
	// FailedAttachment is the platform's word for what it could not attach to the task, such as
	// ElasticBlockStorage or ElasticNetworkInterface.
	FailedAttachment string
	// Requester is who asked for the stop by name, Deployment the one that replaced it or scaled it in, and
	// Host where it ran; each is empty if it is not known.
	Requester, Deployment, Host string

	notes []string // of rows that failed
	names *names   // what a user's rows see, made for the first of them

	seenPlatform *platform // what the platform's texts come to, made for the first row that asks
	from         source    // where the stop came from, set by the row that matched
}

// Part is one container of a task.
type Part struct {
	Name, Image string
	// ExitCode is nil if it never ran or nobody knows.
	ExitCode *int64
	// Reason is the platform's text about it.
	Reason string
	// Essential says whether the task ends with it; nil if that is not known.
	Essential *bool
}

// Identity is a task in the words of the events.
type Identity struct {
	Scope, Workload, Revision, Name, Image string
	Labels                                 map[string]string
}

// Kill is one signal sent through the API.
type Kill struct {
	Signal int
	At     time.Time
}

// Signals by number, as the tables need them.
const (
	sigInt  = 2
	sigQuit = 3
	sigAbrt = 6
	sigKill = 9
	sigTerm = 15
)

// patience is how long after a signal an end still counts as its effect when nothing else says so:
// the default grace of a stop request.
const patience = 10 * time.Second

// Ends reports whether a signal sent through the API asks a task to end: its own stop signal, or one
// that operators use for it.
func Ends(signal, stopSignal int) bool {
	return signal != 0 && (signal == stopSignal || slices.Contains([]int{sigTerm, sigInt, sigQuit, sigAbrt, sigKill}, signal))
}

// requested reports whether somebody asked for the stop. A signal long before the end proves nothing,
// unless the runtime completed a stop request or SIGKILL left no choice.
func (e *Evidence) requested() bool {
	if e.StopEvent || e.ExplicitlyStopped {
		return true
	}
	for _, k := range e.Kills {
		if !Ends(k.Signal, e.StopSignal) {
			continue
		}
		if k.Signal == sigKill || e.StoppedAt.IsZero() || e.StoppedAt.Sub(k.At) <= patience {
			return true
		}
	}
	return false
}

// unclaimed reports an end of which nothing tells who wanted it, where a request would leave no trace.
func (e *Evidence) unclaimed() bool {
	return e.gone() || e.NoKillRecord && e.code(128+sigKill, 128+sigTerm) && !e.oom()
}

func (e *Evidence) killed() bool {
	return slices.ContainsFunc(e.Kills, func(k Kill) bool { return k.Signal == sigKill })
}

// asked reports whether a gentler signal than SIGKILL was sent first.
func (e *Evidence) asked() bool {
	return slices.ContainsFunc(e.Kills, func(k Kill) bool { return k.Signal != sigKill && Ends(k.Signal, e.StopSignal) })
}

func (e *Evidence) code(codes ...int64) bool {
	return e.ExitCode != nil && slices.Contains(codes, *e.ExitCode)
}

func (e *Evidence) oom() bool { return e.OOMFlag || e.OOMEvent || e.OOMCounted }

// gone reports an end of which only traces are left.
func (e *Evidence) gone() bool { return e.ExitCode == nil && e.Unseen }

// always reports a restart policy that wants the task to run for ever.
func (e *Evidence) always() bool {
	return e.RestartPolicy == "always" || e.RestartPolicy == "unless-stopped"
}

// probed reports a probe that failed shortly before the stop request, which then was made because of it.
func (e *Evidence) probed() bool {
	return e.Unhealthy && e.UnhealthyFor <= max(e.ProbeEvery, 30*time.Second)
}
