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
	"deploy.replaced":   "a deploy put another task in its place",
	"exit.error":        "its main process ended with an error of its own",
	"exit.ok":           "its main process ended with exit code 0",
	"exit.sigkill":      "it was killed, and nothing tells by whom; an out-of-memory kill that nobody saw looks the same",
	"exit.signal":       "a signal ended it: a crash of its own, or somebody sent it past the runtime's API",
	"handler.restart":   "a restart handler of Bellbuoy stopped it to start it again",
	"health.container":  "somebody stopped it because its health probe had failed",
	"host.shutdown":     "the host or its runtime went down",
	"oom":               "the kernel killed its main process for memory",
	"scheduler.other":   "the orchestrator of its service stopped it, for a reason that it does not tell",
	"scheduler.scaling": "its service was scaled in",
	"start.error":       "its process could not be started",
	"unknown.lost":      "it ended and nothing is left that tells how",
	"user.kill":         "somebody killed it through the runtime's API",
	"user.remove":       "somebody removed it",
	"user.stop":         "somebody stopped it",
}

func page() ([]byte, error) {
	docker, containerd := cause.Docker(), cause.Containerd()
	classes, err := classTable(slices.Concat(docker, containerd, cause.Table{cause.Otherwise()}))
	if err != nil {
		return nil, err
	}
	t, err := template.New("causes.md").Parse(pageText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]string{
		"Classes": classes, "Docker": ruleTable(docker), "Containerd": ruleTable(containerd),
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
	for i, r := range append(slices.Clone(t), cause.Otherwise()) {
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
