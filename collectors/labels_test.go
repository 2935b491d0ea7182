package collectors_test

import (
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
		"lone":    {nil, collectors.Place{Scope: "default", Workload: "web", Revision: "0123456789ab"}},
		"compose": {compose, collectors.Place{Scope: "shop", Workload: "pay", Revision: "fedcba987654"}},
		"swarm":   {map[string]string{"com.docker.swarm.service.name": "shop_pay"}, collectors.Place{Scope: "default", Workload: "shop_pay", Revision: "0123456789ab"}},
	} {
		assert.Equal(t, tt.want, collectors.PlaceOf(tt.labels, lone), name)
	}
	for label, want := range map[string]bool{"bellbuoy.owner": true, "com.docker.compose.project": true, "": false, "team": false} {
		assert.Equal(t, want, collectors.Deciding(label), label)
	}
}
