package awsfake

import (
	"time"
)

// bucket is a token bucket of the service's side.
type bucket struct {
	tokens float64
	filled time.Time
}

// group is a bucket as documented: how many calls at once, and how many a second after that.
type group struct {
	name        string
	burst, rate float64
}

// onFargate is what RunTask spends besides when it launches on Fargate.
const onFargate = "ecs:RunTask on Fargate"

// groupOf returns the bucket of an operation, from "Request throttling for the Amazon ECS API".
func groupOf(operation string) (group, bool) {
	switch operation {
	case "ecs:ListTasks", "ecs:DescribeTasks", "ecs:ListContainerInstances", "ecs:DescribeContainerInstances":
		return group{"cluster resource read", 100, 20}, true
	case "ecs:StopTask", "ecs:RunTask":
		return group{"cluster resource modify", 100, 40}, true
	case onFargate:
		return group{"Fargate launch", 20, 20}, true
	case "ecs:ListServices", "ecs:DescribeServices":
		return group{"service read", 100, 20}, true
	case "ecs:UpdateService":
		return group{"service modify", 50, 5}, true
	case "ecs:ListClusters", "ecs:DescribeClusters":
		return group{"cluster read", 50, 20}, true
	case "ecs:DescribeTaskDefinition":
		return group{"task definition read", 50, 20}, true
	case "ecs:ListTagsForResource":
		return group{"tag read", 50, 20}, true
	}
	return group{}, false
}

// spend takes a token for a call; the caller holds mu.
func (a *AWS) spend(operation string) error {
	g, limited := groupOf(operation)
	if !limited || !a.o.Buckets {
		return nil
	}
	now := a.Now()
	b, ok := a.buckets[g.name]
	if !ok {
		b = &bucket{tokens: g.burst, filled: now}
		a.buckets[g.name] = b
	}
	b.tokens = min(g.burst, b.tokens+now.Sub(b.filled).Seconds()*g.rate)
	b.filled = now
	if b.tokens < 1 {
		a.throttle++
		return refuse("ThrottlingException", "Rate exceeded")
	}
	b.tokens--
	return nil
}
