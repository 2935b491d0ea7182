package collectors_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/bellbuoy/bellbuoy/collectors"
)

func TestPlaceOfLabels(t *testing.T) {
	t.Parallel()
	lone := collectors.Place{Scope: "default", Workload: "web", Revision: "sha256:0123456789abcdef"}
	compose := map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": "pay", "com.docker.compose.config-hash": "fedcba9876543210"}
	for name, tt := range map[string]struct {
		labels map[string]string
		want   collectors.Place
	}{
		"lone":        {nil, collectors.Place{Scope: "default", Workload: "web", Revision: "0123456789ab"}},
		"compose":     {compose, collectors.Place{Scope: "shop", Workload: "pay", Revision: "fedcba987654"}},
		"compose run": {with(compose, "com.docker.compose.oneoff", "True"), collectors.Place{Scope: "shop", Workload: "pay-run", Revision: "fedcba987654"}},
		"own":         {with(compose, "bellbuoy.workload", "payments", "bellbuoy.revision", "v1"), collectors.Place{Scope: "shop", Workload: "payments", Revision: "v1"}},
		"compose v1":  {with(compose, "com.docker.compose.container-number", "1", "com.docker.compose.oneoff", "False"), collectors.Place{Scope: "shop", Workload: "pay", Revision: "fedcba987654"}},
		"swarm":       {map[string]string{"com.docker.swarm.service.name": "shop_pay"}, collectors.Place{Scope: "default", Workload: "shop_pay", Revision: "0123456789ab"}},
	} {
		assert.Equal(t, tt.want, collectors.PlaceOf(tt.labels, lone), name)
	}
	for label, want := range map[string]bool{"bellbuoy.owner": true, "com.docker.compose.project": true, "com.docker.compose.oneoff": true, "": false, "team": false} {
		assert.Equal(t, want, collectors.Deciding(label), label)
	}
}

func with(labels map[string]string, more ...string) map[string]string {
	labels = maps.Clone(labels)
	for i := 0; i < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	return labels
}
