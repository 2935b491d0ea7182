package restart

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Supporter is a Restarter whose tasks may stand on each other, so that the restart of one breaks or
// outdates others.
type Supporter interface {
	// Dependants returns the running tasks that began before the run of t and stand on the task, directly
	// or through others, each after all that it stands on. With an empty run it returns all that stand on it.
	Dependants(ctx context.Context, t Target) ([]Dependant, error)
}

// Dependant is a task that stands on another one.
type Dependant struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Scope    string `json:"scope,omitzero"`
	Workload string `json:"workload"`
	// Run is the one that is outdated.
	Run string `json:"run"`
	// On are the tasks that it stands on: the first one, and those before it in the list.
	On []string `json:"on"`
	// Why says how, in one sentence.
	Why string `json:"why"`
	// Labels are redacted.
	Labels map[string]string `json:"labels,omitzero"`
}

// Labels of compose.
const (
	labelProject   = "com.docker.compose.project"
	labelService   = "com.docker.compose.service"
	labelDependsOn = "com.docker.compose.depends_on"
	joinsContainer = "container:"
)

// standing is what matters of a container for who stands on whom.
type standing struct {
	id, name, network string
	labels            map[string]string
}

// on says how a stands on b; empty if it does not. The namespace that it shares is gone with the other's
// run; a service of compose may wish to be restarted with one that it depends on.
func (a *standing) on(b *standing) string {
	if peer, ok := strings.CutPrefix(a.network, joinsContainer); ok && peer != "" && (peer == b.name || strings.HasPrefix(b.id, peer)) {
		return fmt.Sprintf("it shares the network of %s, which has a new run", b.name)
	}
	if p := a.labels[labelProject]; p == "" || p != b.labels[labelProject] {
		return ""
	}
	for _, need := range strings.Split(a.labels[labelDependsOn], ",") { // service:condition:restart
		parts := strings.Split(need, ":")
		if len(parts) == 3 && parts[2] == "true" && parts[0] != "" && parts[0] == b.labels[labelService] {
			return fmt.Sprintf("it depends on %s (depends_on with restart), which has a new run", b.name)
		}
	}
	return ""
}

// link is that one container stands on another.
type link struct{ on, why string }

// linksOf returns, for everything that stands on first, directly or through others, what it stands on there.
func linksOf(first *standing, others []standing) map[string][]link {
	links := map[string][]link{}
	for queue := []*standing{first}; len(queue) > 0; queue = queue[1:] {
		for i := range others {
			o := &others[i]
			if o.id == first.id || o.id == queue[0].id {
				continue
			}
			if why := o.on(queue[0]); why != "" {
				if links[o.id] == nil {
					queue = append(queue, o)
				}
				links[o.id] = append(links[o.id], link{queue[0].id, why})
			}
		}
	}
	return links
}

// inOrder returns everything that stands on first, each after all that it stands on and otherwise by name.
// In a circle, which only forged labels can make, the names decide.
func inOrder(first *standing, others []standing) []Dependant {
	links := linksOf(first, others)
	var rest []*standing
	for i := range others {
		if links[others[i].id] != nil {
			rest = append(rest, &others[i])
		}
	}
	slices.SortFunc(rest, func(a, b *standing) int { return strings.Compare(a.name+"/"+a.id, b.name+"/"+b.id) })
	placed := map[string]bool{first.id: true}
	free := func(s *standing) bool {
		return !slices.ContainsFunc(links[s.id], func(l link) bool { return !placed[l.on] })
	}
	var out []Dependant
	for len(rest) > 0 {
		next := max(slices.IndexFunc(rest, free), 0)
		out = append(out, dependantOf(rest[next], links[rest[next].id]))
		placed[rest[next].id] = true
		rest = slices.Delete(rest, next, next+1)
	}
	return out
}

func dependantOf(s *standing, links []link) Dependant {
	d := Dependant{ID: s.id, Name: s.name, Workload: s.name, Why: links[0].why, Labels: s.labels}
	if service := s.labels[labelService]; service != "" {
		d.Scope, d.Workload = s.labels[labelProject], service
	}
	for _, l := range links {
		d.On = append(d.On, l.on)
	}
	return d
}

// connected leaves out what has lost everything that it stands on.
func connected(first string, list []Dependant) []Dependant {
	kept := map[string]bool{first: true}
	var out []Dependant
	for _, d := range list {
		d.On = slices.DeleteFunc(d.On, func(id string) bool { return !kept[id] })
		if len(d.On) > 0 {
			kept[d.ID] = true
			out = append(out, d)
		}
	}
	return out
}
