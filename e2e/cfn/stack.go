package cfn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Place is where a stack would be, and what its parameters are set to beside their defaults.
type Place struct {
	Partition, Region, Account string // empty: aws, eu-west-1, 123456789012
	Parameters                 map[string]string
}

// Stack is what a template makes in a place: everything is text, a list or a map.
type Stack struct {
	Resources map[string]Resource // by logical id, those whose condition holds
	Outputs   map[string]any
}

// Resource is one resource.
type Resource struct {
	Type       string
	Properties map[string]any
}

// nothing is AWS::NoValue: the property or list item is not there.
type nothing struct{}

func absent(v any) bool { _, is := v.(nothing); return is }

// maker makes one stack.
type maker struct {
	template *Template
	values   map[string]any // of parameters and pseudo parameters
	truths   map[string]bool
}

// Stack makes the stack of a place.
func (t *Template) Stack(p Place) (*Stack, error) {
	m := &maker{template: t, truths: map[string]bool{}}
	if err := m.settle(p); err != nil {
		return nil, err
	}
	s := &Stack{Resources: map[string]Resource{}, Outputs: map[string]any{}}
	for id, r := range t.Resources {
		made, err := m.make(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		if made == nil {
			continue
		}
		kind, _ := made["Type"].(string)
		properties, _ := made["Properties"].(map[string]any)
		s.Resources[id] = Resource{Type: kind, Properties: properties}
	}
	for name, o := range t.Outputs {
		made, err := m.make(o)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
		if made != nil {
			s.Outputs[name] = made["Value"]
		}
	}
	return s, nil
}

// settle gives every parameter its value.
func (m *maker) settle(p Place) error {
	region, suffix := or(p.Region, "eu-west-1"), "amazonaws.com"
	if p.Partition == "aws-cn" {
		suffix = "amazonaws.com.cn"
	}
	m.values = map[string]any{
		"AWS::Partition": or(p.Partition, "aws"), "AWS::Region": region, "AWS::AccountId": or(p.Account, "123456789012"),
		"AWS::URLSuffix": suffix, "AWS::NoValue": nothing{},
	}
	for name := range p.Parameters {
		if m.template.Parameters[name] == nil {
			return fmt.Errorf("the template has no parameter %s", name)
		}
	}
	for name, declared := range m.template.Parameters {
		v, set := p.Parameters[name]
		if !set {
			if v, set = declared["Default"].(string); !set {
				return fmt.Errorf("parameter %s is not set", name)
			}
		}
		m.values[name] = v
		if declared["Type"] == "CommaDelimitedList" {
			var list []any
			for part := range strings.SplitSeq(v, ",") {
				list = append(list, strings.TrimSpace(part))
			}
			m.values[name] = list
		}
	}
	return nil
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

// make returns what is made of a resource or an output, or nil if its condition does not hold.
func (m *maker) make(of map[string]any) (map[string]any, error) {
	if name, has := of["Condition"].(string); has {
		if holds, err := m.holds(name); err != nil || !holds {
			return nil, err
		}
	}
	return m.mapping(of)
}

// holds says whether a condition of the template does.
func (m *maker) holds(name string) (bool, error) {
	if truth, known := m.truths[name]; known {
		return truth, nil
	}
	written, ok := m.template.Conditions[name]
	if !ok {
		return false, fmt.Errorf("there is no condition %s", name)
	}
	v, err := m.value(written)
	if err != nil {
		return false, fmt.Errorf("condition %s: %w", name, err)
	}
	truth, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("condition %s is a %T", name, v)
	}
	m.truths[name] = truth
	return truth, nil
}

func (m *maker) value(of any) (any, error) {
	switch of := of.(type) {
	case call:
		return m.call(of)
	case map[string]any:
		return m.mapping(of)
	case []any:
		return m.list(of)
	}
	return of, nil
}

func (m *maker) mapping(of map[string]any) (map[string]any, error) {
	made := make(map[string]any, len(of))
	for _, key := range slices.Sorted(maps.Keys(of)) {
		v, err := m.value(of[key])
		if err != nil {
			return nil, err
		}
		if !absent(v) {
			made[key] = v
		}
	}
	return made, nil
}

func (m *maker) list(of []any) ([]any, error) {
	made := make([]any, 0, len(of))
	for _, item := range of {
		v, err := m.value(item)
		if err != nil {
			return nil, err
		}
		if !absent(v) {
			made = append(made, v)
		}
	}
	return made, nil
}
