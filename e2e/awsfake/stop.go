package awsfake

import (
	"cmp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Stop says how a task ends.
type Stop struct {
	Code   types.TaskStopCode
	Reason string
	Exit   map[string]int32  // by container; one that is not named has no exit code
	Said   map[string]string // the reason of a container
}

// stop sets that a task is to end; it still runs. Stopping twice changes nothing.
func (a *AWS) stop(cluster, id string, s Stop) (types.Task, error) {
	t, ok := a.Task(a.arn("task/" + short(cluster) + "/" + id))
	if !ok {
		return t, invalid("The referenced task was not found.")
	}
	if text(t.DesiredStatus) == "STOPPED" {
		return t, nil
	}
	return a.AskStop(*t.TaskArn, s), nil
}

// AskStop sets that a task is to end, as the first event of a stop tells: it runs, its desired status is
// STOPPED, and the code and reason are known.
func (a *AWS) AskStop(arn string, s Stop) types.Task {
	t, ok := a.Task(arn)
	if !ok {
		return types.Task{}
	}
	now := a.Now()
	t.DesiredStatus, t.StoppingAt = aws.String("STOPPED"), cmp.Or(t.StoppingAt, &now)
	t.StopCode, t.Version = s.Code, t.Version+1
	t.StoppedReason = optional(s.Reason)
	return a.PutTask(t)
}

// Stop takes a task from where it is to STOPPED and returns what it was at each state: asked to stop, its
// containers dead (the proof of a stop on Fargate, some 23 s before STOPPED), STOPPED.
func (a *AWS) Stop(arn string, s Stop) []types.Task {
	told := []types.Task{a.AskStop(arn, s)}
	a.Advance(time.Second)
	t, ok := a.Task(arn)
	if !ok {
		return nil
	}
	now := a.Now()
	t.Containers = slices.Clone(t.Containers)
	for i := range t.Containers {
		c := &t.Containers[i]
		c.LastStatus = aws.String("STOPPED")
		if code, ok := s.Exit[text(c.Name)]; ok {
			c.ExitCode = &code
		}
		if said, ok := s.Said[text(c.Name)]; ok {
			c.Reason = &said
		}
	}
	t.LastStatus, t.ExecutionStoppedAt, t.Version = aws.String("DEPROVISIONING"), &now, t.Version+1
	told = append(told, a.PutTask(t))
	a.Advance(23 * time.Second)
	return append(told, a.Move(arn, "STOPPED"))
}
