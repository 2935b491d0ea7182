package cause_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// The texts are those that AWS documents or that its agent writes; most events round them are made up.
const (
	exited      = "Essential container in task exited"
	failedStart = "Task failed to start"
	pullMissing = "CannotPullContainerError: Error response from daemon: manifest for shop/web:v9 not found: manifest unknown: manifest unknown"
	secretGone  = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: " +
		"service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf from secrets manager: " +
		"ResourceNotFoundException: Secrets Manager can't find the specified secret."
	group = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop-web/6d0ecf831eec9f09"
)

func part(name string, exit any, reason string) cause.Part {
	p := cause.Part{Name: name, Reason: reason}
	if n, ok := exit.(int); ok {
		p.ExitCode = code(int64(n))
	}
	return p
}

// must sets whether each part is essential, in their order.
func must(essential string, parts ...cause.Part) []cause.Part {
	for i := range parts {
		yes := essential[i] == 'y'
		parts[i].Essential = &yes
	}
	return parts
}

func task(stopCode, reason string, parts ...cause.Part) cause.Evidence {
	return cause.Evidence{StopCode: stopCode, StopReason: reason, Parts: parts}
}

func with(e cause.Evidence, edit func(*cause.Evidence)) cause.Evidence {
	edit(&e)
	return e
}

func service(e *cause.Evidence) { e.Service = true }

// pull is a start that failed on EC2 because of the image.
func pull(reason string) cause.Evidence {
	return task("TaskFailedToStart", failedStart, part("web", nil, reason))
}

// fargate is a start whose reason is in the task.
func fargate(reason string) cause.Evidence {
	return task("TaskFailedToStart", reason, part("web", nil, ""))
}

func ended(parts ...cause.Part) cause.Evidence {
	return task("EssentialContainerExited", exited, parts...)
}

