package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

//go:embed reference.md.tmpl
var referenceText string

// referencePage returns the reference for people. The rules in prose are in the template; the tables
// come from the types.
func referencePage(c comments) ([]byte, error) {
	envelope, err := envelopeSchema(c)
	if err != nil {
		return nil, err
	}
	page, err := template.New("events.md").Parse(referenceText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]string{
		"Types":      typeTable(),
		"Attributes": memberTable(envelope),
		"Sections":   sectionTables(envelope.Defs),
	})
	return out.Bytes(), err
}

func typeTable() string {
	text := row("type", "severity", "needs in `data`", "schema", "says") + row("---", "---", "---", "---", "---")
	for _, info := range event.Types() {
		var needs []string
		for _, section := range info.Needs {
			needs = append(needs, "`"+string(section)+"`")
		}
		text += row("`"+string(info.Type)+"`", strings.ToLower(info.Severity.String()), strings.Join(needs, ", "),
			fmt.Sprintf("%d.%d", info.Major, info.Minor), info.Means)
	}
	return text
}

func sectionTables(defs properties) string {
	var tables []string
	for _, d := range defs {
		tables = append(tables, "### "+d.name+"\n\n"+d.Description+"\n\n"+memberTable(d.schema))
	}
	return strings.Join(tables, "\n")
}

func memberTable(s schema) string {
	text := row("field", "type", "always", "meaning") + row("---", "---", "---", "---")
	for _, p := range s.Properties {
		always := ""
		if slices.Contains(s.Required, p.name) {
			always = "yes"
		}
		meaning := p.Description
		if len(p.OpenEnum) > 0 && p.name != "type" {
			meaning += " Known values: `" + strings.Join(p.OpenEnum, "`, `") + "`."
		}
		text += row("`"+p.name+"`", kindOf(p.schema), always, meaning)
	}
	return text
}

// kindOf names a type for people.
func kindOf(s schema) string {
	switch {
	case s.Ref != "":
		name := strings.TrimPrefix(s.Ref, "#/$defs/")
		return "[" + name + "](#" + strings.ToLower(name) + ")"
	case s.Const != "":
		return "`" + s.Const + "`"
	case s.Items != nil:
		return "list of " + kindOf(*s.Items)
	case s.Additional != nil:
		return "map to " + kindOf(*s.Additional)
	case s.Format == "date-time":
		return "time"
	}
	return s.Type
}

func row(cells ...string) string {
	for i, cell := range cells {
		cells[i] = strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(cell)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}
