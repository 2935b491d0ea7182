// Package cfn reads CloudFormation templates and says what a stack of them is made of, so that tests can
// look at policies and patterns as they would be applied, without an account.
//
// It knows the functions that our templates use and refuses the rest, YAML aliases among it, which
// CloudFormation does not read. Nothing here talks to AWS; Read and Stack are pure.
package cfn

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Template is a template as it is written: maps, lists, strings, numbers and calls.
type Template struct {
	Conditions                     map[string]any
	Parameters, Resources, Outputs map[string]map[string]any
}

// call is a function of CloudFormation with what it is given.
type call struct {
	name string
	of   any
}

// Read reads a template.
func Read(text []byte) (*Template, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	if len(file.Docs) != 1 {
		return nil, fmt.Errorf("read template: %d documents", len(file.Docs))
	}
	read, err := value(file.Docs[0].Body)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	all, ok := read.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("read template: it is a %T", read)
	}
	t := &Template{}
	if t.Conditions, ok = all["Conditions"].(map[string]any); !ok && all["Conditions"] != nil {
		return nil, fmt.Errorf("read template: Conditions is a %T", all["Conditions"])
	}
	for name, section := range map[string]*map[string]map[string]any{"Parameters": &t.Parameters, "Resources": &t.Resources, "Outputs": &t.Outputs} {
		if *section, err = declared(all[name]); err != nil {
			return nil, fmt.Errorf("read template: %s: %w", name, err)
		}
	}
	return t, nil
}

// declared returns what a section declares by name.
func declared(section any) (map[string]map[string]any, error) {
	if section == nil {
		return nil, nil
	}
	named, ok := section.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("is a %T", section)
	}
	all := make(map[string]map[string]any, len(named))
	for name, v := range named {
		if all[name], ok = v.(map[string]any); !ok {
			return nil, fmt.Errorf("%s is a %T", name, v)
		}
	}
	return all, nil
}

func value(n ast.Node) (any, error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return mapping(n)
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for _, v := range n.Values {
			read, err := value(v)
			if err != nil {
				return nil, err
			}
			list = append(list, read)
		}
		return list, nil
	case *ast.TagNode:
		of, err := value(n.Value)
		name := strings.TrimPrefix(n.Start.Value, "!")
		if s, ok := of.(string); ok && name == "GetAtt" {
			resource, attribute, _ := strings.Cut(s, ".")
			of = []any{resource, attribute}
		}
		return call{name: name, of: of}, err
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode:
		return fmt.Sprint(n.Value), nil
	case *ast.BoolNode:
		return fmt.Sprint(n.Value), nil
	}
	return nil, fmt.Errorf("line %d: a %s is not for templates", n.GetToken().Position.Line, n.Type())
}

func mapping(n *ast.MappingNode) (any, error) {
	read := make(map[string]any, len(n.Values))
	for _, pair := range n.Values {
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			return nil, fmt.Errorf("line %d: the key %s is not text", pair.Key.GetToken().Position.Line, pair.Key)
		}
		v, err := value(pair.Value)
		if err != nil {
			return nil, err
		}
		read[key.Value] = v
	}
	return read, nil
}