func ecsRequestRows() []row {
	yes, no := true, false
	return []row{
		{"own action", with(task("UserInitiated", "bellbuoy/hung: unhealthy for 10m"), func(e *cause.Evidence) { e.OwnAction = true }), "own-action", "handler.restart", event.Fact, yes, "stopped by Bellbuoy's restart handler"},
		{"Spot", with(task("SpotInterruption", "Your Spot Task was interrupted.", part("web", 143, "")), service), "spot.interruption", "spot.interruption", event.Fact, yes, "interrupted, because its Spot capacity was taken back"},
		{"Spot, older", task("TerminationNotice", "Your Spot Task was interrupted.", part("web", 137, "")), "spot.interruption", "spot.interruption", event.Fact, yes, "interrupted, because its Spot capacity was taken back; it did not end within its stop timeout and was killed (exit code 137)"},
		{"Spot by token", task("", "SpotInterruptionError: the capacity was reclaimed"), "spot.interruption", "spot.interruption", event.Fact, yes, "interrupted, because its Spot capacity was taken back"},
		{"drained host gone", with(task("TerminationNotice", "Host EC2 (instance i-0abc) terminated."), func(e *cause.Evidence) { e.Draining = true }), "host.lost.draining", "host.lost", event.Fact, yes, "stopped with host i-0abc, which was being drained"},
		{"Spot host gone", with(task("TerminationNotice", "Host EC2 (instance i-0abc) terminated."), func(e *cause.Evidence) { e.Draining, e.Spot = true, true }), "host.lost.spot", "host.lost", event.Fact, yes, "stopped with host i-0abc, which EC2 took back as Spot capacity"},
		{"host gone", task("TerminationNotice", "Host EC2 (instance i-0abc) terminated.", part("web", nil, "")), "host.lost", "host.lost", event.Fact, no, "lost with host i-0abc, which was stopped or terminated"},
		{"host stopped", task("", "HOST EC2 (INSTANCE (i-0abc)) STOPPED", part("web", 255, "")), "host.lost", "host.lost", event.Fact, no, "lost with host i-0abc, which was stopped or terminated"},
		{"deregistered", with(task("", "Container instance deregistration forced by user"), func(e *cause.Evidence) { e.Requester, e.Host = "alice", "i-0abc" }), "host.deregistered", "host.deregistered", event.Fact, yes, "stopped, because host i-0abc was deregistered by force by alice"},
		{"maintenance", task("ServiceSchedulerInitiated", "ECS is performing maintenance on the underlying infrastructure hosting the task"), "infra.maintenance", "infra.maintenance", event.Fact, yes, "stopped for maintenance of the infrastructure below it"},
		{"infrastructure health", task("InfrastructureHealth", "The container instance is impaired.", part("web", 137, "")), "infra.health", "infra.health", event.Fact, no, "stopped, because the infrastructure below it was not healthy: The container instance is impaired"},
		{"notice", task("TerminationNotice", "Something is going to happen"), "infra.health.notice", "infra.health", event.Likely, no, "stopped, because the infrastructure below it gave notice: Something is going to happen"},
		{"load balancer", with(task("ServiceSchedulerInitiated", "Task failed ELB health checks in (target-group "+group+")", part("web", 143, "")), func(e *cause.Evidence) { e.Service, e.Ran = true, 3*time.Minute }), "health.loadbalancer", "health.loadbalancer", event.Fact, no, "failed the health checks of target group shop-web after 3m"},
		{"classic load balancer", task("ServiceSchedulerInitiated", "Task failed ELB health checks in (elb old-web)", part("web", 0, "")), "health.loadbalancer", "health.loadbalancer", event.Fact, no, "failed the health checks of load balancer old-web"},
		{"Lattice", task("ServiceSchedulerInitiated", "Task failed VPC Lattice health checks in (target-group x)"), "health.loadbalancer", "health.loadbalancer", event.Fact, no, "failed the health checks of target group x"},
		{"container health", task("ServiceSchedulerInitiated", "Task failed container health checks", part("web", 137, "")), "health.container", "health.container", event.Fact, no, "failed its container health check; it did not end within its stop timeout and was killed (exit code 137)"},
		{"deploy", with(task("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)", part("web", 143, "")), func(e *cause.Evidence) { e.Replaced, e.Deployment = true, "ecs-svc/2" }), "deploy.replaced", "deploy.replaced", event.Likely, yes, "replaced in a deploy of its service"},
		{"scale-in that ignores SIGTERM", with(task("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)", part("web", 137, "")), service), "scheduler.scaling", "scheduler.scaling", event.Fact, yes, "stopped, because its service needs fewer tasks; it did not end within its stop timeout and was killed (exit code 137)"},
		{"drain by the scheduler", with(task("ServiceSchedulerInitiated", ""), func(e *cause.Evidence) { e.Draining = true }), "scheduler.other.drain", "scheduler.other", event.Likely, yes, "stopped, because its host is being drained"},
		{"scheduler", task("ServiceSchedulerInitiated", "Availability Zone rebalancing.", part("web", 3, "")), "scheduler.other", "scheduler.other", event.Likely, yes, "stopped by the scheduler of its service: Availability Zone rebalancing, exit code 3"},
		{"user", task("UserInitiated", "Task stopped by user", part("web", 137, "")), "user.stop", "user.stop", event.Fact, yes, "stopped by request; it did not end within its stop timeout and was killed (exit code 137)"},
		{"user with a reason", with(task("UserInitiated", "moving house", part("web", 0, "")), func(e *cause.Evidence) { e.Requester = "deployer" }), "user.stop", "user.stop", event.Fact, yes, "stopped by deployer: moving house"},
		{"user without a code", task("", "Task stopped by user"), "user.stop", "user.stop", event.Fact, yes, "stopped by request"},
	}
}

