package e2e_test

import (
	"slices"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

// TestRestartOfWhatStandsOnATask crashes a database. What shares its network is cut off, and the services
// whose compose file wants it are to be restarted with it: they follow, in their order.
func TestRestartOfWhatStandsOnATask(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, d *harness.Docker) {
		t.Parallel()
		h := newHealingProgram(t, "{docker: {host: \""+d.Host+"\"}}")
		project := containerName(t)
		service := func(name, script, dependsOn string, labels map[string]string, host *container.HostConfig, probe string) string {
			c := &container.Config{Image: d.Image, Cmd: sh(script), Labels: map[string]string{
				"com.docker.compose.project": project, "com.docker.compose.service": name, "com.docker.compose.depends_on": dependsOn,
			}}
			for key, value := range labels {
				c.Labels[key] = value
			}
			if probe != "" {
				c.Healthcheck = &container.HealthConfig{Test: []string{"CMD-SHELL", probe}, Interval: 300 * time.Millisecond, Timeout: 5 * time.Second, Retries: 3}
			}
			return create(t, d, c, host, project+"-"+name+"-1")
		}
		db := service("db", counting+`[ $n -ge 2 ] || { while [ ! -f /crash ]; do sleep 0.1; done; exit 3; }; `+steady, "",
			map[string]string{"bellbuoy.restart": "on-failure"}, nil, "ip addr show eth0")
		side := service("side", steady, "", nil, &container.HostConfig{NetworkMode: container.NetworkMode("container:" + db)}, "ip addr show eth0 | grep -q inet")
		web := service("web", steady, "api:service_healthy:true", nil, nil, "")
		api := service("api", steady, "db:service_healthy:true", nil, nil, "true")
		calm := service("calm", steady, "db:service_started:false", nil, nil, "")
		off := service("off", steady, "db:service_healthy:true", map[string]string{"bellbuoy.restart": "off"}, nil, "")
		for _, id := range []string{side, api} {
			eventually(t, within, "healthy", func() bool { return d.Inspect(t, id).State.Health.Status == container.Healthy })
		}
		before := d.Inspect(t, calm).State.StartedAt
		touch(t, d, db, "/crash")
		eventually(t, 2*time.Minute, "the last one follows", func() bool { return slices.Contains(h.story(web).actions(), "succeeded") })
		h.quiet()

		success := h.story(db).last(event.ActionSucceeded)
		var order []time.Time
		for _, id := range []string{db, api, web} {
			order = append(order, h.story(id).last(event.ActionSucceeded).Time)
		}
		assert.True(t, slices.IsSortedFunc(order, time.Time.Compare), "%v", order)
		for name, id := range map[string]string{"side": side, "api": api, "web": web} {
			s := h.story(id)
			assert.Equal(t, []string{"requested", "started", "succeeded"}, s.actions(), name)
			assert.Equal(t, success.ID, s.last(event.ActionRequested).CausationID, name)
			assert.Equal(t, "handler.restart", s.last(event.TaskStopped).Data.Cause.Class, name)
			for _, e := range s {
				schematest.Valid(t, e)
			}
			t.Logf("%-5s %s", name, s.last(event.ActionRequested).Data.Message)
		}
		assert.Contains(t, h.story(side).last(event.ActionRequested).Data.Action.Reason, "it shares the network of "+project+"-db-1")
		assert.Equal(t, container.Healthy, d.Inspect(t, side).State.Health.Status, "it has its network again")
		assert.Equal(t, before, d.Inspect(t, calm).State.StartedAt)
		assert.Empty(t, h.story(calm).actions())
		assert.Equal(t, []string{"denied"}, h.story(off).actions())
		assert.Equal(t, "not_opted_in", h.story(off).last(event.ActionDenied).Data.Action.Rule)
	})
}

// touch makes a file in a running container.
func touch(t *testing.T, d *harness.Docker, id, path string) {
	t.Helper()
	made, err := d.Client().ExecCreate(t.Context(), id, client.ExecCreateOptions{Cmd: []string{"touch", path}})
	require.NoError(t, err)
	_, err = d.Client().ExecStart(t.Context(), made.ID, client.ExecStartOptions{Detach: true})
	require.NoError(t, err)
}
