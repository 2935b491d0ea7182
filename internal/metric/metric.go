// Package metric registers metrics that several components may share.
//
// Components call it while they are built. Guarantee: whoever comes second, such as the collector of a
// second daemon or a component after a reload, counts on in the series of the first. It fails when the
// name is taken by a metric of another kind.
package metric

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Share registers *c, or makes it the metric that was registered under its name before.
func Share[C prometheus.Collector](r prometheus.Registerer, c *C) error {
	err := r.Register(*c)
	var before prometheus.AlreadyRegisteredError
	if errors.As(err, &before) {
		if same, ok := before.ExistingCollector.(C); ok {
			*c, err = same, nil
		}
	}
	return err
}
