package app

import (
	"fmt"
	"slices"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/bus"
	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/router"
)

// alerts is the default condition of sinks that wake somebody.
const alerts = `kind == "incident" && labels["bellbuoy.alert"] != "off"`

// incidentsRoute is the name of our own route: the one that folds events into incidents.
const incidentsRoute = config.IncidentsRoute

// incidentsPlan delivers to it: in order, to one instance, small batches soon. What an instance that was killed
// had in hand comes again before its successor, which waits for 15 s, gets anything new.
func incidentsPlan() router.Plan {
	return router.Plan{
		From: bus.New(), Batch: 256, Linger: 2 * time.Millisecond, Workers: 1, AckWait: 6 * time.Second, Pinned: true, Deliveries: 200,
	}
}

// kind is what follows from the kind of a sink: its default route and how a route to it delivers.
type kind struct {
	when string
	plan router.Plan
}

// kindOf is the table of the kinds of sinks. An alert or a restart of last week's stop helps nobody,
// so those routes start at the stream's end; an index starts at its beginning.
func kindOf(name string) kind {
	switch name {
	case "opensearch":
		return kind{"", router.Plan{
			From: bus.All(), Batch: 1000, Linger: 2 * time.Millisecond, Workers: 2, AckWait: time.Minute, Deliveries: 50,
		}}
	case "restart":
		return kind{`kind == "task" && event in ["stopped", "unhealthy"] || kind == "service"`, router.Plan{
			// A handler looks at a run again and again until it lives: each look is a delivery.
			From: bus.New(), Batch: 1, Workers: 16, AckWait: 30 * time.Second, Deliveries: 200,
		}}
	case "sns", "webhook":
		return kind{alerts, router.Plan{
			// One instance tells, so that a transition overtakes no other; what it had in hand when it was killed comes
			// again before its successor, which waits for 15 s, gets anything new.
			From: bus.New(), Batch: 10, Linger: 5 * time.Millisecond, Workers: 1, AckWait: 12 * time.Second, Pinned: true, Deliveries: 12,
		}}
	}
	return kind{alerts, router.Plan{
		From: bus.New(), Batch: 16, Workers: 1, AckWait: 30 * time.Second, Deliveries: 12,
	}}
}

// rule is a route of the config or a default one, before its sink is built.
type rule struct {
	name, to, when string
	kind           string
	after          time.Duration
}

// rulesOf returns the config's routes and, for every sink that none of them names, its kind's default.
func rulesOf(c *config.Config) []rule {
	var rules []rule
	named := map[string]bool{}
	for _, r := range c.Routes {
		rules = append(rules, rule{r.Name, r.To, r.When, c.Sinks[r.To].Kind(), r.After})
		named[r.To] = true
	}
	var others []string
	for name := range c.Sinks {
		if !named[name] {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		k := c.Sinks[name].Kind()
		rules = append(rules, rule{name, name, kindOf(k).when, k, 0})
	}
	for i := range rules {
		rules[i].name = perNode(c, rules[i])
	}
	return rules
}

// perNode names a route whose sink serves its own host alone. On a shared NATS, routes of one name share
// one consumer, and each event reaches one of them: right for an index, wrong for the terminal here and for
// the handler that can restart only this host's tasks.
func perNode(c *config.Config, r rule) string {
	if c.NATS.URL != "" && (r.kind == "restart" || r.kind == "console") {
		return r.name + "@" + c.Node
	}
	return r.name
}

// Rule is a route with its compiled condition, for commands that only want to know what would match.
type Rule struct {
	Name, To, Kind string
	When           *router.Filter
	// After is since when an incident must be open to be told; 0 is the first in line.
	After time.Duration
}

// wakes says that somebody is told by sinks of the kind, so that a gate stands in front of them.
func wakes(kind string) bool { return kind == "sns" || kind == "webhook" || kind == "console" }

// escalations are after how long the next in line are told, shortest first.
func escalations(rules []Rule) []time.Duration {
	var all []time.Duration
	for _, r := range rules {
		if r.After > 0 && !slices.Contains(all, r.After) {
			all = append(all, r.After)
		}
	}
	slices.Sort(all)
	return all
}

// Rules compiles the routes of a checked config.
func Rules(c *config.Config) ([]Rule, error) {
	var out []Rule
	for _, r := range rulesOf(c) {
		filter, err := router.Compile(r.when)
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", r.name, err)
		}
		out = append(out, Rule{r.name, r.to, r.kind, filter, r.after})
	}
	return out, nil
}
