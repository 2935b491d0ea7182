package awsfake

import (
	"fmt"
	"strings"
)

func (a *AWS) uuid() string {
	n := a.made.Add(1)
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)
}

// hex is an id such as a task's, 32 digits.
func (a *AWS) hex() string { return strings.ReplaceAll(a.uuid(), "-", "") }

// arn of something of ECS, such as task/prod/1a2b.
func (a *AWS) arn(resource string) string {
	return "arn:aws:ecs:" + a.o.Region + ":" + a.o.Account + ":" + resource
}

// short is the last part of an ARN or path, or the name itself.
func short(name string) string { return name[strings.LastIndex(name, "/")+1:] }

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
