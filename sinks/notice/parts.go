package notice

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func millis(ms int64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

const maxTasks = 5

const maxChanges = 6

// changed tells what a new revision brought: the first suspect of a stop that is new.
func (n *Notice) changed(e *event.Event) {
	var lines []string
	for _, c := range e.Data.Changed[:min(len(e.Data.Changed), maxChanges)] {
		lines = append(lines, c.What+": "+cmp.Or(short(c.From), "none")+" → "+cmp.Or(short(c.To), "none"))
	}
	n.add("Changed", lines...)
}

func (n *Notice) action(e *event.Event) {
	a := e.Data.Action
	if a == nil {
		return
	}
	n.add("Why", sentence(a.Reason))
	if a.Mode == "dry-run" {
		n.add("Mode", "dry-run: nothing was changed")
	}
	if a.Attempt > 0 && a.Budget != "" {
		n.add("Attempt", fmt.Sprintf("%d of budget %s", a.Attempt, a.Budget))
	}
}

func (n *Notice) collector(e *event.Event) {
	c := e.Data.Collector
	if c == nil {
		return
	}
	if e.Type == event.CollectorGap {
		n.add("Reconciled", plural(c.Reconciled, "transition")+" found afterwards")
		n.add("Not known", c.Unknown...)
	}
	if c.Peer != "" {
		n.add("Conflict with", c.Peer)
	}
}

// identity is what to search for: image, container, revision, owner, event.
func (n *Notice) identity(e *event.Event) {
	if t := e.Data.Task; t != nil {
		if t.Name != "" && t.Name != e.Data.Workload {
			n.add("Task", t.Name)
		}
		var images, ids []string
		for i := range t.Containers[:min(len(t.Containers), maxContainers)] {
			c := &t.Containers[i]
			collect(&images, "", c.Image)
			collect(&ids, "", short(c.ID))
		}
		n.add("Image", strings.Join(images, ", "))
		n.add("Container", strings.Join(ids, ", "))
	}
	n.add("Revision", short(e.Data.Revision))
	n.add("Place", place(e))
	n.add("Site", e.Data.Site)
	n.add("Owner", e.Data.Owner)
	n.add("Cut from the event", strings.Join(e.Data.Truncated, ", "))
}

// place is where in AWS: account, region, zone and what runs it.
func place(e *event.Event) string {
	words := []string{e.Data.Account, e.Data.Region}
	if t := e.Data.Task; t != nil {
		words = append(words, t.Placement.Zone, cmp.Or(t.Placement.CapacityProvider, t.Placement.LaunchType), t.Placement.Instance)
	}
	return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), ", ")
}

// short keeps of a digest or id what tools accept and print themselves: 12 characters.
func short(id string) string {
	id = strings.TrimPrefix(clean(id), "sha256:")
	if len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" {
		return id[:12]
	}
	return id
}

// next is what to do and to type now. The commands name things that strangers named, so they are quoted.
func (n *Notice) next(e *event.Event) {
	if t := e.Data.Task; t != nil {
		var commands []string
		collect(&commands, "", advice(e))
		collect(&commands, "", look(e, t))
		if e.Data.Workload != "" {
			commands = append(commands, "bellbuoy tail --since 10m --where "+quote("workload == "+strconv.Quote(e.Data.Workload)))
		}
		n.add("Next", commands...)
		if e.Data.Runtime == event.ECS {
			n.add("Mute", "tag the service or task definition bellbuoy:alert=off")
		} else {
			n.add("Mute", "label the workload bellbuoy.alert=off")
		}
	}
	n.nextOfIncident(e)
	n.add("Event", e.ID)
}

// advice is what to look at first, as a sentence.
func advice(e *event.Event) string {
	if c := e.Data.Cause; c != nil && !c.Expected {
		return sentence(c.Next)
	}
	return ""
}

// look is the runtime's own command that shows the task.
func look(e *event.Event, t *event.Task) string {
	name := t.Name
	if name == "" {
		name = t.ID
	}
	if name == "" {
		return ""
	}
	switch e.Data.Runtime {
	case event.Docker:
		return "docker logs --tail 100 " + quote(name)
	case event.Containerd:
		return "ctr --namespace " + quote(e.Data.Scope) + " containers info " + quote(t.ID)
	case event.ECS:
		region := ""
		if e.Data.Region != "" {
			region = " --region " + quote(e.Data.Region)
		}
		return "aws ecs describe-tasks" + region + " --cluster " + quote(e.Data.Scope) + " --tasks " + quote(t.ID)
	case event.Kubernetes:
		return "kubectl --namespace " + quote(e.Data.Scope) + " describe pod " + quote(name)
	}
	return ""
}

// quote makes one word of a POSIX shell command line of s.
func quote(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./:@%+=,-", r)
	}
	if s != "" && s[0] != '-' && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