func ecsStartRows() []row {
	no := false
	return []row{
		{"no such tag", pull(pullMissing), "start.image.notfound", "start.image.notfound", event.Fact, no, "could not start: image shop/web:v9 does not exist in its registry"},
		{"no such tag on Fargate", fargate(`CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref docker.io/shop/web:v9: docker.io/shop/web:v9: not found`), "start.image.notfound", "start.image.notfound", event.Fact, no, "could not start: image docker.io/shop/web:v9 does not exist in its registry"},
		{"no repository", pull("CannotPullContainerError: Error response from daemon: pull access denied for shop/web, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"), "start.image.notfound.hidden", "start.image.notfound", event.Likely, no, "could not start: image shop/web does not exist, or its registry does not show it without a login"},
		{"refused", pull("CannotPullECRContainerError: AccessDeniedException: User is not authorized to perform: ecr:GetDownloadUrlForLayer"), "start.image.auth", "start.image.auth", event.Fact, no, "could not start: the registry refused its image"},
		{"no login", pull("CannotPullContainerError: Error response from daemon: Get https://registry.example/v2/web/manifests/1: no basic auth credentials"), "start.image.auth", "start.image.auth", event.Fact, no, "could not start: the registry refused its image"},
		{"403", fargate("CannotPullContainerError: ref pull has been retried 1 time(s): failed to copy: httpReadSeeker: failed open: unexpected status code https://registry.example/web: 403 Forbidden"), "start.image.auth", "start.image.auth", event.Fact, no, "could not start: the registry refused its image"},
		{"auth by token", pull("CannotPullContainerAuthError: the secret of the registry is empty"), "start.image.auth", "start.image.auth", event.Fact, no, "could not start: the registry refused its image"},
		{"rate limit", pull("CannotPullContainerError: inspect image has been retried 5 time(s): toomanyrequests: You have reached your pull rate limit."), "start.image.ratelimit", "start.image.ratelimit", event.Fact, no, "could not start: the registry's rate limit was reached for its image"},
		{"registry not reached", pull("CannotPullContainerError: Error response from daemon: Get https://registry.example/v2/: net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)"), "start.image.network", "start.image.network", event.Fact, no, "could not start: the network did not reach the registry of its image"},
		{"disk full", pull("CannotPullContainerError: failed to register layer: write /usr/lib/x: no space left on device"), "start.image.disk", "start.image.disk", event.Fact, no, "could not start: the disk has no room for its image"},
		{"platform", pull("CannotPullContainerError: failed to copy: image Manifest does not contain descriptor matching platform 'linux/amd64'"), "start.image.other", "start.image.other", event.Fact, no, "could not start: its image could not be pulled: failed to copy: image Manifest does not contain descriptor matching platform 'linux/amd64'"},
		{"registry login", fargate("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 1 time(s): AccessDeniedException: User is not authorized to perform: ecr:GetAuthorizationToken"), "start.secrets.registry", "start.secrets", event.Fact, no, "could not start: its execution role may not log in to the registry"},
		{"no such secret", fargate(secretGone), "start.secrets", "start.secrets", event.Fact, no, "could not start: secret prod/db-AbCdEf is missing or may not be read"},
		{"no such parameter", fargate("ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secrets from ssm: service call has been retried 1 time(s): Invalid parameters: /prod/db/password"), "start.secrets", "start.secrets", event.Fact, no, "could not start: parameter /prod/db/password is missing or may not be read"},
		{"secret by token", fargate("ResourceNotFoundException: Secrets Manager can't find the specified secret."), "start.secrets.resource", "start.secrets", event.Likely, no, "could not start: a secret was not found"},
		{"secret on EC2", pull("Fetching secret data from AWS Secrets Manager in region eu-west-1: secret arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf: AccessDeniedException"), "start.secrets.fetch", "start.secrets", event.Likely, no, "could not start: secret prod/db-AbCdEf could not be fetched"},
		{"registry not reached before the pull", fargate(`ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send request failed caused by: Post "https://api.ecr.eu-west-1.amazonaws.com/": dial tcp 192.0.2.7:443: i/o timeout`), "start.secrets.network", "start.secrets.network", event.Fact, no, "could not start: its network did not reach api.ecr.eu-west-1.amazonaws.com"},
		{"connection issue", fargate("ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task network configuration."), "start.secrets.network", "start.secrets.network", event.Fact, no, "could not start: its network did not reach Amazon ECR"},
		{"secrets, else", fargate("ResourceInitializationError: unable to pull secrets or registry auth: the service said no"), "start.secrets.other", "start.secrets", event.Likely, no, "could not start: a secret or the registry's login could not be had: unable to pull secrets or registry auth: the service said no"},
		{"log group", fargate("ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1"), "start.logging", "start.logging", event.Fact, no, "could not start: its log driver could not be set up: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1"},
		{"log driver on EC2", pull("CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to create Cloudwatch log stream"), "start.logging", "start.logging", event.Fact, no, "could not start: its log driver could not be set up: Error response from daemon: failed to initialize logging driver: failed to create Cloudwatch log stream"},
		{"volume", pull("CannotCreateVolumeError: no such driver"), "start.volume", "start.volume", event.Fact, no, "could not start: a volume of it could not be had: no such driver"},
		{"EFS", fargate("ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: mount.nfs4: Connection timed out : unsuccessful EFS utils command execution; code: 32"), "start.volume.mount", "start.volume", event.Fact, no, "could not start: a volume of it could not be had: failed to invoke EFS utils commands to set up EFS volumes: stderr: mount.nfs4: Connection timed out : unsuccessful EFS utils command execution; code: 32"},
		{"volume driver", pull("CannotCreateContainerError: Error response from daemon: error while mounting volume '/v': VolumeDriver.Mount: refused"), "start.volume.driver", "start.volume", event.Fact, no, "could not start: a volume of it could not be had: Error response from daemon: error while mounting volume '/v': VolumeDriver.Mount: refused"},
		{"EBS", with(fargate(failedStart), func(e *cause.Evidence) { e.FailedAttachment = "AmazonElasticBlockStorage" }), "start.volume.attachment", "start.volume", event.Fact, no, "could not start: a volume of it could not be had: could not attach AmazonElasticBlockStorage"},
		{"interface", fargate("Timeout waiting for network interface provisioning to complete."), "start.network", "start.network", event.Fact, no, "could not start: its network interface could not be had: Timeout waiting for network interface provisioning to complete"},
		{"interface attachment", with(fargate(failedStart), func(e *cause.Evidence) { e.FailedAttachment = "eni" }), "start.network.attachment", "start.network", event.Fact, no, "could not start: its network interface could not be had: could not attach eni"},
		{"internal error", fargate("InternalError: Task failed to start"), "start.network.internal", "start.network", event.Guess, no, "could not start: ECS had an error of its own: Task failed to start"},
		{"no room", task("TaskFailedToStart", "RESOURCE:CPU"), "start.capacity", "start.capacity", event.Fact, no, "could not start: no place for it, not enough CPU"},
		{"no agent", task("TaskFailedToStart", "Unexpected: AGENT"), "start.capacity", "start.capacity", event.Fact, no, "could not start: no place for it, the agent of the host is not connected"},
		{"no capacity", fargate("Capacity is unavailable at this time. Please try again later or in a different availability zone"), "start.capacity", "start.capacity", event.Fact, no, "could not start: no place for it, Capacity is unavailable at this time. Please try again later or in a different availability zone"},
		{"thin pool", with(pull("CannotCreateContainerError: Error response from daemon: devmapper: Thin Pool has 1 free data blocks"), func(e *cause.Evidence) { e.Host = "i-0abc" }), "start.image.disk.runtime", "start.image.disk", event.Fact, no, "could not start: the disk of host i-0abc has no room for the container"},
		{"architecture", pull("CannotStartContainerError: Error response from daemon: OCI runtime create failed: exec format error"), "start.runtime.architecture", "start.runtime", event.Fact, no, "could not start: its command is built for another architecture"},
		{"entrypoint", task("TaskFailedToStart", failedStart, part("web", 127, `CannotStartContainerError: Error response from daemon: OCI runtime create failed: exec: "serve": executable file not found in $PATH: unknown`)), "start.runtime.command", "start.runtime", event.Fact, no, "could not start: its command serve can't be executed"},
		{"runtime", pull("CannotStartContainerError: cannot join the namespace"), "start.runtime", "start.runtime", event.Fact, no, "could not start: cannot join the namespace"},
		{"runtime timeout", pull("DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s"), "start.runtime.host", "start.runtime", event.Likely, no, "could not start: the container runtime failed: Could not transition to started; timed out after waiting 3m0s"},
		{"architecture in the task", fargate("exec /app: exec format error"), "start.runtime.format", "start.runtime", event.Fact, no, "could not start: its command is built for another architecture"},
		{"entrypoint in the task", fargate(`failed to create: exec: "serve": executable file not found in $PATH`), "start.runtime.file", "start.runtime", event.Fact, no, "could not start: its command serve can't be executed"},
		{"dependency", pull("TaskDependencyError: dependency graph: container db did not become healthy"), "start.dependency", "start.dependency", event.Fact, no, "could not start: a container that it depends on was not ready: dependency graph: container db did not become healthy"},
		{"ended in the start", task("TaskFailedToStart", failedStart, part("web", 0, ""), part("db", 2, "")), "start.unknown.exited", "start.unknown", event.Likely, no, "could not start: exit code 2 in container db before the task was up"},
		{"no text", task("", failedStart, part("web", nil, "")), "start.unknown", "start.unknown", event.Guess, no, "could not start: no reason given"},
		{"new text", fargate("The moon is in the wrong phase"), "start.unknown", "start.unknown", event.Guess, no, "could not start: The moon is in the wrong phase"},
	}
}

