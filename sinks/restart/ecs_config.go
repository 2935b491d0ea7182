package restart

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/internal/fault"
)

// ECS says what may be done on Amazon ECS besides stopping a hung task of a service. Each needs the tag
// bellbuoy:restart as well.
type ECS struct {
	// Families are the task definition families of standalone tasks that may be run once more when the
	// platform lost them. A task of such a family must be safe to run twice.
	Families []string `yaml:"families"`
	// Networks are for those of these families whose tasks have a network interface of their own, which is all
	// on Fargate: ECS does not tell the security groups of a task.
	Networks map[string]Network `yaml:"networks"`
	// Redeploy allows to deploy a service anew that does not get its tasks to run.
	Redeploy bool `yaml:"redeploy"`
	// RoleARNs are the roles to act with, each in the account of its ARN; in another account it is that of the
	// collector. ExternalID is for all of them.
	RoleARNs   []string `yaml:"role_arns"`
	ExternalID string   `yaml:"external_id"`
}

// Network is the network interface of the tasks of a family.
type Network struct {
	// SecurityGroups are the ids of its security groups.
	SecurityGroups []string `yaml:"security_groups"`
	// Subnets are the ids of the subnets to choose from; empty is the one that the lost task was in.
	Subnets []string `yaml:"subnets"`
	// PublicIP gives it a public address, on Fargate.
	PublicIP bool `yaml:"public_ip"`
}

// ECSAccount says how to reach ECS in one account and region.
type ECSAccount struct {
	// Account and Region say whose events are answered there; an empty account is any.
	Account, Region string
	// AWS is how it is reached; its region is Region if it has none.
	AWS awsclient.Config
}

var (
	familyShape = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	groupShape  = regexp.MustCompile(`^sg-[0-9a-z]{1,32}$`)
	roleShape   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}):role/.+$`)
	subnetShape = regexp.MustCompile(`^subnet-[0-9a-z]{1,32}$`)
)

// as returns how an account is reached: with the role that is written down for it, if there is one.
func (c ECS) as(a ECSAccount) awsclient.Config {
	for _, arn := range c.RoleARNs {
		if role := roleShape.FindStringSubmatch(arn); role != nil && role[1] == a.Account {
			a.AWS.RoleARN, a.AWS.ExternalID = arn, c.ExternalID
		}
	}
	return a.AWS
}

func (c ECS) faults() []error {
	var faults []error
	for i, family := range c.Families {
		if !familyShape.MatchString(family) {
			faults = append(faults, fault.At(fmt.Sprintf("ecs.families[%d]", i), "is %.40q; write the family of a task definition, without a revision", family))
		}
	}
	accounts := map[string]bool{}
	for i, arn := range c.RoleARNs {
		path, role := fmt.Sprintf("ecs.role_arns[%d]", i), roleShape.FindStringSubmatch(arn)
		switch {
		case role == nil:
			faults = append(faults, fault.At(path, "is %.80q; write the ARN of a role such as arn:aws:iam::123456789012:role/bellbuoy-restart", arn))
		case accounts[role[1]]:
			faults = append(faults, fault.At(path, "is the second role of account %s; one acts there", role[1]))
		default:
			accounts[role[1]] = true
		}
	}
	if c.ExternalID != "" && len(c.RoleARNs) == 0 {
		faults = append(faults, fault.At("ecs.external_id", "is for ecs.role_arns, and there is none"))
	}
	for family, n := range c.Networks {
		path := "ecs.networks." + family
		if !slices.Contains(c.Families, family) {
			faults = append(faults, fault.At(path, "is not among ecs.families; add it there, or remove it here"))
		}
		if len(n.SecurityGroups) == 0 {
			faults = append(faults, fault.At(path+".security_groups", "is empty; write those of the service or rule that runs the family, such as sg-0a1b2c3d"))
		}
		for _, id := range n.SecurityGroups {
			if !groupShape.MatchString(id) {
				faults = append(faults, fault.At(path+".security_groups", "has %.40q; write ids such as sg-0a1b2c3d", id))
			}
		}
		for _, id := range n.Subnets {
			if !subnetShape.MatchString(id) {
				faults = append(faults, fault.At(path+".subnets", "has %.40q; write ids such as subnet-0a1b2c3d", id))
			}
		}
	}
	return faults
}
