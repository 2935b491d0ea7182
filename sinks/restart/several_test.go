package restart

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATaskIsWithTheDaemonThatKnowsIt(t *testing.T) {
	first, second := newWorld(), newWorld()
	first.stopped("a", nil)
	second.stopped("b", nil)
	second.stand("side", nil, "b")
	both := several{first, second}
	for task, w := range map[string]*world{"a": first, "b": second} {
		s, err := both.State(t.Context(), Target{ID: task})
		require.NoError(t, err)
		require.Equal(t, "/"+task, s.Name)
		require.NoError(t, both.Start(t.Context(), Target{ID: task}))
		require.NoError(t, both.Restart(t.Context(), Target{ID: task}))
		require.Equal(t, []string{"start " + task, "restart " + task}, w.called())
	}
	found, err := both.Dependants(t.Context(), Target{ID: "b"})
	require.NoError(t, err)
	require.Len(t, found, 1)

	s, err := both.State(t.Context(), Target{ID: "c"})
	require.NoError(t, err)
	require.False(t, s.Found)
	require.ErrorContains(t, both.Start(t.Context(), Target{ID: "c"}), "no daemon knows the task")
	found, err = both.Dependants(t.Context(), Target{ID: "c"})
	require.NoError(t, err)
	require.Empty(t, found)

	first.failState = errors.New("daemon is away")
	_, err = both.State(t.Context(), Target{ID: "b"})
	require.NoError(t, err, "another one knows it")
	_, err = both.State(t.Context(), Target{ID: "c"})
	require.ErrorContains(t, err, "daemon is away", "it may be with that one")
	require.ErrorContains(t, both.Restart(t.Context(), Target{ID: "c"}), "daemon is away")
	_, err = both.Dependants(t.Context(), Target{ID: "c"})
	require.ErrorContains(t, err, "daemon is away")
}
