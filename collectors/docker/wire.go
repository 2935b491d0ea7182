package docker

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// stamp writes a time in ns the way the daemon reads it.
func stamp(ns int64) string { return fmt.Sprintf("%d.%09d", ns/1e9, ns%1e9) }

func isMissing(err error) bool { return errdefs.IsNotFound(err) }
