package router

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// names are what a condition may use, with their types. A name that an event has no value for is
// empty: "" or false or 0.
type names struct {
	Kind     string            `expr:"kind"`
	Event    string            `expr:"event"`
	Type     string            `expr:"type"`
	Severity int               `expr:"severity"`
	Site     string            `expr:"site"`
	Runtime  string            `expr:"runtime"`
	Scope    string            `expr:"scope"`
	Node     string            `expr:"node"`
	Workload string            `expr:"workload"`
	Revision string            `expr:"revision"`
	Observed string            `expr:"observed"`
	Owner    string            `expr:"owner"`
	Labels   map[string]string `expr:"labels"`
	Task     taskNames         `expr:"task"`
	Cause    causeNames        `expr:"cause"`
	Incident incidentNames     `expr:"incident"`
	// Data is the whole data section as decoded JSON, for what has no name of its own.
	Data map[string]any `expr:"data"`

	Info  int `expr:"info"`
	Warn  int `expr:"warn"`
	Error int `expr:"error"`
	Fatal int `expr:"fatal"`
}

// Names returns the names that a condition may begin with.
func Names() []string {
	t := reflect.TypeFor[names]()
	out := make([]string, t.NumField())
	for i := range out {
		out[i] = t.Field(i).Tag.Get("expr")
	}
	return out
}

type taskNames struct {
	ID            string           `expr:"id"`
	Name          string           `expr:"name"`
	Run           string           `expr:"run"`
	State         string           `expr:"state"`
	PreviousState string           `expr:"previous_state"`
	DesiredState  string           `expr:"desired_state"`
	Containers    []containerNames `expr:"containers"`
	// ExitCode is the first container's, -1 if it has none.
	ExitCode int    `expr:"exit_code"`
	Image    string `expr:"image"`
}

type containerNames struct {
	ID        string `expr:"id"`
	Name      string `expr:"name"`
	Image     string `expr:"image"`
	ExitCode  int    `expr:"exit_code"`
	Signal    string `expr:"signal"`
	OOMKilled bool   `expr:"oom_killed"`
	Health    string `expr:"health"`
	Restarts  int    `expr:"restarts"`
}

type causeNames struct {
	Class      string `expr:"class"`
	Confidence string `expr:"confidence"`
	Initiator  string `expr:"initiator"`
	Expected   bool   `expr:"expected"`
	Say        string `expr:"say"`
}

type incidentNames struct {
	ID       string `expr:"id"`
	State    string `expr:"state"`
	Family   string `expr:"family"`
	Reason   string `expr:"reason"`
	Title    string `expr:"title"`
	Silenced string `expr:"silenced"`
	Stops    int    `expr:"stops"`
	Flaps    int    `expr:"flaps"`
	Tasks    int    `expr:"tasks"`
	Running  int    `expr:"running"`
	Desired  int    `expr:"desired"`
}

func namesOf(e *event.Event, withData bool) (names, error) {
	d := &e.Data
	n := names{
		Task: taskNames{ExitCode: -1},
		Kind: e.Type.Kind(), Event: e.Type.Event(), Type: string(e.Type), Severity: int(e.Severity),
		Site: d.Site, Runtime: string(d.Runtime), Scope: d.Scope, Node: d.Node,
		Workload: d.Workload, Revision: d.Revision, Observed: string(d.Observed), Owner: d.Owner, Labels: d.Labels,
		Info: int(event.Info), Warn: int(event.Warn), Error: int(event.Error), Fatal: int(event.Fatal),
	}
	if d.Task != nil {
		n.Task = taskNamesOf(d.Task)
	}
	if c := d.Cause; c != nil {
		n.Cause = causeNames{c.Class, string(c.Confidence), c.Initiator, c.Expected, c.Say}
	}
	if i := d.Incident; i != nil {
		n.Incident = incidentNames{
			i.ID, i.State, i.Family, i.Reason, i.Title, i.Silenced, int(i.Stops), int(i.Flaps), int(i.TaskCount), int(i.Running), int(i.Desired),
		}
	}
	if withData {
		b, err := event.Append(nil, e)
		if err != nil {
			return n, fmt.Errorf("encode the event for its condition: %w", err)
		}
		var whole struct{ Data map[string]any }
		if err := json.Unmarshal(b, &whole); err != nil {
			return n, fmt.Errorf("read the event for its condition: %w", err)
		}
		n.Data = whole.Data
	}
	return n, nil
}

func taskNamesOf(t *event.Task) taskNames {
	n := taskNames{
		ID: t.ID, Name: t.Name, Run: t.Run, State: string(t.State),
		PreviousState: string(t.PreviousState), DesiredState: string(t.DesiredState), ExitCode: -1,
	}
	for _, c := range t.Containers {
		code := -1
		if c.ExitCode != nil {
			code = int(*c.ExitCode)
		}
		n.Containers = append(n.Containers, containerNames{
			c.ID, c.Name, c.Image, code, c.Signal, c.OOMKilled, c.Health, int(c.Restarts),
		})
	}
	if len(n.Containers) > 0 {
		n.ExitCode, n.Image = n.Containers[0].ExitCode, n.Containers[0].Image
	}
	return n
}
