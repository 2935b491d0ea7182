package docker

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListenerIsTheProcessAtTheOtherEnd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s")) //nolint:noctx // does not wait
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String()) //nolint:noctx // does not wait
	require.NoError(t, err)
	want := int64(os.Getpid())
	if runtime.GOOS != "linux" {
		want = 0
	}
	assert.Equal(t, want, listenerOf(c))
	require.NoError(t, c.Close())
	assert.Zero(t, listenerOf(c), "a closed connection tells nothing")
}

// TestAnotherProcessHasAnotherLog is about daemons that have never logged anything, so that nothing in the
// log tells one from the next.
func TestAnotherProcessHasAnotherLog(t *testing.T) {
	t.Parallel()
	d := daemon{clock: &clock{}}
	for want, processes := range map[string][2]int64{
		"": {7, 7}, "; the daemon was restarted, and its log begins anew": {7, 8},
	} {
		b := blindness{since: time.Now(), noticed: time.Now(), reach: time.Now(), process: processes[0]}
		assert.Equal(t, want, b.missed(ring{}, d, processes[1]))
	}
	unknown := blindness{noticed: time.Now(), reach: time.Now()}
	assert.Empty(t, unknown.missed(ring{}, d, 8), "it answered at once")
}
