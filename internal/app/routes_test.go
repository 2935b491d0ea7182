package app

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/sinks/console"
	"github.com/bellbuoy/bellbuoy/sinks/opensearch"
	"github.com/bellbuoy/bellbuoy/sinks/restart"
	"github.com/bellbuoy/bellbuoy/sinks/sns"
)

func everySink() *config.Config {
	return &config.Config{Node: "web-7", Sinks: map[string]config.Sink{
		"pager": {SNS: &sns.Config{}}, "search": {OpenSearch: &opensearch.Config{}},
		"healer": {Restart: &restart.Config{}}, "screen": {Console: &console.Config{}},
	}}
}

func namesOf(t *testing.T, c *config.Config) map[string]string {
	t.Helper()
	rules, err := Rules(c)
	require.NoError(t, err)
	names := map[string]string{}
	for _, r := range rules {
		names[r.Name] = r.To
	}
	require.Len(t, names, len(rules), "names are unique")
	return names
}

func TestASinkThatNoRouteNamesGetsItsKindsDefault(t *testing.T) {
	c := everySink()
	c.Routes = []config.Route{{Name: "page-payments", To: "pager", When: `workload == "pay"`}, {Name: "page-shop", To: "pager"}}
	assert.Equal(t, map[string]string{
		"page-payments": "pager", "page-shop": "pager", "search": "search", "healer": "healer", "screen": "screen",
	}, namesOf(t, c))
}

func TestOnASharedStreamEachNodeHasItsOwnHandlerAndTerminal(t *testing.T) {
	c := everySink()
	c.NATS.URL = "nats://127.0.0.1:4222"
	assert.Equal(t, map[string]string{
		"pager": "pager", "search": "search", "healer@web-7": "healer", "screen@web-7": "screen",
	}, namesOf(t, c))
}

func TestEveryKindOfSinkHasABuilderAndAPlan(t *testing.T) {
	for _, s := range everySink().Sinks {
		require.Contains(t, sinkTable(), s.Kind())
		plan := kindOf(s.Kind()).plan
		assert.Positive(t, plan.Batch*plan.Workers*plan.Deliveries, s.Kind())
		assert.Positive(t, plan.AckWait, s.Kind())
	}
}
