package ecs

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// policy is the resource policy of a queue, as far as it says who may send.
type policy struct {
	Statement oneOrMore[statement]
}

type statement struct {
	Effect                                   string
	Principal                                principal
	NotPrincipal                             json.RawMessage
	Action, NotAction, Resource, NotResource oneOrMore[string]
	Condition                                map[string]map[string]oneOrMore[string]
}

// principal is "*" or a list by kind, such as Service.
type principal map[string]oneOrMore[string]

const anyone = "*"

func (p *principal) UnmarshalJSON(b []byte) error {
	var all string
	if json.Unmarshal(b, &all) == nil {
		*p = principal{"AWS": {all}}
		return nil
	}
	var kinds map[string]oneOrMore[string]
	err := json.Unmarshal(b, &kinds)
	*p = kinds
	return err
}

// oneOrMore is a list that may be written as its only element.
type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	var more []T
	if json.Unmarshal(b, &more) == nil {
		*l = more
		return nil
	}
	var one T
	err := json.Unmarshal(b, &one)
	*l = []T{one}
	return err
}

const sendMessage = "sqs:SendMessage"

// matches reports whether the statement is about this service sending to the queue.
func (s *statement) matches(service, queue string) bool {
	who := slices.Contains(s.Principal["Service"], service) || slices.Contains(s.Principal["AWS"], anyone) || len(s.NotPrincipal) > 0
	return who && covers(s.Action, s.NotAction, sendMessage) && (len(s.Resource)+len(s.NotResource) == 0 || covers(s.Resource, s.NotResource, queue))
}

// covers reports whether a name is among these, or not among those that are excepted.
func covers(these, except []string, name string) bool {
	return anyMatch(these, name) || len(except) > 0 && !anyMatch(except, name)
}

func anyMatch(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		// Here * crosses everything, and path.Match stops at slashes.
		ok, err := path.Match(strings.ToLower(strings.ReplaceAll(p, "/", ":")), strings.ToLower(strings.ReplaceAll(s, "/", ":")))
		return ok && err == nil
	})
}

// lets reports whether the policy lets the service send to the queue, as far as its text tells: what a
// condition asks for is known only when a message is sent.
func (p *policy) lets(service, queue string) bool {
	allowed := false
	for i := range p.Statement {
		s := &p.Statement[i]
		switch {
		case !s.matches(service, queue):
		case strings.EqualFold(s.Effect, "Deny") && len(s.Condition) == 0:
			return false
		case strings.EqualFold(s.Effect, "Allow"):
			allowed = true
		}
	}
	return allowed
}

// sources are the ARNs of rules and topics that the statements for a service name as the only senders.
func (p *policy) sources(service, queue string) []string {
	var found []string
	for i := range p.Statement {
		s := &p.Statement[i]
		if !s.matches(service, queue) || !strings.EqualFold(s.Effect, "Allow") {
			continue
		}
		for _, test := range s.Condition {
			for key, values := range test {
				if strings.EqualFold(key, "aws:SourceArn") {
					found = append(found, values...)
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
