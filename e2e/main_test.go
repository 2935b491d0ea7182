// Package e2e_test runs components against real servers.
package e2e_test

import (
	"os"
	"testing"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
)

var stand harness.Stand

func TestMain(m *testing.M) {
	code := stand.Run(m)
	removeProgram()
	os.Exit(code)
}
