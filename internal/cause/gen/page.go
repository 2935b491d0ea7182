package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/bellbuoy/bellbuoy/internal/cause"
)

//go:embed causes.md.tmpl
var pageText string

// meanings explains each class that a built-in row gives.
var meanings = map[string]string{
	"deploy.replaced":       "a deploy put another task in its place",
	"exit.crash":            "a crash of its own ended it: a signal such as SIGSEGV, or a crash code of Windows",
	"exit.error":            "its main process ended with an error of its own",
	"exit.none":             "an essential container ended, and no exit code is left",
	"exit.ok":               "its main process ended with exit code 0",
	"exit.sigkill":          "it was killed, and nothing tells by whom; an out-of-memory kill that nobody saw looks the same",
	"exit.signal":           "a signal ended it: a crash of its own, or somebody sent it past the runtime's API",
	"exit.sigterm":          "SIGTERM or SIGINT ended it, though no stop was asked for: a sidecar or a supervisor may have sent it",
	"exit.zero.service":     "it ended with exit code 0, though its service wants it to run for ever",
	"exit.zero.standalone":  "it is a job, and completed",
	"handler.restart":       "a restart handler of Bellbuoy stopped it to start it again",
	"health.container":      "its health probe had failed, and somebody or its scheduler stopped it for that",
	"health.loadbalancer":   "the health checks of a load balancer failed, and its scheduler stopped it",
	"host.deregistered":     "somebody deregistered its container instance by force",
	"host.lost":             "its EC2 instance was stopped or terminated",
	"host.shutdown":         "the host or its runtime went down",
	"infra.health":          "AWS found the infrastructure below it not healthy",
	"infra.maintenance":     "AWS maintains the infrastructure below it",
	"oom":                   "the kernel killed its main process for memory",
	"scheduler.other":       "the orchestrator of its service stopped it, for a reason that it does not tell",
	"scheduler.scaling":     "its service was scaled in",
	"spot.interruption":     "its Spot capacity was taken back",
	"start.capacity":        "there was no place for it: processor, memory, ports, agents or capacity",
	"start.dependency":      "a container that it depends on did not get ready",
	"start.error":           "its process could not be started",
	"start.image.auth":      "the registry refused the image",
	"start.image.disk":      "the disk had no room for the image or the container",
	"start.image.network":   "the network did not reach the registry",
	"start.image.notfound":  "the image does not exist",
	"start.image.other":     "the image could not be pulled, for another reason",
	"start.image.ratelimit": "the registry's rate limit was reached",
	"start.logging":         "its log driver could not be set up",
	"start.network":         "its network interface could not be had",
	"start.runtime":         "the container runtime could not create or start it: entrypoint, architecture, permissions or the host",
	"start.secrets":         "a secret or the registry's login could not be had",
	"start.secrets.network": "its network did not reach the secrets, the registry or the logs",
	"start.unknown":         "it could not be started, and no row knows the text",
	"start.volume":          "a volume could not be had",
	"unknown":               "no row knows the text; it is in the evidence",
	"unknown.lost":          "it ended and nothing is left that tells how",
	"user.kill":             "somebody killed it through the runtime's API",
	"user.remove":           "somebody removed it",
	"user.stop":             "somebody stopped it",
}

func page() ([]byte, error) {
	docker, containerd, ecs := cause.Docker(), cause.Containerd(), cause.ECS()
	rest := cause.Table{cause.Otherwise()}
	classes, err := classTable(slices.Concat(docker, containerd, ecs, rest))
	if err != nil {
		return nil, err
	}
	t, err := template.New("causes.md").Parse(pageText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]string{
		"Classes": classes, "Docker": ruleTable(slices.Concat(docker, rest)), "Containerd": ruleTable(slices.Concat(containerd, rest)),
		"ECS": ruleTable(ecs), "Next": nextTable(slices.Concat(docker, containerd, rest, ecs)),
		"Names": nameTable(), "Say": cause.DefaultRow().Say,
	})
	return out.Bytes(), err
}

// classTable explains the classes of the rules.
func classTable(rules cause.Table) (string, error) {
	used := map[string]bool{}
	for _, r := range rules {
		used[r.Class] = true
	}
	for class := range meanings {
		if !used[class] {
			return "", fmt.Errorf("class %s is explained, but no row gives it", class)
		}
	}
	text := row("class", "the task stopped because") + row("---", "---")
	for _, class := range slices.Sorted(maps.Keys(used)) {
		if meanings[class] == "" {
			return "", fmt.Errorf("class %s has no explanation", class)
		}
		text += row("`"+class+"`", meanings[class])
	}
	return text, nil
}

func ruleTable(t cause.Table) string {
	text := row("#", "row", "it matches if all of this holds", "class", "confidence", "by", "expected", "sentence") +
		row("---:", "---", "---", "---", "---", "---", "---", "---")
	for i, r := range t {
		var tests []string
		for _, test := range r.When {
			tests = append(tests, test.Text)
		}
		expected := "no"
		if r.Expected {
			expected = "yes"
		}
		condition := strings.Join(tests, "; ")
		if condition == "" {
			condition = "no other row does"
		}
		text += row(strconv.Itoa(i+1), "`"+r.Name+"`", condition, "`"+r.Class+"`", string(r.Confidence), r.Initiator, expected, r.Say)
	}
	return text
}

// nextTable lists what to do first, by class.
func nextTable(t cause.Table) string {
	text := row("row", "class", "what to do first") + row("---", "---", "---")
	seen := map[string]bool{}
	for _, r := range t {
		if r.Next != "" && !seen[r.Name+r.Next] {
			seen[r.Name+r.Next] = true
			text += row("`"+r.Name+"`", "`"+r.Class+"`", r.Next)
		}
	}
	return text
}

func nameTable() string {
	text := row("name", "type", "meaning") + row("---", "---", "---")
	for _, n := range cause.Names() {
		text += row("`"+n.Name+"`", n.Type, n.Means)
	}
	return text
}

func row(cells ...string) string {
	for i, cell := range cells {
		cells[i] = strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(cell)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}
