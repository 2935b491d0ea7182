package restart

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

func TestStateOfAContainer(t *testing.T) {
	began := time.Date(2026, 11, 24, 10, 0, 0, 123456789, time.UTC)
	for name, c := range map[string]struct {
		inspect string
		want    State
	}{
		"running with a probe": {
			`{"Name":"/pay","State":{"Status":"running","Running":true,"StartedAt":"2026-11-24T10:00:00.123456789Z","Health":{"Status":"starting"}},
			"HostConfig":{"RestartPolicy":{"Name":"no"}},"Config":{"Labels":{"a":"b"}}}`,
			State{Found: true, Running: true, Started: began, Health: "starting", Policy: "no", Name: "/pay", Labels: map[string]string{"a": "b"}},
		},
		"ended": {
			`{"Name":"/pay","State":{"Status":"exited","ExitCode":137,"StartedAt":"2026-11-24T10:00:00.123456789Z","Health":{"Status":"none"}},
			"HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}},"Config":{}}`,
			State{Found: true, Started: began, ExitCode: 137, AutoRemove: true, Policy: "always", Name: "/pay"},
		},
		"never ran": {
			`{"State":{"Status":"created","StartedAt":"0001-01-01T00:00:00Z","ExitCode":127},"HostConfig":{},"Config":{}}`,
			State{Found: true, ExitCode: 127},
		},
		"waits for its policy": {
			`{"State":{"Status":"restarting","Running":true,"Restarting":true,"StartedAt":"2026-11-24T10:00:00.123456789Z"},"HostConfig":{},"Config":{}}`,
			State{Found: true, Started: began},
		},
		"about to go": {`{"State":{"Status":"removing","StartedAt":"?"},"HostConfig":{},"Config":{}}`, State{}},
		"paused":      {`{"State":{"Status":"paused","Running":true,"Paused":true,"StartedAt":"?"}}`, State{Found: true, Running: true, Paused: true}},
		"nothing":     {`{}`, State{}},
	} {
		t.Run(name, func(t *testing.T) {
			var inspect container.InspectResponse
			require.NoError(t, json.Unmarshal([]byte(c.inspect), &inspect))
			require.Equal(t, c.want, stateOf(&inspect))
		})
	}
}

func TestARunIsNamedByItsStart(t *testing.T) {
	began := time.Unix(0, 1795514400123456789)
	s := State{Started: began}
	require.Equal(t, "1795514400123456789", s.Run())
	require.Empty(t, (&State{}).Run())
	for _, c := range []struct {
		run  string
		at   time.Time
		want bool
	}{
		{"1795514400123456789", began.Add(time.Second), true},
		{"1795514400123456788", began.Add(time.Second), false},
		{"t1795514401000000000", began.Add(time.Second), true},
		{"t1795514401000000000", began.Add(-time.Second), false},
		{"", began.Add(time.Second), true},
	} {
		e := event.Event{Time: c.at, Data: event.Data{Task: &event.Task{Run: c.run}}}
		require.Equal(t, c.want, s.same(&e), c.run)
	}
}

func TestADaemonThatIsAwayIsAnError(t *testing.T) {
	d, err := NewDockerRestarter(Docker{Host: "unix://" + t.TempDir() + "/none.sock"})
	require.NoError(t, err, "nothing is dialled")
	defer func() { require.NoError(t, d.Close()) }()
	_, err = d.State(t.Context(), Target{ID: "a"})
	require.ErrorContains(t, err, "inspect container")
	require.ErrorContains(t, d.Start(t.Context(), Target{ID: "a"}), "start container")
	require.ErrorContains(t, d.Restart(t.Context(), Target{ID: "a"}), "restart container")
	c, err := NewContainerdRestarter(t.TempDir() + "/none.sock")
	require.NoError(t, err, "nothing is dialled")
	defer func() { require.NoError(t, c.Close()) }()
	_, err = c.State(t.Context(), Target{Scope: "default", ID: "a"})
	require.ErrorContains(t, err, "get container")
	require.ErrorContains(t, err, "none.sock")
	require.ErrorContains(t, c.Start(t.Context(), Target{Scope: "default", ID: "a"}), "get container")
	_, err = NewDockerRestarter(Docker{Host: "://"})
	require.Error(t, err)
	_, err = NewDockerRestarter(Docker{Host: "tcp://127.0.0.1:2376", TLS: TLS{CA: t.TempDir() + "/none.pem"}})
	require.ErrorContains(t, err, "none.pem")
}
