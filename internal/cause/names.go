package cause

import (
	"reflect"
	"slices"

	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// names are what a user's condition may use. The tag means is for the reference. What is not known is
// empty: "" or false or 0, unless the tag says otherwise.
type names struct {
	Scope    string            `expr:"scope" means:"the compose project, containerd namespace, ECS cluster or the like"`
	Workload string            `expr:"workload" means:"what the task is a replica of; a lone container's own name"`
	Revision string            `expr:"revision" means:"what makes two runs of the workload different, such as a config hash"`
	Name     string            `expr:"name" means:"the task's name"`
	Image    string            `expr:"image" means:"the image reference it was started from"`
	Labels   map[string]string `expr:"labels" means:"its labels; a missing one is empty"`

	ExitCode int      `expr:"exit_code" means:"-1 if it can't be known"`
	Signal   string   `expr:"signal" means:"the signal that the exit code stands for, such as SIGKILL"`
	Ran      float64  `expr:"ran" means:"seconds from start to stop; 0 if not known"`
	OOM      bool     `expr:"oom" means:"an out-of-memory kill was seen in this run, of whichever process"`
	Kills    []string `expr:"kills" means:"the signals that were sent through the API in this run, in order, such as SIGTERM; always empty on containerd and ECS"`

	Requested   bool `expr:"requested" means:"somebody asked it to stop"`
	StopEvent   bool `expr:"stop_event" means:"the runtime reported a completed stop request"`
	Removed     bool `expr:"removed" means:"it was removed right after"`
	AutoRemove  bool `expr:"auto_remove" means:"its removal was asked for at creation (--rm)"`
	Replaced    bool `expr:"replaced" means:"a deploy put another task in its place"`
	Service     bool `expr:"service" means:"an orchestrator such as swarm or an ECS service runs it"`
	ScaledIn    bool `expr:"scaled_in" means:"its service wants fewer tasks than before"`
	OwnAction   bool `expr:"own_action" means:"a restart handler of Bellbuoy was acting on it"`
	Shutdown    bool `expr:"shutdown" means:"the host or its runtime went down"`
	Unseen      bool `expr:"unseen" means:"nobody saw it end; the state afterwards tells"`
	RuntimeDown bool `expr:"runtime_down" means:"it ended while the runtime was down"`

	StartFailed bool     `expr:"start_failed" means:"no process was started"`
	Error       string   `expr:"error" means:"the runtime's own words for a failed start"`
	Unhealthy   bool     `expr:"unhealthy" means:"its health probe failed when it ended"`
	StopCode    string   `expr:"stop_code" means:"the kind of stop in ECS's words, such as EssentialContainerExited"`
	StopReason  string   `expr:"stop_reason" means:"the text of ECS about the stop"`
	Reasons     []string `expr:"reasons" means:"the texts of ECS about the containers that have one, such as CannotPullContainerError: …"`
	Token       string   `expr:"token" means:"the name of the error that the first of these texts with one begins with, such as CannotPullContainerError"`
	Containers  []string `expr:"containers" means:"the names of the task's containers on ECS"`
	ExitCodes   []int    `expr:"exit_codes" means:"their exit codes in the same order, -1 for one that can't be known; exit_code is the one that decides"`
	Draining    bool     `expr:"draining" means:"its host was being drained or scaled in"`
	Requester   string   `expr:"requester" means:"who asked ECS for the stop, as CloudTrail tells"`
	Deployment  string   `expr:"deployment" means:"the ECS deployment that replaced it or scaled it in"`
	Host        string   `expr:"host" means:"the EC2 or container instance that it ran on"`

	RestartPolicy string `expr:"restart_policy" means:"the runtime's own, such as always or on-failure:3"`
	Restarts      int    `expr:"restarts" means:"how often that policy has restarted it"`
}

// Name is a name that a user's condition may use.
type Name struct{ Name, Type, Means string }

// Names returns what a user's condition may use, in the order of the reference.
func Names() []Name {
	t := reflect.TypeFor[names]()
	list := make([]Name, t.NumField())
	for i := range list {
		f := t.Field(i)
		list[i] = Name{f.Tag.Get("expr"), typeName(f.Type), f.Tag.Get("means")}
	}
	return list
}

func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Int {
			return "list of whole numbers"
		}
		return "list of text"
	case reflect.Map:
		return "text by name"
	}
	return "text"
}

func (e *Evidence) seen() *names {
	if e.names == nil {
		e.names = namesOf(e)
	}
	return e.names
}

func namesOf(e *Evidence) *names {
	n := &names{
		Scope: e.Task.Scope, Workload: e.Task.Workload, Revision: e.Task.Revision, Name: e.Task.Name, Image: e.Task.Image,
		Labels: e.Task.Labels,

		ExitCode: -1, Ran: e.Ran.Seconds(), OOM: e.oom(), Kills: make([]string, len(e.Kills)),

		Requested: e.requested(), StopEvent: e.StopEvent, Removed: e.Removed, AutoRemove: e.AutoRemove, Replaced: e.Replaced,
		Service: e.Service, ScaledIn: e.ScaledIn, OwnAction: e.OwnAction, Shutdown: e.Shutdown, Unseen: e.Unseen, RuntimeDown: e.RuntimeDown,

		StartFailed: e.StartFailed, Error: e.StateError, Unhealthy: e.Unhealthy,
		RestartPolicy: e.RestartPolicy, Restarts: int(e.Restarts),
	}
	if c := e.decisive(); c != nil {
		n.ExitCode, n.Signal = int(*c), SignalOf(*c)
	}
	if e.told() {
		n.platform(e)
	}
	for i, k := range e.Kills {
		n.Kills[i] = SignalName(k.Signal)
	}
	return n
}

// platform adds what only a platform such as ECS tells, and reads from it what other runtimes record.
func (n *names) platform(e *Evidence) {
	n.StopCode, n.StopReason, n.Token = e.StopCode, e.stopText().text, e.token()
	n.Draining, n.Requester, n.Deployment, n.Host = e.Draining, e.Requester, e.deployment(), e.Host
	for i := range e.Parts {
		p := &e.Parts[i]
		code := -1
		if p.ExitCode != nil {
			code = int(*p.ExitCode)
		}
		n.Containers, n.ExitCodes = append(n.Containers, p.Name), append(n.ExitCodes, code)
		if p.Reason != "" {
			n.Reasons = append(n.Reasons, redact.Clean(p.Reason[:min(len(p.Reason), maxText)]))
		}
	}
	n.OOM = n.OOM || e.saidMemory()
	n.Requested = n.Requested || e.askedByPlatform()
	n.StartFailed = e.failedToStart()
	if n.StartFailed && n.Error == "" {
		n.Error = anyText(e).text
	}
}

// askedByPlatform reports a stop that somebody asked ECS for, or that ECS itself wanted.
func (e *Evidence) askedByPlatform() bool {
	if e.StopCode != "" {
		return e.stopCodeIs(codeUser, codeScheduler, codeSpot, codeNotice, codeHealth)
	}
	return slices.ContainsFunc([]phrase{byUserWords, scalingWords, spotWords, hostWords, maintenanceWords, elbWords, containerWords, deregisterWords}, e.stopSays)
}
