package cause

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/bellbuoy/bellbuoy/internal/fault"
	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// tests compiles a user's condition: one test for each operand of its top-level &&, so that near misses
// can name the one that does not hold. row is the name for what goes wrong later.
func tests(row, condition string) ([]Test, error) {
	whole, err := compile(condition)
	if err != nil {
		return nil, err
	}
	tree, err := parser.Parse(condition)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	if err := checkSignals(tree.Node); err != nil {
		return nil, err
	}
	test := func(text string, program *vm.Program) Test {
		return Test{text, func(e *Evidence) bool { return holds(row, program, e) }}
	}
	var list []Test
	for _, node := range conjuncts(tree.Node) {
		text := node.String()
		program, err := compile(text)
		if err != nil { // the language can't read all that it writes
			return []Test{test(title(condition), whole)}, nil
		}
		list = append(list, test(title(text), program))
	}
	return list, nil
}

// holds runs a condition. One that fails on this evidence, such as an index out of range, does not hold;
// the cause says so.
func holds(row string, program *vm.Program, e *Evidence) bool {
	out, err := expr.Run(program, e.seen())
	if err != nil {
		e.notes = append(e.notes, fmt.Sprintf("the row %s can't be evaluated here: %s", row, problem(err)))
		return false
	}
	yes, _ := out.(bool)
	return yes
}

// problem is the first line of an error: the next ones show the condition again.
func problem(err error) string {
	const enough = 200
	text := err.Error()
	var at *file.Error
	if errors.As(err, &at) {
		text = at.Message
	}
	first, _, _ := strings.Cut(text, "\n")
	first = redact.Clean(first)
	return strings.ToValidUTF8(first[:min(len(first), enough)], "")
}

func compile(condition string) (*vm.Program, error) {
	program, err := expr.Compile(condition, expr.Env(&names{}), expr.AsBool())
	var at *file.Error
	if errors.As(err, &at) {
		return nil, fmt.Errorf("%s, at character %d of %q%s", at.Message, at.Column+1, condition, meant(at.Message))
	}
	return program, err
}

// meant names the word that an unknown one was meant to be.
func meant(message string) string {
	_, rest, found := strings.Cut(message, "unknown name ")
	if !found {
		return ""
	}
	word, _, _ := strings.Cut(rest, " ")
	known := Names()
	words := make([]string, len(known))
	for i, n := range known {
		words[i] = n.Name
	}
	return fault.DidYouMean(word, words)
}

func conjuncts(node ast.Node) []ast.Node {
	if b, ok := node.(*ast.BinaryNode); ok && (b.Operator == "&&" || b.Operator == "and") {
		return append(conjuncts(b.Left), conjuncts(b.Right)...)
	}
	return []ast.Node{node}
}

// checkSignals refuses a comparison with what is no signal's name: it would never hold.
func checkSignals(node ast.Node) error {
	v := &signalFinder{}
	ast.Walk(&node, v)
	for _, text := range v.compared {
		number := ParseSignal(text)
		switch name := SignalName(number); {
		case text == "" || name == text:
		case name == "":
			return fmt.Errorf("there is no signal %q; they are written like SIGKILL", text)
		default:
			return fmt.Errorf("signals are written like SIGKILL: %q never matches; did you mean %q?", text, name)
		}
	}
	return nil
}

// signalFinder collects the texts that signal and kills are compared with.
type signalFinder struct{ compared []string }

func (v *signalFinder) Visit(node *ast.Node) {
	b, ok := (*node).(*ast.BinaryNode)
	if !ok {
		return
	}
	switch b.Operator {
	case "==", "!=":
		v.add(b.Left, b.Right, "signal")
		v.add(b.Right, b.Left, "signal")
	case "in":
		v.add(b.Right, b.Left, "kills")
		v.add(b.Left, b.Right, "signal")
	}
}

// add takes the texts in other if node is the name.
func (v *signalFinder) add(node, other ast.Node, name string) {
	if id, ok := node.(*ast.IdentifierNode); !ok || id.Value != name {
		return
	}
	switch o := other.(type) {
	case *ast.StringNode:
		v.compared = append(v.compared, o.Value)
	case *ast.ArrayNode:
		for _, item := range o.Nodes {
			if s, ok := item.(*ast.StringNode); ok {
				v.compared = append(v.compared, s.Value)
			}
		}
	}
}