func ecsEndRows() []row {
	yes, no := true, false
	oom := "OutOfMemoryError: Container killed due to memory usage"
	return []row{
		{"out of memory", with(ended(part("web", 137, oom)), func(e *cause.Evidence) { e.Service, e.Ran = true, 4*time.Second }), "oom", "oom", event.Fact, no, "out of memory: killed by the kernel after 4s"},
		{"out of memory on Fargate", task("EssentialContainerExited", "OutOfMemoryError: container killed due to memory usage", part("web", nil, "")), "oom", "oom", event.Fact, no, "out of memory: killed by the kernel"},
		{"child out of memory", ended(part("web", 1, oom), part("log", 0, "")), "oom.other", "oom", event.Likely, no, "out of memory in container web; it ended with exit code 1"},
		{"job done", with(ended(part("job", 0, "")), func(e *cause.Evidence) { e.Ran = time.Hour }), "exit.zero.standalone", "exit.zero.standalone", event.Fact, yes, "completed with exit code 0 after 1h"},
		{"service ended", with(ended(part("web", 0, "")), service), "exit.zero.service", "exit.zero.service", event.Fact, no, "ended by itself with exit code 0, though a service is meant to run for ever"},
		{"137", ended(part("web", 137, "")), "exit.sigkill", "exit.sigkill", event.Guess, no, "killed by SIGKILL; no record says by whom, or whether its memory ran out"},
		{"segfault", ended(part("web", 139, "")), "exit.crash", "exit.crash", event.Likely, no, "crashed with SIGSEGV (exit code 139)"},
		{"crash on Windows", ended(part("web", 3221225477, "")), "exit.crash.windows", "exit.crash", event.Likely, no, "crashed with exit code 3221225477 (0xC0000005, access violation)"},
		{"SIGTERM", ended(part("web", 143, "")), "exit.sigterm", "exit.sigterm", event.Guess, no, "ended by SIGTERM (exit code 143); no record says who sent it"},
		{"no command", ended(part("web", 127, "")), "exit.error.command", "exit.error", event.Likely, no, "exit code 127 (its command was not found)"},
		{"error", ended(part("web", 3, "")), "exit.error", "exit.error", event.Fact, no, "exit code 3"},
		{"-1", ended(part("web", 255, "")), "exit.error", "exit.error", event.Fact, no, "exit code 255 (-1, or the runtime lost the code)"},
		{"Ctrl+C on Windows", ended(part("web", -1073741510, "")), "exit.error", "exit.error", event.Fact, no, "exit code -1073741510 (0xC000013A, asked to end, like Ctrl+C)"},
		{"vanished", cause.Evidence{Unseen: true, Parts: []cause.Part{{Name: "web"}}}, "unknown.lost", "unknown.lost", event.Guess, no, "vanished: ECS knows the task no more, and no event told of its end"},
		{"no exit code", ended(part("web", nil, ""), part("log", nil, "")), "exit.none", "exit.none", event.Guess, no, "ended without any exit code: the agent lost track of it"},
		{"new code", task("SomethingNew", "It had to be.", part("web", 137, "")), "unknown", "unknown", event.Guess, no, "stopped for a reason that no row knows: It had to be"},
		{"nothing", cause.Evidence{}, "unknown", "unknown", event.Guess, no, "stopped for a reason that no row knows: no reason given"},
	}
}

