package router

import (
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// test is an operand of a condition's top-level && that is looked at without the machine of expr: most conditions
// compare a name with a constant, and most events fail at the first such comparison.
type test func(e *event.Event) bool

// nativeOf returns the test of a comparison of a name with a constant, or nil. What it says is what expr says.
func nativeOf(node ast.Node) test {
	switch n := node.(type) {
	case *ast.UnaryNode:
		if inner := nativeOf(n.Node); inner != nil && (n.Operator == "!" || n.Operator == "not") {
			return func(e *event.Event) bool { return !inner(e) }
		}
	case *ast.BinaryNode:
		if text := textOf(n.Left); text != nil {
			return textTest(text, n.Operator, n.Right)
		}
		if number := numberOf(n.Left); number != nil {
			return numberTest(number, n.Operator, n.Right)
		}
	case *ast.MemberNode:
		if name(n) == "cause.expected" {
			return func(e *event.Event) bool { return e.Data.Cause != nil && e.Data.Cause.Expected }
		}
	}
	return nil
}

// name is a path such as cause.class, or "".
func name(node ast.Node) string {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return n.Value
	case *ast.MemberNode:
		of, ok1 := n.Node.(*ast.IdentifierNode)
		property, ok2 := n.Property.(*ast.StringNode)
		if ok1 && ok2 && !n.Optional && !n.Method {
			return of.Value + "." + property.Value
		}
	}
	return ""
}

// textOf returns what reads a name that is a text.
func textOf(node ast.Node) func(e *event.Event) string {
	path := name(node)
	if label, ok := strings.CutPrefix(path, "labels."); ok {
		return func(e *event.Event) string { return e.Data.Labels[label] }
	}
	if of, ok := strings.CutPrefix(path, "cause."); ok {
		return causeText(of)
	}
	if of, ok := strings.CutPrefix(path, "incident."); ok {
		return incidentText(of)
	}
	return topText(path)
}

func topText(path string) func(e *event.Event) string {
	switch path {
	case "kind":
		return func(e *event.Event) string { return e.Type.Kind() }
	case "event":
		return func(e *event.Event) string { return e.Type.Event() }
	case "type":
		return func(e *event.Event) string { return string(e.Type) }
	case "site":
		return func(e *event.Event) string { return e.Data.Site }
	case "runtime":
		return func(e *event.Event) string { return string(e.Data.Runtime) }
	case "scope":
		return func(e *event.Event) string { return e.Data.Scope }
	case "node":
		return func(e *event.Event) string { return e.Data.Node }
	case "workload":
		return func(e *event.Event) string { return e.Data.Workload }
	case "revision":
		return func(e *event.Event) string { return e.Data.Revision }
	case "observed":
		return func(e *event.Event) string { return string(e.Data.Observed) }
	case "owner":
		return func(e *event.Event) string { return e.Data.Owner }
	}
	return nil
}

func causeText(of string) func(e *event.Event) string {
	read := map[string]func(c *event.Cause) string{
		"class":     func(c *event.Cause) string { return c.Class },
		"initiator": func(c *event.Cause) string { return c.Initiator },
	}[of]
	if read == nil {
		return nil
	}
	return func(e *event.Event) string {
		if e.Data.Cause == nil {
			return ""
		}
		return read(e.Data.Cause)
	}
}

func incidentText(of string) func(e *event.Event) string {
	read := map[string]func(i *event.Incident) string{
		"state":  func(i *event.Incident) string { return i.State },
		"family": func(i *event.Incident) string { return i.Family },
		"reason": func(i *event.Incident) string { return i.Reason },
	}[of]
	if read == nil {
		return nil
	}
	return func(e *event.Event) string {
		if e.Data.Incident == nil {
			return ""
		}
		return read(e.Data.Incident)
	}
}

// textTest compares a text with a constant.
func textTest(text func(e *event.Event) string, operator string, with ast.Node) test {
	if list, ok := with.(*ast.ArrayNode); ok && operator == "in" {
		return memberTest(text, list)
	}
	constant, ok := with.(*ast.StringNode)
	if !ok {
		return nil
	}
	value := constant.Value
	switch operator {
	case "==":
		return func(e *event.Event) bool { return text(e) == value }
	case "!=":
		return func(e *event.Event) bool { return text(e) != value }
	case "startsWith":
		return func(e *event.Event) bool { return strings.HasPrefix(text(e), value) }
	case "endsWith":
		return func(e *event.Event) bool { return strings.HasSuffix(text(e), value) }
	case "contains":
		return func(e *event.Event) bool { return strings.Contains(text(e), value) }
	case "matches":
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil
		}
		return func(e *event.Event) bool { return pattern.MatchString(text(e)) }
	}
	return nil
}

func memberTest(text func(e *event.Event) string, list *ast.ArrayNode) test {
	var values []string
	for _, item := range list.Nodes {
		s, ok := item.(*ast.StringNode)
		if !ok {
			return nil
		}
		values = append(values, s.Value)
	}
	return func(e *event.Event) bool { return slices.Contains(values, text(e)) }
}

// numberOf returns what reads a name that is a number.
func numberOf(node ast.Node) func(e *event.Event) int {
	switch name(node) {
	case "severity":
		return func(e *event.Event) int { return int(e.Severity) }
	case "incident.stops":
		return func(e *event.Event) int {
			if e.Data.Incident == nil {
				return 0
			}
			return int(e.Data.Incident.Stops)
		}
	}
	return nil
}

// numberTest compares a number with a constant.
func numberTest(number func(e *event.Event) int, operator string, with ast.Node) test {
	value, ok := constantOf(with)
	if !ok {
		return nil
	}
	switch operator {
	case "==":
		return func(e *event.Event) bool { return number(e) == value }
	case "!=":
		return func(e *event.Event) bool { return number(e) != value }
	case "<":
		return func(e *event.Event) bool { return number(e) < value }
	case "<=":
		return func(e *event.Event) bool { return number(e) <= value }
	case ">":
		return func(e *event.Event) bool { return number(e) > value }
	case ">=":
		return func(e *event.Event) bool { return number(e) >= value }
	}
	return nil
}

func constantOf(node ast.Node) (int, bool) {
	if n, ok := node.(*ast.IntegerNode); ok {
		return n.Value, true
	}
	severity, ok := map[string]event.Severity{"info": event.Info, "warn": event.Warn, "error": event.Error, "fatal": event.Fatal}[name(node)]
	return int(severity), ok
}
