package router

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// Filter is a route's compiled condition. It is safe for concurrent use.
type Filter struct {
	source   string
	program  *vm.Program // nil: every event
	usesData bool
	parts    []part
	kind     string // the only kind it can match, or ""
	event    string // the only event of that kind, or ""
	// tests are those operands that need no machine, and whole says that all are.
	tests    []test
	whole    bool
	machines sync.Pool
}

// part is one operand of the condition's top-level &&.
type part struct {
	source   string
	program  *vm.Program
	operands []operand
}

// operand is a name within a part, with the program that reads it, to show its value in Explain.
type operand struct {
	source  string
	program *vm.Program
}

// Compile checks a condition against the names and types of the contract and compiles it. An empty
// condition matches every event. The error says what is wrong and where in the condition.
func Compile(when string) (*Filter, error) {
	if strings.TrimSpace(when) == "" {
		return &Filter{}, nil
	}
	program, err := compile(when)
	if err != nil {
		return nil, err
	}
	tree, err := parser.Parse(when)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	f := &Filter{source: when, program: program, usesData: uses(tree.Node, "data")}
	for _, node := range conjuncts(tree.Node) {
		p, err := newPart(node)
		if err != nil {
			return nil, err
		}
		f.parts = append(f.parts, p)
		f.narrow(node)
		if holds := nativeOf(node); holds != nil {
			f.tests = append(f.tests, holds)
		}
	}
	f.whole = len(f.tests) == len(f.parts)
	return f, nil
}

func compile(source string, opts ...expr.Option) (*vm.Program, error) {
	if len(opts) == 0 {
		opts = []expr.Option{expr.AsBool()}
	}
	program, err := expr.Compile(source, append(opts, expr.Env(names{}))...)
	var at *file.Error
	if errors.As(err, &at) {
		return nil, fmt.Errorf("%s, at character %d of %q", at.Message, at.Column+1, source)
	}
	return program, err
}

func newPart(node ast.Node) (part, error) {
	source := node.String()
	program, err := compile(source)
	if err != nil {
		return part{}, fmt.Errorf("compile %s: %w", source, err)
	}
	p := part{source: source, program: program}
	for _, operandSource := range operandsOf(node) {
		program, err := compile(operandSource, expr.AsAny())
		if err != nil {
			return part{}, fmt.Errorf("compile %s: %w", operandSource, err)
		}
		p.operands = append(p.operands, operand{operandSource, program})
	}
	return p, nil
}

// Match reports whether the event passes. An error is a condition that failed on this event, such as
// an index out of range; the event then does not pass.
func (f *Filter) Match(e *event.Event) (bool, error) {
	for _, holds := range f.tests {
		if !holds(e) {
			return false, nil
		}
	}
	if f.program == nil || f.whole {
		return true, nil
	}
	n, err := namesOf(e, f.usesData)
	if err != nil {
		return false, err
	}
	machine, _ := f.machines.Get().(*vm.VM)
	if machine == nil {
		machine = &vm.VM{}
	}
	defer f.machines.Put(machine)
	out, err := machine.Run(f.program, &n)
	if err != nil {
		return false, fmt.Errorf("evaluate %q: %w", f.source, err)
	}
	match, _ := out.(bool)
	return match, nil
}

// Explain says in one line why the event passes or not: the first operand of the condition that is
// false, with the values that it looked at.
func (f *Filter) Explain(e *event.Event) string {
	if f.program == nil {
		return "every event matches"
	}
	n, err := namesOf(e, true)
	if err != nil {
		return err.Error()
	}
	for _, p := range f.parts {
		out, err := expr.Run(p.program, n)
		if err != nil {
			return fmt.Sprintf("%s can't be evaluated: %v", p.source, err)
		}
		if out != true {
			return p.source + " is false" + p.values(n)
		}
	}
	return f.source + " is true"
}

func (p part) values(n names) string {
	var shown []string
	for _, o := range p.operands {
		if v, err := expr.Run(o.program, n); err == nil {
			shown = append(shown, fmt.Sprintf("%s is %#v", o.source, v))
		}
	}
	if len(shown) == 0 {
		return ""
	}
	return ": " + strings.Join(shown, ", ")
}

// Subjects returns the NATS subject filters that hold every event that can pass: the server then
// sends no others.
func (f *Filter) Subjects() []string {
	kind, name := "*", "*"
	if f.kind != "" {
		kind = event.Token(f.kind)
	}
	if f.event != "" {
		name = event.Token(f.event)
	}
	return []string{event.SubjectPrefix + "*.*.*." + kind + "." + name + ".>"}
}

// narrow takes note of kind == "…" and event == "…" among the operands that all must hold.
func (f *Filter) narrow(node ast.Node) {
	b, ok := node.(*ast.BinaryNode)
	if !ok || b.Operator != "==" {
		return
	}
	id, ok1 := b.Left.(*ast.IdentifierNode)
	s, ok2 := b.Right.(*ast.StringNode)
	if !ok1 || !ok2 {
		return
	}
	switch id.Value {
	case "kind":
		f.kind = s.Value
	case "event":
		f.event = s.Value
	}
}

func conjuncts(node ast.Node) []ast.Node {
	if b, ok := node.(*ast.BinaryNode); ok && (b.Operator == "&&" || b.Operator == "and") {
		return append(conjuncts(b.Left), conjuncts(b.Right)...)
	}
	return []ast.Node{node}
}

func uses(node ast.Node, name string) bool {
	v := &nameFinder{}
	ast.Walk(&node, v)
	for _, found := range v.roots {
		if found == name {
			return true
		}
	}
	return false
}

// operandsOf returns the names a part reads, in order and once each, constants left out.
func operandsOf(node ast.Node) []string {
	if hasClosure(node) {
		return nil // a name within a predicate has no value of its own
	}
	v := &nameFinder{inner: map[ast.Node]bool{}}
	ast.Walk(&node, v)
	return v.paths()
}

func hasClosure(node ast.Node) bool {
	v := &closureFinder{}
	ast.Walk(&node, v)
	return v.found
}

type closureFinder struct{ found bool }

func (v *closureFinder) Visit(node *ast.Node) {
	if _, ok := (*node).(*ast.PredicateNode); ok {
		v.found = true
	}
}

// nameFinder collects identifiers and the member paths on them. Walk visits children first.
type nameFinder struct {
	roots []string
	nodes []ast.Node
	inner map[ast.Node]bool // nodes that a longer path contains
}

func (v *nameFinder) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		v.roots = append(v.roots, n.Value)
		v.nodes = append(v.nodes, n)
	case *ast.MemberNode:
		if v.inner != nil {
			v.inner[n.Node] = true
		}
		v.nodes = append(v.nodes, n)
	}
}

func (v *nameFinder) paths() []string {
	var out []string
	seen := map[string]bool{"info": true, "warn": true, "error": true, "fatal": true}
	for _, n := range v.nodes {
		if s := n.String(); !v.inner[n] && !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