func TestECS(t *testing.T) {
	t.Parallel()
	rows := append(append(ecsRequestRows(), ecsStartRows()...), ecsEndRows()...)
	testRows(t, cause.ECS(), rows)
	for _, tt := range rows {
		e := tt.evidence
		e.StopCode, e.StopReason, e.Parts = strings.ToUpper(e.StopCode), strings.ToUpper(e.StopReason), append([]cause.Part(nil), e.Parts...)
		for i := range e.Parts {
			e.Parts[i].Reason = strings.ToUpper(e.Parts[i].Reason)
		}
		assert.Equal(t, tt.rule, cause.ECS().Classify(e).Rule, "%s in capitals", tt.name)
		require.NotEmpty(t, cause.ECS().Classify(tt.evidence).Next, tt.name)
	}
}

func BenchmarkECS(b *testing.B) {
	table := cause.ECS()
	for name, e := range map[string]cause.Evidence{
		"job":        ended(must("yn", part("job", 0, ""), part("log", 143, ""))...),
		"error":      with(ended(part("web", 3, ""), part("log", 0, "")), service),
		"scale-in":   with(task("ServiceSchedulerInitiated", "Scaling activity initiated by (deployment ecs-svc/1)", part("web", 137, ""), part("log", 0, "")), service),
		"user":       task("UserInitiated", "Task stopped by user", part("web", 143, "")),
		"secret":     fargate(secretGone),
		"pull":       pull(pullMissing),
		"no row":     fargate("The moon is in the wrong phase"),
		"three long": task("EssentialContainerExited", exited, part("a", 1, strings.Repeat("cannot mount ", 70)), part("b", 1, strings.Repeat("capacit dial ", 70)), part("c", 1, strings.Repeat("resource ", 100))),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = table.Classify(e)
			}
		})
	}
}
