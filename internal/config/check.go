package config

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/router"
)

// checker collects faults below a path of the config.
type checker struct {
	places   map[string]place
	misspelt map[string]bool
	faults   Faults
}

// check looks at what a single field can't tell: values, references and conditions.
func check(c *Config, places map[string]place, misspelt map[string]bool) Faults {
	k := &checker{places: places, misspelt: misspelt}
	k.top(c)
	k.add("aws", c.AWS.Validate())
	for i := range c.Collectors {
		k.collector(fmt.Sprintf("collectors[%d]", i), c.Collectors[i], c.AWS)
	}
	for _, name := range sortedKeys(c.Sinks) {
		k.sink("sinks."+name, c.Sinks[name], c.AWS)
	}
	k.routes(c)
	k.add("incidents", c.Incidents.Validate())
	for i, x := range c.Incidents.Expect {
		k.add(fmt.Sprintf("incidents.expect[%d]", i), x.Validate())
	}
	k.silences(c)
	if n := c.Notices.PerMinute; n < 0 || n > 10_000 {
		k.at("notices.per_minute", "notices.per_minute: is %d; write 1 to 10000, or 0 for no bound", n)
	}
	for i, row := range c.Cause {
		k.add(fmt.Sprintf("cause[%d]", i), row.Validate())
	}
	return k.faults
}

func (k *checker) at(path, format string, args ...any) {
	p := k.find(path)
	k.faults = append(k.faults, Fault{p.file, p.line, p.column, fmt.Sprintf(format, args...)})
}

// find returns the place of the path or of the nearest thing around it that has one.
func (k *checker) find(path string) place {
	for {
		if p, ok := k.places[path]; ok && (path != "" || p.line > 0) {
			return p
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			break
		}
		path = path[:i]
	}
	if p, ok := k.places[""]; ok {
		return p
	}
	return place{file: "defaults"}
}

// add takes the faults that a component found in its own config.
func (k *checker) add(path string, err error) {
	for _, f := range fault.All(err) {
		at := path
		if f.Path != "" {
			at = join(path, f.Path)
		}
		k.at(at, "%s: %s", at, f.Problem)
	}
}

func (k *checker) oneOf(path, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	k.at(path, "%s: %q is not one of %s%s", path, value, strings.Join(allowed, ", "), hint(value, allowed))
}

func hint(got string, known []string) string {
	if word := fault.Nearest(got, known); word != "" {
		return fmt.Sprintf("; did you mean %q?", word)
	}
	return ""
}

func (k *checker) top(c *Config) {
	if c.Version != 1 {
		k.at("version", "version: this program reads version 1, not %d", c.Version)
	}
	for path, value := range map[string]string{"site": c.Site, "node": c.Node, "data_dir": c.DataDir} {
		if strings.TrimSpace(value) == "" {
			k.at(path, "%s must not be empty", path)
		}
	}
	k.listen("http.listen", c.HTTP.Listen)
	k.listen("nats.embedded.listen", c.NATS.Embedded.Listen)
	k.oneOf("nats.embedded.durability", c.NATS.Embedded.Durability, "strict", "relaxed")
	k.oneOf("nats.manage", c.NATS.Manage, "auto", "check", "off")
	if c.NATS.Replicas < 1 || c.NATS.Replicas > 5 {
		k.at("nats.replicas", "nats.replicas must be 1 to 5, not %d", c.NATS.Replicas)
	}
	if c.NATS.URL == "" && (c.NATS.Creds != "" || c.NATS.NKey != "" || c.NATS.TLS != TLS{}) {
		k.at("nats", "nats.creds, nkey and tls belong to a nats.url; the embedded server does not use them")
	}
}

func (k *checker) listen(path, value string) {
	if value == "off" {
		return
	}
	host, _, err := net.SplitHostPort(value)
	if err != nil {
		k.at(path, `%s must be host:port or "off", not %q`, path, value)
		return
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		k.at(path, "%s: %q is not a loopback address; nothing here asks who calls, so put a proxy that does in front", path, host)
	}
}

