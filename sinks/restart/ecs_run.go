package restart

import (
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// familyOf is the family of the task's definition.
func familyOf(t *types.Task) string {
	family, _, _ := strings.Cut(path.Base(aws.ToString(t.TaskDefinitionArn)), ":")
	return family
}

// setupOnECS refuses a task that was started with what ECS does not tell, and that nobody has written down.
func setupOnECS(t *types.Task, cfg ECS) (rule, reason string) {
	if slices.ContainsFunc(t.Attachments, func(a types.Attachment) bool {
		return strings.Contains(strings.ToLower(aws.ToString(a.Type)), "blockstor")
	}) {
		return RuleSetup, "it has a volume of its own, and only who started it knows how that is made"
	}
	if n := cfg.Networks[familyOf(t)]; ownInterface(t) && len(n.SecurityGroups) == 0 {
		return RuleNetwork, "ECS does not tell its security groups; write them as ecs.networks." + familyOf(t) + " of the handler"
	}
	return "", ""
}

// ownInterface tells whether the task has a network interface of its own.
func ownInterface(t *types.Task) bool {
	return onFargate(t) || slices.ContainsFunc(t.Attachments, isInterface)
}

func isInterface(a types.Attachment) bool {
	kind := strings.ToLower(aws.ToString(a.Type))
	return kind == "eni" || kind == "elasticnetworkinterface"
}

func onFargate(t *types.Task) bool {
	return t.LaunchType == types.LaunchTypeFargate || strings.HasPrefix(aws.ToString(t.CapacityProviderName), "FARGATE")
}

// runInput is the request that runs the same task once more: all that ECS tells of it, and its network. The
// overrides hold the environment, so the request is for ECS only.
func runInput(c *callToECS) *ecs.RunTaskInput {
	t := c.state.task
	in := &ecs.RunTaskInput{
		Cluster: &c.cluster, TaskDefinition: t.TaskDefinitionArn, Count: aws.Int32(1), ClientToken: &c.token, StartedBy: &c.startedBy,
		EnableExecuteCommand: t.EnableExecuteCommand, Overrides: t.Overrides, Tags: ownTags(t.Tags), Group: t.Group,
	}
	if provider := aws.ToString(t.CapacityProviderName); provider != "" {
		in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: &provider, Weight: 1}}
	} else {
		in.LaunchType = t.LaunchType
	}
	if onFargate(t) {
		in.PlatformVersion = t.PlatformVersion
	}
	if ownInterface(t) {
		in.NetworkConfiguration = &types.NetworkConfiguration{AwsvpcConfiguration: interfaceOf(t, &c.network)}
	}
	return in
}

// interfaceOf is the configuration of a network interface like the task's.
func interfaceOf(t *types.Task, n *Network) *types.AwsVpcConfiguration {
	cfg := &types.AwsVpcConfiguration{SecurityGroups: n.SecurityGroups, Subnets: n.Subnets}
	if len(cfg.Subnets) == 0 {
		for _, a := range t.Attachments {
			for _, d := range a.Details {
				if isInterface(a) && aws.ToString(d.Name) == "subnetId" {
					cfg.Subnets = append(cfg.Subnets, aws.ToString(d.Value))
				}
			}
		}
	}
	if onFargate(t) { // elsewhere ECS takes none
		cfg.AssignPublicIp = types.AssignPublicIpDisabled
		if n.PublicIP {
			cfg.AssignPublicIp = types.AssignPublicIpEnabled
		}
	}
	return cfg
}

// ownTags are those that users may set.
func ownTags(all []types.Tag) []types.Tag {
	var own []types.Tag
	for _, tag := range all {
		if !strings.HasPrefix(strings.ToLower(aws.ToString(tag.Key)), "aws:") {
			own = append(own, tag)
		}
	}
	return own
}
