package cause

import (
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func failedToStart() Test {
	return Test{"the task failed to start", (*Evidence).failedToStart}
}

func (e *Evidence) failedToStart() bool {
	return e.StartFailed || e.stopCodeIs(codeFailedStart) || e.StopCode == "" && e.stopSays(startWords)
}

func notRan() Test {
	return Test{"the task is not known to have run", func(e *Evidence) bool { return e.Ran == 0 || e.failedToStart() }}
}

// failedAttachment tests what the platform could not attach, such as ElasticBlockStorage.
func failedAttachment(what string, words ...string) Test {
	return Test{what + " could not be attached", func(e *Evidence) bool {
		return e.FailedAttachment != "" && containsAny(lower(e.FailedAttachment), words)
	}}
}

// ecsImages are the images that could not be pulled.
func ecsImages() Table {
	pull := func(name string, say, next string, more ...phrase) Rule {
		phrases := append([]phrase{pullWords}, more...)
		return Rule{
			Name: name, When: says(phrases...), from: text(phrases...),
			Class: name, Confidence: event.Fact, Initiator: byRuntime, Say: say, Next: next,
		}
	}
	hidden := pull("start.image.notfound.hidden", "could not start: {image} does not exist, or its registry does not show it without a login",
		"check the name, then the execution role, the repository's policy or the registry's secret", missingWords, deniedWords)
	hidden.Class, hidden.Confidence = "start.image.notfound", event.Likely
	return Table{
		hidden,
		pull("start.image.notfound", "could not start: {image} does not exist in its registry",
			"check the tag or digest, whether it was pushed, and the lifecycle policy of the repository", missingWords),
		pull("start.image.auth", "could not start: the registry refused {image}",
			"check the execution role, the repository's policy and the secret of a private registry", deniedWords),
		pull("start.image.ratelimit", "could not start: the registry's rate limit was reached for {image}",
			"wait and try again; log in to the registry or pull through a cache", rateWords),
		pull("start.image.network", "could not start: the network did not reach the registry of {image}",
			"check the NAT gateway, the VPC endpoints, the public IP and DNS", networkWords),
		pull("start.image.disk", "could not start: the disk has no room for {image}",
			"free or grow the host's disk, or the task's ephemeral storage", diskWords),
		pull("start.image.other", "could not start: {image} could not be pulled: {reason}",
			"read the reason; a platform that does not match needs an image for that architecture"),
	}
}

func ecsSecrets() Table {
	secret := func(name, class string, grade event.Confidence, say, next string, phrases ...phrase) Rule {
		return Rule{
			Name: name, When: says(phrases...), from: text(phrases...),
			Class: class, Confidence: grade, Initiator: byRuntime, Say: say, Next: next,
		}
	}
	const (
		look  = "check that the secret exists in this region, and that the execution role may read it and use its KMS key"
		reach = "check the VPC endpoints or the NAT gateway for Secrets Manager, the registry and CloudWatch Logs"
	)
	return Table{
		secret("start.secrets.registry", "start.secrets", event.Fact, "could not start: its execution role may not log in to the registry",
			"allow ecr:GetAuthorizationToken and the pull actions to the execution role", initWords, loginWords, deniedWords),
		secret("start.secrets", "start.secrets", event.Fact, "could not start: {secret} is missing or may not be read", look, initWords, secretWords, noSecretWords),
		secret("start.secrets.resource", "start.secrets", event.Likely, "could not start: {secret} was not found", look, notFoundWords),
		secret("start.secrets.fetch", "start.secrets", event.Likely, "could not start: {secret} could not be fetched", look, fetchWords),
		secret("start.secrets.network", "start.secrets.network", event.Fact, "could not start: its network did not reach {endpoint}", reach, initNoVolume, networkWords),
		secret("start.secrets.other", "start.secrets", event.Likely, "could not start: {secret} or the registry's login could not be had: {reason}", look, initWords, pullAuthWords),
		secret("start.logging", "start.logging", event.Fact, "could not start: its log driver could not be set up: {reason}",
			"check that the log group exists, and that the execution role may write to it", loggedWords, loggerWords),
	}
}

// ecsResources are volumes, network interfaces and capacity that could not be had.
func ecsResources() Table {
	volume := Rule{
		Name: "start.volume", When: says(noVolumeWords), from: text(noVolumeWords),
		Class: "start.volume", Confidence: event.Fact, Initiator: byRuntime, Say: "could not start: a volume of it could not be had: {reason}",
		Next: "check the mount targets, their security group, and the role for EFS or EBS",
	}
	efs, mount, ebs := volume, volume, volume
	efs.Name, efs.When, efs.from = "start.volume.mount", says(initWords, volumeWords), text(initWords, volumeWords)
	mount.Name, mount.When, mount.from = "start.volume.driver", says(runWords, mountWords), text(runWords, mountWords)
	ebs.Name, ebs.When, ebs.from = "start.volume.attachment", when(failedAttachment("a volume", "ebs", "blockstor", "volume")), anyText
	network := Rule{
		Name: "start.network", When: says(interfaceWords), from: text(interfaceWords),
		Class: "start.network", Confidence: event.Fact, Initiator: byPlatform, Say: "could not start: its network interface could not be had: {reason}",
		Next: "check the free addresses of the subnet, the interface limit of the instance type, and EC2 permissions",
	}
	eni, internal := network, network
	eni.Name, eni.When, eni.from = "start.network.attachment", when(failedAttachment("a network interface", "eni", "networkinterface"), failedToStart()), anyText
	internal.Name, internal.When, internal.from = "start.network.internal", append(says(internalWords), notRan()), text(internalWords)
	internal.Confidence, internal.Say, internal.Next = event.Guess, "could not start: ECS had an error of its own: {reason}", "try again; if it stays, open a case with AWS"
	return Table{
		volume, efs, mount, ebs, network, eni, internal,
		{
			Name: "start.capacity", When: says(capacityWords), from: text(capacityWords),
			Class: "start.capacity", Confidence: event.Fact, Initiator: byPlatform, Say: "could not start: no place for it, {resource}",
			Next: "add capacity, check that the agents are connected, and that an instance type fits the task",
		},
	}
}

func ecsRuntime() Table {
	run := func(name string, say, next string, phrases ...phrase) Rule {
		return Rule{
			Name: name, When: says(phrases...), from: text(phrases...),
			Class: "start.runtime", Confidence: event.Fact, Initiator: byRuntime, Say: say, Next: next,
		}
	}
	const (
		fitting  = "build the image for the architecture of the host, or set runtimePlatform"
		entry    = "check the entrypoint, the command, its permissions and the user of the container"
		hostSide = "look at the runtime and the agent of the host; try again elsewhere"
	)
	disk := run("start.image.disk.runtime", "could not start: the disk of {host} has no room for the container", "free or grow the disk of the host", runWords, diskWords)
	disk.Class = "start.image.disk"
	late := run("start.runtime.host", "could not start: the container runtime failed: {reason}", hostSide, runtimeWords)
	late.When, late.Confidence = append(late.When, notRan()), event.Likely
	wrongArch := run("start.runtime.format", "could not start: its command is built for another architecture", fitting, archWords)
	wrongArch.When = append(wrongArch.When, failedToStart())
	noCommand := run("start.runtime.file", "could not start: its command{command} can't be executed", entry, commandWords)
	noCommand.When = append(noCommand.When, failedToStart())
	depends := run("start.dependency", "could not start: a container that it depends on was not ready: {reason}",
		"look at the container that others depend on, its health check and its start timeout", dependsWords)
	depends.Class = "start.dependency"
	return Table{
		disk,
		run("start.runtime.architecture", "could not start: its command is built for another architecture", fitting, runWords, archWords),
		run("start.runtime.command", "could not start: its command{command} can't be executed", entry, runWords, commandWords),
		run("start.runtime", "could not start: {reason}", entry, runWords),
		wrongArch, noCommand, late, depends,
		{
			Name: "start.unknown.exited", When: when(failedToStart(), endKnown(), notZero(), noMemoryWords()), from: culprit,
			Class: "start.unknown", Confidence: event.Likely, Initiator: byApp, Say: "could not start: {meaning}{in} before the task was up",
			Next: "read the log of that container",
		},
		{
			Name: "start.unknown", When: when(failedToStart(), noMemoryWords()), from: anyText,
			Class: "start.unknown", Confidence: event.Guess, Initiator: byUnknown, Say: "could not start: {reason}",
			Next: "read the reasons of its containers and the events of its service",
		},
	}
}
