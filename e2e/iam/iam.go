// Package iam judges calls by policies, as much of it as the policies of deploy/aws use: statements of actions,
// resources and a few conditions. It is strict where AWS is lenient: an element or an operator that it does not
// know is an error, so that nothing is taken for allowed that nobody has looked at. No answer of it proves that AWS
// gives the same; see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html.
package iam

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Call is what somebody wants to do.
type Call struct {
	Action, Resource string
	// Keys are the condition keys that AWS would know of it.
	Keys map[string]string
}

// Grant is one action of one statement.
type Grant struct{ Sid, Action string }

// Policy is statements.
type Policy []Statement

// Statement is one of them.
type Statement struct {
	Sid                string
	Deny               bool
	Actions, Resources []string
	Conditions         []Condition
}

// Condition is one key that must have one of some values.
type Condition struct {
	Operator, Key string
	Values        []string
}

// Read returns the policy of a document: a version and statements.
func Read(document map[string]any) (Policy, error) {
	if document["Version"] != "2012-10-17" {
		return nil, fmt.Errorf("version %v", document["Version"])
	}
	list, ok := document["Statement"].([]any)
	if !ok {
		return nil, fmt.Errorf("statements are a %T", document["Statement"])
	}
	var p Policy
	for _, one := range list {
		s, err := readStatement(one)
		if err != nil {
			return nil, err
		}
		p = append(p, s)
	}
	return p, nil
}

func readStatement(of any) (Statement, error) {
	m, ok := of.(map[string]any)
	if !ok {
		return Statement{}, fmt.Errorf("a statement is a %T", of)
	}
	var s Statement
	for name, value := range m {
		var err error
		switch name {
		case "Sid":
			s.Sid, _ = value.(string)
		case "Effect":
			s.Deny = value == "Deny"
			if !s.Deny && value != "Allow" {
				err = fmt.Errorf("effect %v", value)
			}
		case "Action":
			s.Actions, err = texts(value)
		case "Resource":
			s.Resources, err = texts(value)
		case "Condition":
			s.Conditions, err = readConditions(value)
		default:
			err = fmt.Errorf("element %s is not known here", name)
		}
		if err != nil {
			return Statement{}, fmt.Errorf("statement %v: %w", m["Sid"], err)
		}
	}
	if s.Sid == "" || len(s.Actions) == 0 || len(s.Resources) == 0 {
		return Statement{}, fmt.Errorf("statement %q needs a Sid, actions and resources", s.Sid)
	}
	return s, nil
}

func readConditions(of any) ([]Condition, error) {
	byOperator, ok := of.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("conditions are a %T", of)
	}
	var list []Condition
	for operator, of := range byOperator {
		keys, ok := of.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("condition %s is a %T", operator, of)
		}
		if !slices.Contains([]string{"StringEquals", "ArnLike", "ArnEquals", "Bool"}, operator) {
			return nil, fmt.Errorf("condition operator %s is not known here", operator)
		}
		for key, value := range keys {
			values, err := texts(value)
			if err != nil {
				return nil, err
			}
			list = append(list, Condition{operator, key, values})
		}
	}
	return list, nil
}

func texts(of any) ([]string, error) {
	switch of := of.(type) {
	case string:
		return []string{of}, nil
	case []any:
		var list []string
		for _, one := range of {
			s, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("%T in a list of texts", one)
			}
			list = append(list, s)
		}
		return list, nil
	}
	return nil, fmt.Errorf("%T in place of texts", of)
}

// Judge returns what allows a call, or false if nothing does or something denies it.
func (p Policy) Judge(c Call) (by []Grant, allowed bool) {
	for _, s := range p {
		for _, action := range s.Actions {
			if !like(action, c.Action, true) || !s.covers(c) {
				continue
			}
			if s.Deny {
				return nil, false
			}
			by = append(by, Grant{s.Sid, action})
		}
	}
	return by, len(by) > 0
}

// Grants is everything that the policy allows.
func (p Policy) Grants() []Grant {
	var all []Grant
	for _, s := range p {
		for _, action := range s.Actions {
			if !s.Deny {
				all = append(all, Grant{s.Sid, action})
			}
		}
	}
	return all
}

// Without returns the policy without one action.
func (p Policy) Without(g Grant) Policy {
	var rest Policy
	for _, s := range p {
		if s.Sid == g.Sid {
			s.Actions = slices.DeleteFunc(slices.Clone(s.Actions), func(a string) bool { return a == g.Action })
		}
		rest = append(rest, s)
	}
	return rest
}

func (s Statement) covers(c Call) bool {
	if !slices.ContainsFunc(s.Resources, func(r string) bool { return like(r, c.Resource, false) }) {
		return false
	}
	for _, condition := range s.Conditions {
		value, known := c.Keys[condition.Key]
		if !known || !slices.ContainsFunc(condition.Values, func(want string) bool {
			if strings.HasPrefix(condition.Operator, "Arn") {
				return like(want, value, false)
			}
			return want == value
		}) {
			return false
		}
	}
	return true
}

// like matches * and ?.
func like(pattern, s string, anyCase bool) bool {
	if anyCase {
		pattern, s = strings.ToLower(pattern), strings.ToLower(s)
	}
	// path.Match stops at slashes and knows classes; neither is so here.
	plain := strings.NewReplacer("/", "\x00", "[", "\x01", "]", "\x02", "\\", "\x03")
	matches, err := path.Match(plain.Replace(pattern), plain.Replace(s))
	return err == nil && matches
}
