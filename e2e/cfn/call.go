package cfn

import (
	"fmt"
	"regexp"
	"strings"
)

// call does what one function of CloudFormation does.
func (m *maker) call(c call) (any, error) {
	switch c.name {
	case "Ref":
		return m.ref(fmt.Sprint(c.of))
	case "Condition":
		return m.holds(fmt.Sprint(c.of))
	case "Sub":
		return m.sub(c.of)
	case "If":
		return m.choose(c.of)
	}
	list, ok := c.of.([]any)
	if !ok {
		return nil, fmt.Errorf("!%s is given a %T", c.name, c.of)
	}
	args, err := m.list(list)
	if err != nil {
		return nil, err
	}
	switch {
	case c.name == "GetAtt" && len(args) == 2:
		return m.attribute(fmt.Sprint(args[0]), fmt.Sprint(args[1]))
	case c.name == "Join" && len(args) == 2:
		return join(args)
	case c.name == "Equals" && len(args) == 2:
		return fmt.Sprint(args[0]) == fmt.Sprint(args[1]), nil
	case c.name == "Not" && len(args) == 1:
		truth, ok := args[0].(bool)
		if !ok {
			return nil, fmt.Errorf("!Not is given a %T", args[0])
		}
		return !truth, nil
	case c.name == "And":
		for _, a := range args {
			if a != true {
				return false, nil
			}
		}
		return true, nil
	}
	return nil, fmt.Errorf("!%s with %d arguments is not known here", c.name, len(args))
}

func join(args []any) (any, error) {
	parts, ok := args[1].([]any)
	if !ok {
		return nil, fmt.Errorf("!Join joins a %T", args[1])
	}
	var text []string
	for _, p := range parts {
		text = append(text, fmt.Sprint(p))
	}
	return strings.Join(text, fmt.Sprint(args[0])), nil
}

// choose evaluates only the branch that is taken: the other may speak of what is not there.
func (m *maker) choose(of any) (any, error) {
	args, ok := of.([]any)
	if !ok || len(args) != 3 {
		return nil, fmt.Errorf("!If wants three arguments")
	}
	holds, err := m.holds(fmt.Sprint(args[0]))
	if err != nil {
		return nil, err
	}
	if holds {
		return m.value(args[1])
	}
	return m.value(args[2])
}

var variable = regexp.MustCompile(`\$\{([A-Za-z0-9:]+)\}`)

func (m *maker) sub(of any) (any, error) {
	text, ok := of.(string)
	if !ok {
		return nil, fmt.Errorf("!Sub is given a %T", of)
	}
	var fault error
	made := variable.ReplaceAllStringFunc(text, func(found string) string {
		v, err := m.ref(found[2 : len(found)-1])
		if err != nil {
			fault = err
		}
		return fmt.Sprint(v)
	})
	return made, fault
}

// ref is a parameter's value, or what CloudFormation calls the physical id of a resource.
func (m *maker) ref(name string) (any, error) {
	if v, ok := m.values[name]; ok {
		return v, nil
	}
	kind, properties, err := m.resource(name)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "AWS::SQS::Queue":
		return m.sub(fmt.Sprintf("https://sqs.${AWS::Region}.${AWS::URLSuffix}/${AWS::AccountId}/%s", properties["QueueName"]))
	case "AWS::SNS::Topic":
		return m.arn(kind, name, properties)
	case "AWS::IAM::Role":
		return properties["RoleName"], nil
	}
	return nil, fmt.Errorf("!Ref of a %s is not known here", kind)
}

func (m *maker) attribute(name, attribute string) (any, error) {
	kind, properties, err := m.resource(name)
	if err != nil {
		return nil, err
	}
	switch attribute {
	case "Arn":
		return m.arn(kind, name, properties)
	case "QueueName":
		return properties["QueueName"], nil
	}
	return nil, fmt.Errorf("!GetAtt of %s.%s is not known here", name, attribute)
}

func (m *maker) arn(kind, id string, properties map[string]any) (any, error) {
	switch kind {
	case "AWS::SQS::Queue":
		return m.sub(fmt.Sprintf("arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:%s", properties["QueueName"]))
	case "AWS::SNS::Topic":
		return m.sub(fmt.Sprintf("arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:%s", properties["TopicName"]))
	case "AWS::Events::Rule":
		return m.sub(fmt.Sprintf("arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/%s", properties["Name"]))
	case "AWS::IAM::Role":
		return m.sub(fmt.Sprintf("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/%s", properties["RoleName"]))
	case "AWS::KMS::Key":
		return m.sub("arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/" + id)
	}
	return nil, fmt.Errorf("the ARN of a %s is not known here", kind)
}

// resource returns the type and the named properties of a resource that is there.
func (m *maker) resource(name string) (kind string, names map[string]any, err error) {
	written, ok := m.template.Resources[name]
	if !ok {
		return "", nil, fmt.Errorf("there is no parameter or resource %s", name)
	}
	if condition, has := written["Condition"].(string); has {
		if holds, err := m.holds(condition); err != nil || !holds {
			return "", nil, fmt.Errorf("%s is not there, because %s does not hold (%w)", name, condition, err)
		}
	}
	names = map[string]any{}
	properties, _ := written["Properties"].(map[string]any)
	for _, key := range []string{"QueueName", "TopicName", "Name", "RoleName"} {
		if names[key], err = m.value(properties[key]); err != nil {
			return "", nil, err
		}
	}
	kind, _ = written["Type"].(string)
	return kind, names, nil
}
