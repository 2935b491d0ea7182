package docker_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// A row of a user may keep the class and change what is wanted; that is told, too.
func TestWhatIsWantedIsAmended(t *testing.T) {
	t.Parallel()
	row := cause.DefaultRow()
	row.When, row.Class, row.Expected = "removed && exit_code == 3", "exit.error", true
	rules, err := cause.Rules([]cause.Row{row}, event.Docker)
	require.NoError(t, err)
	const recording = `{"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"name":"web"}},"timeNano":1700000000000000000}
{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"name":"web","exitCode":"3"}},"timeNano":1700000004000000000}
{"Type":"container","Action":"destroy","Actor":{"ID":"c1","Attributes":{"name":"web"}},"timeNano":1700000005500000000}
`
	results, err := docker.Replay(strings.NewReader(recording), docker.ReplayOptions{Site: "s", Node: "n", Rules: rules})
	require.NoError(t, err)
	var stops []*event.Event
	for _, r := range results {
		if r.Event != nil && r.Event.Type == event.TaskStopped {
			stops = append(stops, r.Event)
		}
	}
	require.Len(t, stops, 2)
	assert.False(t, stops[0].Data.Cause.Expected)
	assert.True(t, stops[1].Data.Cause.Expected)
	assert.Equal(t, stops[0].ID, stops[1].Data.Supersedes)
}
