package metric_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/metric"
)

func TestWhoComesSecondCountsOn(t *testing.T) {
	r := prometheus.NewRegistry()
	o := prometheus.CounterOpts{Name: "x_total", Help: "X."}
	first, second := prometheus.NewCounter(o), prometheus.NewCounter(o)
	require.NoError(t, metric.Share(r, &first))
	require.NoError(t, metric.Share(r, &second))
	first.Inc()
	second.Inc()
	assert.InDelta(t, 2, testutil.ToFloat64(first), 0)

	vec := prometheus.NewCounterVec(o, []string{"by"})
	require.Error(t, metric.Share(r, &vec), "the name is another metric's")
}
