package ecslife

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
)

// All is every life but Churn, each in a cluster of its own: prod-a, prod-b and so on.
func All(a *awsfake.AWS) []Life {
	var all []Life
	for i, tell := range []func(*teller) Life{
		scaleIn, rollingDeploy, spotInterruption, jobDone, pullFailure, secretMissing, outOfMemory, unhealthyTarget, serviceExits, stoppedByUser, drainedHost, spotHost,
	} {
		w := &teller{aws: a, cluster: "prod-" + string(rune('a'+i))}
		w.past(10*time.Minute, func() {
			life := tell(w)
			life.Bodies = w.told
			all = append(all, life)
		})
	}
	return all
}

func deploymentOf(t types.Task) string { return aws.ToString(t.StartedBy) }

// scaledAway is what the scheduler says of a task that it does not want any more, in a scale-in and in a deploy.
func scaledAway(t types.Task, code int32) awsfake.Stop {
	return awsfake.Stop{
		Code: types.TaskStopCodeServiceSchedulerInitiated, Reason: "Scaling activity initiated by (deployment " + deploymentOf(t) + ")",
		Exit: map[string]int32{"app": code},
	}
}

// scaleIn: the container does not heed SIGTERM and is killed.
func scaleIn(w *teller) Life {
	_, tasks := w.service("pay", 2, awsfake.NewTask{})
	w.event(w.aws.ServiceAction(w.cluster, "pay", "INFO", "SERVICE_DESIRED_COUNT_UPDATED", ""))
	gone := w.stop(tasks[1], scaledAway(tasks[1], 137))
	return Life{Name: "scale-in that ends in 137", Tasks: []string{gone}, Class: "scheduler.scaling", Initiator: "scheduler"}
}

// rollingDeploy replaces 20 tasks by 20 of another revision.
func rollingDeploy(w *teller) Life {
	life := Life{Name: "rolling deploy of 20 tasks", Class: "deploy.replaced", Initiator: "scheduler"}
	_, old := w.service("web", 20, awsfake.NewTask{})
	next := w.definition("web")
	service := w.aws.Services(w.cluster)[0]
	service.TaskDefinition, service.Deployments = next.TaskDefinitionArn, append([]types.Deployment{{
		Id: aws.String("ecs-svc/2000000000000000001"), Status: aws.String("PRIMARY"), RolloutState: types.DeploymentRolloutStateInProgress, TaskDefinition: next.TaskDefinitionArn,
		CreatedAt: aws.Time(w.aws.Now()), UpdatedAt: aws.Time(w.aws.Now()), DesiredCount: 20,
	}}, service.Deployments...)
	service.Deployments[1].Status = aws.String("ACTIVE")
	w.aws.PutService(w.cluster, service)
	deployment := *service.Deployments[0].Id
	w.event(w.aws.DeploymentChange(w.cluster, "web", deployment, "SERVICE_DEPLOYMENT_IN_PROGRESS", "ECS deployment "+deployment+" in progress."))
	for _, t := range old {
		w.run(next, 1, awsfake.NewTask{Service: "web"})
		life.Tasks = append(life.Tasks, w.stop(t, scaledAway(t, 143)))
	}
	w.aws.CompleteDeployment(w.cluster, "web")
	w.event(w.aws.DeploymentChange(w.cluster, "web", deployment, "SERVICE_DEPLOYMENT_COMPLETED", "ECS deployment "+deployment+" completed."))
	return life
}

// spotInterruption: the task is warned two minutes before.
func spotInterruption(w *teller) Life {
	_, tasks := w.service("shop", 1, awsfake.NewTask{Capacity: "FARGATE_SPOT"})
	gone := w.stop(tasks[0], awsfake.Stop{
		Code: types.TaskStopCodeSpotInterruption, Reason: "Your Spot Task was interrupted.", Exit: map[string]int32{"app": 143},
	})
	return Life{Name: "Spot interruption of a service task", Tasks: []string{gone}, Class: "spot.interruption", Initiator: "platform"}
}

func jobDone(w *teller) Life {
	t := w.run(w.definition("report"), 1, awsfake.NewTask{StartedBy: "events-rule/nightly"})[0]
	return Life{Name: "exit 0 of a standalone job", Tasks: []string{w.stop(t, exited(0))}, Class: "exit.zero.standalone", Initiator: "app"}
}

