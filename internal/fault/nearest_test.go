package fault_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/bellbuoy/bellbuoy/internal/fault"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"http", "nats", "severity"}
	for got, want := range map[string]string{"htpp": "http", "HTTP": "http", "nast": "nats", "sevrity": "severity", "x": "", "routes": "", "": ""} {
		assert.Equal(t, want, fault.Nearest(got, known), got)
	}
	assert.Equal(t, `; did you mean "http"?`, fault.DidYouMean("htp", known))
	assert.Equal(t, "; known are http, nats, severity", fault.DidYouMean("collectors", known))
}