func (k *checker) collector(path string, c Collector, aws awsclient.Config) {
	switch kind := c.Kind(); kind {
	case "docker":
		k.add(path+".docker", c.Docker.Validate())
	case "containerd":
		k.add(path+".containerd", c.Containerd.Validate())
	case "ecs":
		k.add(path+".ecs", c.ECS.WithAWS(aws).Validate())
	default:
		k.noKind(path, "collector: docker, containerd or ecs")
	}
}

func (k *checker) sink(path string, s Sink, aws awsclient.Config) {
	var err error
	kind := s.Kind()
	switch kind {
	case "sns":
		err = s.SNS.WithAWS(aws).Validate()
	case "opensearch":
		err = s.OpenSearch.WithAWS(aws).Validate()
	case "restart":
		err = s.Restart.Validate()
	case "webhook":
		err = s.Webhook.Validate()
	case "console":
		err = s.Console.Validate()
	default:
		k.noKind(path, "sink: sns, webhook, opensearch, restart or console")
		return
	}
	k.add(path+"."+kind, err)
}

// noKind tells that an entry has no kind or several, unless its kind is misspelt, which has been told.
func (k *checker) noKind(path, kinds string) {
	if !k.misspelt[path] {
		k.at(path, "%s must name exactly one kind of %s", path, kinds)
	}
}

func (k *checker) routes(c *Config) {
	names := map[string]bool{}
	for i, r := range c.Routes {
		path := fmt.Sprintf("routes[%d]", i)
		if err := routeName(r.Name); err != nil {
			k.at(path+".name", "%s.name: %v", path, err)
		} else if r.Name == IncidentsRoute {
			k.at(path+".name", "%s.name: %q is Bellbuoy's own route, which folds events into incidents; write another name", path, r.Name)
		} else if names[r.Name] {
			k.at(path+".name", "%s.name: another route is called %q; a name is a place in the stream, so it must be unique", path, r.Name)
		}
		names[r.Name] = true
		if _, ok := c.Sinks[r.To]; !ok {
			k.at(path+".to", "%s.to: there is no sink %q%s", path, r.To, fault.DidYouMean(r.To, sortedKeys(c.Sinks)))
		}
		if r.After < 0 || r.After > 7*24*time.Hour {
			k.at(path+".after", "%s.after: is %s; write 1m to 168h, or leave it out", path, r.After)
		} else if kind := c.Sinks[r.To].Kind(); r.After > 0 && (kind == "opensearch" || kind == "restart") {
			k.at(path+".after", "%s.after: incidents are passed on to sinks that wake somebody, not to one of kind %s", path, kind)
		}
		if _, err := router.Compile(r.When); err != nil {
			k.at(path+".when", "%s.when: %v%s", path, err, conditionHint(err))
		}
	}
}

// silences must be whole. One that has ended is no fault: the program must start the day after, too.
func (k *checker) silences(c *Config) {
	for i := range c.Silences {
		s, path := &c.Silences[i], fmt.Sprintf("silences[%d]", i)
		k.add(path, s.Validate())
		if _, err := router.Compile(s.Match); err != nil {
			k.at(path+".match", "%s.match: %v%s", path, err, conditionHint(err))
		}
	}
}

// conditionHint names the word that an unknown one was meant to be.
func conditionHint(err error) string {
	_, rest, found := strings.Cut(err.Error(), "unknown name ")
	if !found {
		return ""
	}
	word, _, _ := strings.Cut(rest, ",")
	return fault.DidYouMean(word, router.Names())
}

// routeName refuses what can't name a durable consumer.
func routeName(name string) error {
	if name == "" {
		return errors.New("a route needs a name")
	}
	if strings.ContainsAny(name, " .*>/\\\t\r\n") || len(name) > 64 {
		return fmt.Errorf("%q must be at most 64 letters, digits, - and _", name)
	}
	return nil
}
