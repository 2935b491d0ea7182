package restart

import (
	"fmt"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// The labels that a task opts in with.
const (
	labelRestart = "bellbuoy.restart"
	labelBudget  = "bellbuoy.restart.budget"
)

// The values of bellbuoy.restart.
const (
	wantOff       = "off"
	wantOnFailure = "on-failure" // unexpected stops
	wantUnhealthy = "unhealthy"  // failing probes
	wantAlways    = "always"     // both, and a stop with exit code 0
)

// Kind is what is done.
type Kind string

// The kinds. The zero Kind is nothing.
const (
	Start   Kind = "start"
	Restart Kind = "restart"

	// Stop, Run and Redeploy are those of ECS: stop a hung task, which its service replaces; run a standalone
	// task once more; deploy a service anew as it is.
	Stop     Kind = "stop"
	Run      Kind = "run"
	Redeploy Kind = "redeploy"
)

// The rules that refuse, in the order in which they are asked. RuleAllowed refuses nothing.
const (
	RuleAllowed       = "allowed"
	RuleNoTrigger     = "no_trigger"
	RuleNotOptedIn    = "not_opted_in"
	RuleBadLabel      = "bad_label"
	RuleOwner         = "owner"
	RuleGone          = "gone"
	RuleAutoRemove    = "auto_remove"
	RulePolicy        = "runtime_policy"
	RuleSetup         = "foreign_setup"
	RuleOwnAction     = "own_action"
	RuleOperator      = "operator"
	RuleExpected      = "expected"
	RuleUnsure        = "unsure"
	RuleTooOld        = "too_old"
	RuleReplay        = "replay"
	RuleDuplicate     = "duplicate"
	RuleMovedOn       = "moved_on"
	RuleRecovered     = "recovered"
	RuleBudget        = "budget"
	RuleDependency    = "dependency"
	RuleOtherRuntimes = "no_restarter"
)

// Policy is what the config allows.
type Policy struct {
	Budget      Budget
	StableAfter time.Duration
	Backoff     Backoff
	MaxAge      time.Duration
}

// History is what is known when Decide is asked.
type History struct {
	Now   time.Time
	State State
	// Attempts are the recorded ones of the task's workload.
	Attempts []Attempt
}

// Decision is what to do about an event, and why.
type Decision struct {
	// Kind is empty if nothing is to be done.
	Kind Kind
	// Rule is the one that decided; Reason says it in one sentence.
	Rule   string
	Reason string
	// Silent refusals are not told: nobody asked for the task to be restarted, or it was told before.
	Silent bool
	// Wait is how long the event has to wait until it can be decided on; 0 is not at all.
	Wait time.Duration
	// Delay is the back-off before the action, without jitter.
	Delay time.Duration
	// Attempt counts within the budget, from 1.
	Attempt int64
	Budget  Budget
}

// Decide says what to do about an event. It is pure. The rules stand in the order of their constants; the
// first that refuses wins.
func Decide(e *event.Event, h History, p Policy) Decision {
	labels := e.Data.Labels
	if h.State.Found {
		labels = h.State.Labels
	}
	kind, d := asked(e, labels)
	if kind == "" {
		return d
	}
	for _, refuse := range []func() (rule, reason string){
		func() (string, string) { return ownedElsewhere(e, labels, h.State.Name) },
		func() (string, string) { return unfit(kind, labels, &h.State) },
		func() (string, string) { return wanted(e, labels[labelRestart]) },
		func() (string, string) { return outdated(e, h.Now, p.MaxAge) },
		func() (string, string) { return repeated(e, h.Attempts) },
		func() (string, string) { return movedOn(e, kind, &h.State) },
	} {
		if rule, reason := refuse(); rule != "" {
			return Decision{Rule: rule, Reason: reason, Silent: rule == RuleOwnAction || rule == RuleDuplicate}
		}
	}
	return affordable(e, kind, labels[labelBudget], h, p)
}

// asked says which kind of action the event can lead to and whether the label asks for it.
func asked(e *event.Event, labels map[string]string) (Kind, Decision) {
	kind := kindOf(e)
	if kind == "" {
		return "", Decision{Rule: RuleNoTrigger, Reason: "no stop and no failing probe", Silent: true}
	}
	switch want := labels[labelRestart]; {
	case e.Type == followed && want == wantOff:
		return "", Decision{Rule: RuleNotOptedIn, Reason: "label " + labelRestart + " is off"}
	case e.Type == followed, want == wantAlways:
		return kind, Decision{}
	case want == wantOnFailure, want == wantUnhealthy:
		if (want == wantOnFailure) == (kind == Start) {
			return kind, Decision{}
		}
	case want != "" && want != wantOff:
		return "", Decision{Rule: RuleBadLabel, Reason: fmt.Sprintf("label %s is %.40q; write off, on-failure, unhealthy or always", labelRestart, want)}
	}
	return "", Decision{Rule: RuleNotOptedIn, Reason: "label " + labelRestart + " does not ask for it", Silent: true}
}

// kindOf returns the action that an event can lead to, or nothing.
func kindOf(e *event.Event) Kind {
	switch {
	case e.Data.Runtime == event.ECS:
		return kindOnECS(e)
	case e.Data.Task == nil:
		return ""
	case e.Type == event.TaskStopped:
		return Start
	case e.Type == event.TaskUnhealthy, e.Type == followed:
		return Restart
	}
	return ""
}

// ownedElsewhere refuses what another controller restarts: two of them would fight over it.
func ownedElsewhere(e *event.Event, labels map[string]string, name string) (rule, reason string) {
	owner := ""
	for key := range labels {
		if o := ownerOf(key); o != "" && (owner == "" || o < owner) { // the same one whatever the order of the map
			owner = o
		}
	}
	switch {
	case strings.HasPrefix(strings.TrimPrefix(name, "/"), "k8s_"), e.Data.Runtime == event.Containerd && e.Data.Scope == "k8s.io":
		owner = "Kubernetes"
	case strings.EqualFold(labels["com.docker.compose.oneoff"], "true"):
		return RuleOwner, "it is a one-off compose run, which is never started again"
	}
	if owner == "" {
		return "", ""
	}
	return RuleOwner, owner + " owns it and replaces it when needed"
}

func ownerOf(label string) string {
	for _, o := range [...]struct{ prefix, owner string }{
		{"com.docker.swarm.", "Docker swarm"},
		{"io.kubernetes.", "Kubernetes"},
		{"io.cri-containerd.", "Kubernetes"},
		{"com.amazonaws.ecs.", "the ECS agent"},
		{"com.hashicorp.nomad.", "Nomad"},
		{"containerd.io/restart.status", "containerd's restart plugin"},
		{"containerd.io/restart.policy", "containerd's restart plugin"},
		{"containerd.io/restart.explicitly-stopped", "containerd's restart plugin"},
		{"com.docker/engine.", "Docker"},
	} {
		if strings.HasPrefix(label, o.prefix) {
			return o.owner
		}
	}
	return ""
}

// unfit refuses what the runtime forgets or restarts by itself. A policy of the runtime never acts on a
// failing probe, so it does not stand in the way of a restart.
func unfit(kind Kind, labels map[string]string, s *State) (rule, reason string) {
	switch _, nerdctl := labels[labelNerdctlNetworks]; {
	case nerdctl: // whose compose projects are no namespaces, so that it would not be found
		return RuleSetup, byNerdctl
	case !s.Found:
		return RuleGone, "the runtime does not know it any more"
	case s.AutoRemove:
		return RuleAutoRemove, "it was run with --rm, so it is removed when it stops"
	case kind == Start && s.Policy != "" && s.Policy != "no":
		return RulePolicy, "the runtime's own restart policy " + s.Policy + " looks after it"
	case s.Setup != "":
		return RuleSetup, s.Setup
	}
	return "", ""
}

// wanted refuses to undo what somebody wanted. A probe fails against everybody's will.
func wanted(e *event.Event, want string) (rule, reason string) {
	c := e.Data.Cause
	switch {
	case kindOf(e) != Start:
		return "", ""
	case c == nil:
		return RuleExpected, "it is not known why it stopped"
	case c.Initiator == "handler":
		return RuleOwnAction, "a restart handler stopped it"
	case c.Initiator == "user", strings.HasPrefix(c.Class, "user."):
		return RuleOperator, "an operator stopped it: " + c.Say
	case c.Expected && (want != wantAlways || c.Initiator != "app"):
		return RuleExpected, "the stop was expected: " + c.Say
	case e.Data.Runtime == event.Containerd && c.Confidence == event.Guess && want != wantAlways:
		return RuleUnsure, "containerd does not record who stops a task, so this may have been an operator: " + c.Say
	}
	return "", ""
}

// outdated refuses what is no news.
func outdated(e *event.Event, now time.Time, maxAge time.Duration) (rule, reason string) {
	if age := now.Sub(e.Time); age > maxAge {
		return RuleTooOld, fmt.Sprintf("it happened %s ago, more than %s", age.Round(time.Second), shortDuration(maxAge))
	}
	if e.Data.Observed == event.ObservedReplay {
		return RuleReplay, "it is played from a recording"
	}
	return "", ""
}

// repeated refuses a run that another event has claimed: an amended one, or one of a second collector.
func repeated(e *event.Event, attempts []Attempt) (rule, reason string) {
	key := keyOf(e)
	for i := range attempts {
		if attempts[i].Key == key && attempts[i].Trigger != e.ID {
			return RuleDuplicate, "another event about the same run was handled"
		}
	}
	return "", ""
}

// movedOn refuses if the task is not any more what the event says.
func movedOn(e *event.Event, kind Kind, s *State) (rule, reason string) {
	switch {
	case !s.Found:
		return RuleGone, "the runtime does not know it any more"
	case !s.same(e):
		return RuleMovedOn, "it was started again meanwhile"
	case kind == Start && s.Running:
		return RuleMovedOn, "it runs"
	case kind == Restart && s.Paused:
		return RuleMovedOn, "it is paused"
	case kind == Restart && s.Running && e.Type != followed && s.Health != "unhealthy":
		return RuleRecovered, "its probe does not fail any more"
	case kind == Restart && !s.Running:
		return RuleMovedOn, "it stopped meanwhile"
	}
	return "", ""
}
