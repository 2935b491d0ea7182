//go:build !linux

package harness

import "syscall"

// Elsewhere there is no dockerd either, so this is never used.
func namespaces() *syscall.SysProcAttr { return nil }
