package harness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCPUOfStat(t *testing.T) {
	spent, err := cpuOf("77 (a) (b c) S 1 77 77 0 -1 4194560 100 0 0 0 150 25 7 8 20 0 9 0 12345 1000 200")
	require.NoError(t, err)
	require.Equal(t, 1750*time.Millisecond, spent)
	for _, stat := range []string{"", "77 (dockerd) S 1 77", "77 (dockerd) S 1 77 77 0 -1 4194560 100 0 0 0 many 25"} {
		_, err := cpuOf(stat)
		require.Error(t, err, stat)
	}
}
