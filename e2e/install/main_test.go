// Package install_test checks what is in deploy/aws: the templates are linted, applied and used, their
// policies are compared with the calls that the program really makes, and the Terraform module is read.
package install_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/cfn"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

var stand harness.Stand

func TestMain(m *testing.M) { os.Exit(stand.Run(m)) }

const (
	home   = "bellbuoy-ecs.cfn.yaml"
	member = "bellbuoy-ecs-member.cfn.yaml"
)

func templates() []string { return []string{home, member} }

// deployed returns the path of what a user is given.
func deployed(parts ...string) string {
	return filepath.Join(append([]string{"..", "..", "deploy", "aws"}, parts...)...)
}

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(deployed(name))
	require.NoError(t, err)
	return string(b)
}

func template(t *testing.T, name string) *cfn.Template {
	t.Helper()
	read, err := cfn.Read([]byte(text(t, name)))
	require.NoError(t, err)
	return read
}

// everything sets the parameters of a template so that all of its resources are there.
func everything(name string) map[string]string {
	all := map[string]string{"KmsKey": "create", "ContainerInstanceEvents": "all"}
	if name == member {
		all["RunnerArn"], all["ExternalId"] = "arn:aws:iam::210987654321:role/bellbuoy-runner-eu-west-1", "9f1c2d7e-example"
		return all
	}
	all["DomainArn"] = "arn:aws:es:eu-west-1:123456789012:domain/events"
	all["Restart"] = "services"
	all["RestartFamilies"] = "arn:aws:ecs:eu-west-1:123456789012:task-definition/nightly-report:*"
	all["RestartPassRoleArns"] = "arn:aws:iam::123456789012:role/nightly-report"
	all["MemberRoleArns"] = "arn:aws:iam::*:role/bellbuoy-collector-*"
	return all
}

func stack(t *testing.T, name string, parameters map[string]string) *cfn.Stack {
	t.Helper()
	made, err := template(t, name).Stack(cfn.Place{Parameters: parameters})
	require.NoError(t, err)
	return made
}
