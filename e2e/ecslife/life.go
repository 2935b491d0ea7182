// Package ecslife tells lives of ECS tasks as EventBridge would tell them, from a stand-in of ECS that knows
// the same tasks, services and task definitions, with what is to be made of each: class, initiator and
// whether people are to be alerted.
//
// The texts are those that ECS's documentation and public reports have. A life lies within the last ten
// minutes. Bodies are in the order in which things happened; Disorder makes of them what arrives.
package ecslife

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
)

// Life is what happens to one or more tasks.
type Life struct {
	Name   string
	Bodies []string // of the events
	Tasks  []string // ARNs of the tasks that end
	// Class and Initiator are those of every end, Alerts how many of them people are told.
	Class, Initiator string
	Alerts           int
}

// teller writes down what happens.
type teller struct {
	aws     *awsfake.AWS
	cluster string
	told    []string
}

func (w *teller) event(body string) { w.told = append(w.told, body) }

func (w *teller) states(tasks ...types.Task) {
	for _, t := range tasks {
		w.event(w.aws.TaskEvent(t))
	}
}

// past runs a tale that takes at most ago, so that it has ended by now.
func (w *teller) past(ago time.Duration, tale func()) {
	began := w.aws.Now()
	w.aws.Advance(-ago)
	tale()
	w.aws.Advance(began.Sub(w.aws.Now()))
}

// definition is a family of one container, or more.
func (w *teller) definition(family string, containers ...string) types.TaskDefinition {
	d := types.TaskDefinition{Family: &family, Cpu: aws.String("256"), Memory: aws.String("512")}
	for i, name := range append([]string{"app"}, containers...) {
		d.ContainerDefinitions = append(d.ContainerDefinitions, types.ContainerDefinition{
			Name: aws.String(name), Image: aws.String("registry.example/" + family + "-" + name + ":1"), Essential: aws.Bool(i == 0),
		})
	}
	return w.aws.PutDefinition(d)
}

// service is a service of a family of its name, with n tasks that run.
func (w *teller) service(name string, n int, how awsfake.NewTask) (types.TaskDefinition, []types.Task) {
	d := w.definition(name)
	w.aws.PutService(w.cluster, types.Service{
		ServiceName: &name, TaskDefinition: d.TaskDefinitionArn, DesiredCount: int32(n), RunningCount: int32(n),
		Tags: []types.Tag{{Key: aws.String("bellbuoy:owner"), Value: aws.String("team-" + name)}},
	})
	how.Service = name
	return d, w.run(d, n, how)
}

// run starts n tasks.
func (w *teller) run(d types.TaskDefinition, n int, how awsfake.NewTask) []types.Task {
	var tasks []types.Task
	for range n {
		t := w.aws.NewTask(w.cluster, d, how)
		states := w.aws.Start(*t.TaskArn, time.Second)
		w.states(t)
		w.states(states...)
		tasks = append(tasks, states[len(states)-1])
	}
	return tasks
}

// stop ends a task and returns its ARN.
func (w *teller) stop(t types.Task, s awsfake.Stop) string {
	w.states(w.aws.Stop(*t.TaskArn, s)...)
	return *t.TaskArn
}

// Disorder makes of bodies what arrives on a bad day: copies of some of them, each with an envelope id of its
// own, and all of it in another order. The same seed gives the same.
func Disorder(seed uint64, copies int, bodies []string) []string {
	dice := rand.New(rand.NewPCG(seed, 7))
	all := slices.Clone(bodies)
	for i := range copies {
		body := bodies[dice.IntN(len(bodies))]
		var envelope map[string]json.RawMessage
		if json.Unmarshal([]byte(body), &envelope) == nil {
			envelope["id"] = json.RawMessage(strconv.Quote("copy-" + strconv.Itoa(i)))
			if copied, err := json.Marshal(envelope); err == nil {
				body = string(copied)
			}
		}
		all = append(all, body)
	}
	dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// Poison are bodies that no event is in, by what is wrong with them.
func Poison() map[string]string {
	return map[string]string{
		"no JSON":       `{"version":"0","id":"`,
		"no envelope":   `{"hello":"world"}`,
		"a transformer": `"Task arn:aws:ecs:eu-west-1:123456789012:task/prod/1a2b is STOPPED"`,
	}
}

// Churn is the events of n standalone tasks that start, work and end well, six each.
func Churn(a *awsfake.AWS, cluster string, n int) Life {
	w := &teller{aws: a, cluster: cluster}
	life := Life{Name: "churn", Class: "exit.zero.standalone", Initiator: "app"}
	d := w.definition("job")
	for range n {
		w.past(time.Minute, func() {
			t := w.run(d, 1, awsfake.NewTask{StartedBy: "churn"})[0]
			life.Tasks = append(life.Tasks, w.stop(t, exited(0)))
		})
	}
	life.Bodies = w.told
	return life
}

// exited is the end of a task whose essential container ended by itself.
func exited(code int32) awsfake.Stop {
	return awsfake.Stop{
		Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", Exit: map[string]int32{"app": code},
	}
}
