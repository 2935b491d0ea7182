package e2e_test

import (
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/awsfake"
	"github.com/bellbuoy/bellbuoy/e2e/awsprobe"
)

const (
	probedRole = "arn:aws:iam::123456789012:role/bellbuoy"
	// accountVariable names a role that the environment's credentials may assume: the list runs against their account.
	accountVariable = "BELLBUOY_E2E_AWS_ROLE"
)

// probe holds a stand against the list. What is known to fail must fail.
func probe(t *testing.T, stand awsprobe.Stand, cfg aws.Config, role string) {
	known := awsprobe.Known(stand)
	for _, check := range awsprobe.Checks() {
		t.Run(check.Name, func(t *testing.T) {
			t.Parallel()
			err := awsprobe.Run(t.Context(), cfg, role, check)
			if why, ok := known[check.Name]; ok {
				require.Error(t, err, "%s is known to fail (%s), but passes: take it off the list", check.Name, why)
				return
			}
			require.NoError(t, err)
		})
	}
}

func TestAWSBehaviours(t *testing.T) {
	t.Run("fake", func(t *testing.T) {
		probe(t, awsprobe.Fake, awsfake.Start(t, awsfake.Options{}).Config(), probedRole)
	})
	t.Run("moto", func(t *testing.T) {
		probe(t, awsprobe.Moto, stand.Moto(t).Config(), probedRole)
	})
	role := os.Getenv(accountVariable)
	if role == "" {
		return
	}
	t.Run("account", func(t *testing.T) {
		cfg, err := config.LoadDefaultConfig(t.Context())
		require.NoError(t, err)
		probe(t, awsprobe.Account, cfg, role)
	})
}

func TestKnownFailingsAreChecks(t *testing.T) {
	names := map[string]bool{}
	for _, c := range awsprobe.Checks() {
		assert.False(t, names[c.Name], "%s is twice on the list", c.Name)
		names[c.Name] = true
		assert.Contains(t, []string{"sqs", "ecs", "sts", "sns", "events"}, strings.SplitN(c.Name, ":", 2)[0])
	}
	for _, s := range []awsprobe.Stand{awsprobe.Fake, awsprobe.Moto, awsprobe.Account} {
		for name, why := range awsprobe.Known(s) {
			assert.True(t, names[name], "%s: %s", s, name)
			assert.NotEmpty(t, why, name)
		}
	}
}