// failedStart is a service whose new task never runs.
func (w *teller) failedStart(name string, s awsfake.Stop) string {
	d, _ := w.service(name, 1, awsfake.NewTask{})
	t := w.aws.NewTask(w.cluster, d, awsfake.NewTask{Service: name})
	w.states(t)
	w.aws.Advance(5 * time.Second)
	w.states(w.aws.Move(*t.TaskArn, "PENDING"))
	s.Code = types.TaskStopCodeTaskFailedToStart
	return w.stop(t, s)
}

func pullFailure(w *teller) Life {
	const reason = "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref registry.example/cart-app:1: registry.example/cart-app:1: not found"
	gone := w.failedStart("cart", awsfake.Stop{Reason: reason})
	return Life{Name: "image that does not exist", Tasks: []string{gone}, Class: "start.image.notfound", Initiator: "runtime", Alerts: 1}
}

func secretMissing(w *teller) Life {
	const reason = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:eu-west-1:123456789012:secret:mail-AbCdEf from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret."
	gone := w.failedStart("mail", awsfake.Stop{Reason: reason})
	return Life{Name: "secret that does not exist", Tasks: []string{gone}, Class: "start.secrets", Initiator: "runtime", Alerts: 1}
}

func outOfMemory(w *teller) Life {
	_, tasks := w.service("search", 1, awsfake.NewTask{LaunchType: types.LaunchTypeEc2})
	s := exited(137)
	s.Said = map[string]string{"app": "OutOfMemoryError: Container killed due to memory usage"}
	return Life{Name: "out of memory", Tasks: []string{w.stop(tasks[0], s)}, Class: "oom", Initiator: "host", Alerts: 1}
}

func unhealthyTarget(w *teller) Life {
	_, tasks := w.service("api", 1, awsfake.NewTask{})
	gone := w.stop(tasks[0], awsfake.Stop{
		Code:   types.TaskStopCodeServiceSchedulerInitiated,
		Reason: "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/api/0123456789abcdef)",
		Exit:   map[string]int32{"app": 143},
	})
	return Life{Name: "failing health check of a load balancer", Tasks: []string{gone}, Class: "health.loadbalancer", Initiator: "scheduler", Alerts: 1}
}

func serviceExits(w *teller) Life {
	_, tasks := w.service("feed", 1, awsfake.NewTask{})
	return Life{Name: "exit 0 of a service task", Tasks: []string{w.stop(tasks[0], exited(0))}, Class: "exit.zero.service", Initiator: "app", Alerts: 1}
}

// stoppedByUser: CloudTrail tells who it was when all is over.
func stoppedByUser(w *teller) Life {
	_, tasks := w.service("docs", 1, awsfake.NewTask{})
	gone := w.stop(tasks[0], awsfake.Stop{Code: types.TaskStopCodeUserInitiated, Reason: "Task stopped by user", Exit: map[string]int32{"app": 143}})
	w.aws.Advance(3 * time.Minute)
	w.event(w.aws.StopTaskCall(gone, "oncall", "anna", ""))
	return Life{Name: "stopped by a user", Tasks: []string{gone}, Class: "user.stop", Initiator: "user"}
}

// hosted is a service with a task on a container instance.
func (w *teller) hosted(name string) (types.ContainerInstance, types.Task) {
	i := w.aws.PutInstance(w.cluster, types.ContainerInstance{Ec2InstanceId: aws.String("i-0123456789abcdef0"), AgentConnected: true})
	_, tasks := w.service(name, 1, awsfake.NewTask{LaunchType: types.LaunchTypeEc2, Instance: *i.ContainerInstanceArn})
	return i, tasks[0]
}

// terminated is what ECS says of a task whose host went away; nobody saw its containers end.
func (w *teller) terminated(t types.Task, i types.ContainerInstance) string {
	return w.stop(t, awsfake.Stop{Code: types.TaskStopCodeTerminationNotice, Reason: "Host EC2 (instance " + *i.Ec2InstanceId + ") terminated."})
}

func drainedHost(w *teller) Life {
	i, t := w.hosted("auth")
	i.Status, i.Version = aws.String("DRAINING"), i.Version+1
	w.event(w.aws.InstanceEvent(w.cluster, w.aws.PutInstance(w.cluster, i)))
	w.aws.Advance(time.Minute)
	return Life{Name: "host terminated after it was drained", Tasks: []string{w.terminated(t, i)}, Class: "host.lost", Initiator: "host"}
}

func spotHost(w *teller) Life {
	i, t := w.hosted("stock")
	w.event(w.aws.SpotWarning(*i.Ec2InstanceId))
	w.aws.Advance(2 * time.Minute)
	return Life{Name: "host taken away by Spot", Tasks: []string{w.terminated(t, i)}, Class: "host.lost", Initiator: "host"}
}
