package e2e_test

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// obeys ends at once when it is asked to; obeysBadly ends with an error; ignores does not end.
func obeys() []string {
	return []string{"sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"}
}

func obeysBadly() []string {
	return []string{"sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done"}
}

func ignores() []string { return []string{"sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"} }

// paged is the whole program on one daemon, with a topic that its alerts go to.
type paged struct {
	*program
	t      *testing.T
	d      *harness.Docker
	moto   *harness.Moto
	queue  string
	names  int
	prefix string
	taken  map[string]bool // messages, by id
	alerts []event.Event
}

func newPaged(t *testing.T, d *harness.Docker) *paged {
	t.Helper()
	p := &paged{t: t, d: d, moto: stand.Moto(t), taken: map[string]bool{}, prefix: fmt.Sprintf("quiet-%d", time.Now().UnixNano())}
	var topic string
	topic, p.queue = p.moto.TopicWithQueue(t, p.prefix)
	p.program = newProgram(t, quiet+`
aws: {endpoint: "`+p.moto.URL+`"}
collectors: [{docker: {host: "`+d.Host+`"}}]
sinks: {pager: {sns: {topic_arn: "`+topic+`", format: json}}}
`)
	p.up(t)
	return p
}

func (p *paged) name(what string) string {
	p.names++
	return fmt.Sprintf("%s-%02d-%s", p.prefix, p.names, what)
}

// run starts a container that ends only when something is done to it, or by itself.
func (p *paged) run(what string, cmd []string) string {
	p.t.Helper()
	return p.d.Run(p.t, harness.RunSpec{Name: p.name(what), Cmd: cmd})
}

// make starts, or tries to start, a container that the harness has no words for.
func (p *paged) make(what string, c *container.Config, h *container.HostConfig) (id string, err error) {
	p.t.Helper()
	c.Image = p.d.Image
	created, err := p.d.Client().ContainerCreate(p.t.Context(), client.ContainerCreateOptions{Name: p.name(what), Config: c, HostConfig: h})
	require.NoError(p.t, err)
	p.t.Cleanup(func() { p.remove(created.ID) })
	_, err = p.d.Client().ContainerStart(p.t.Context(), created.ID, client.ContainerStartOptions{})
	return created.ID, err
}

// remove removes a container after the test, unless its daemon has been left stopped.
func (p *paged) remove(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := p.d.Client().Ping(ctx, client.PingOptions{}); err == nil {
		_, _ = p.d.Client().ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true}) // it may be gone
	}
}

// of returns the alerts so far about a container.
func (p *paged) of(id string) []event.Event {
	var found []event.Event
	for _, e := range p.alerts {
		if e.Data.Task.ID == id {
			found = append(found, e)
		}
	}
	return found
}

// settle waits for the alert of a crash, behind which all that led to an alert before has been told.
func (p *paged) settle() {
	p.t.Helper()
	id := p.run("sentinel", []string{"sh", "-c", "exit 9"})
	p.moto.Messages(p.t, p.queue, time.Minute, func(taken []sqstypes.Message) bool {
		p.decode(taken)
		return len(p.of(id)) > 0
	})
	p.decode(p.moto.Messages(p.t, p.queue, time.Minute, nil))
}

// decode notes the alerts that are not noted yet.
func (p *paged) decode(messages []sqstypes.Message) {
	p.t.Helper()
	for _, m := range messages {
		if p.taken[*m.MessageId] {
			continue
		}
		p.taken[*m.MessageId] = true
		e, err := event.Decode([]byte(*m.Body))
		require.NoError(p.t, err)
		p.alerts = append(p.alerts, e)
	}
}

// service are containers as compose makes them.
func (p *paged) service(name, hash string, number int, cmd []string) string {
	p.t.Helper()
	grace := 1
	id, err := p.make(fmt.Sprintf("%s-%d", name, number), &container.Config{
		Cmd: cmd, StopTimeout: &grace,
		Labels: map[string]string{
			"com.docker.compose.project": p.prefix, "com.docker.compose.service": name, "com.docker.compose.config-hash": hash,
			"com.docker.compose.container-number": fmt.Sprint(number), "com.docker.compose.oneoff": "False",
		},
	}, nil)
	require.NoError(p.t, err)
	return id
}

func (p *paged) stopAndRemove(id string) {
	p.t.Helper()
	p.d.Stop(p.t, id, time.Second)
	p.d.Remove(p.t, id)
}

// TestQuiet: what people and orchestrators want wakes nobody; what goes wrong is told once, with its cause.
func TestQuiet(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, d *harness.Docker) {
		abreast(t)
		p := newPaged(t, d)
		wanted := map[string]string{}
		for what, act := range quietEnds() {
			for _, id := range act(p) {
				wanted[id] = what
			}
		}
		expected := map[string]alarm{}
		for _, a := range loudEnds() {
			expected[a.act(p)] = a
		}
		p.settle()
		for _, id := range p.daemonRestarts() {
			wanted[id] = "daemon restart"
		}
		p.settle()
		p.check(wanted, expected)
		p.hostShutsDown()
	})
}

// check holds the alerts against what was done.
func (p *paged) check(wanted map[string]string, expected map[string]alarm) {
	p.t.Helper()
	for id, what := range wanted {
		for _, e := range p.of(id) {
			assert.Fail(p.t, "an alert of what was wanted", "%s: %s %+v", what, e.Data.Message, e.Data.Cause)
		}
	}
	for id, a := range expected {
		told := p.of(id)
		if !assert.Len(p.t, told, 1, "alerts of %s", a.what) {
			continue
		}
		class := told[0].Data.Cause.Class
		p.t.Logf("%-16s 1 alert: %s, %s: %s", a.what, class, told[0].Data.Cause.Confidence, told[0].Data.Message)
		if a.class == "oom" && !p.d.Inspect(p.t, id).State.OOMKilled {
			continue // the daemon missed it
		}
		assert.Equal(p.t, a.class, class, "%s: %+v", a.what, told[0].Data.Cause)
	}
	p.t.Logf("%d containers that ended as wanted: 0 alerts", len(wanted))
}

// quietEnds are the ends that somebody wants; each returns the containers that have ended.
func quietEnds() map[string]func(p *paged) []string {
	return map[string]func(p *paged) []string{
		"exit 0": func(p *paged) []string {
			id := p.run("job", []string{"true"})
			p.d.Wait(p.t, id, time.Minute)
			return []string{id}
		},
		"compose recreate": func(p *paged) []string {
			var old []string
			for i, cmd := range [][]string{obeys(), obeysBadly(), ignores()} {
				id := p.service("web", "a1", i, cmd)
				p.stopAndRemove(id)
				p.service("web", "b2", i, obeys())
				old = append(old, id)
			}
			return old
		},
		"scale-in": func(p *paged) []string {
			ids := []string{p.service("api", "a1", 1, obeys()), p.service("api", "a1", 2, obeysBadly()), p.service("api", "a1", 3, ignores())}
			p.stopAndRemove(ids[2])
			p.stopAndRemove(ids[1])
			return ids[1:]
		},
		"docker stop": func(p *paged) []string {
			ids := []string{p.run("obeys", obeys()), p.run("badly", obeysBadly()), p.run("ignores", ignores()), p.run("pid1", []string{"sleep", "600"})}
			for _, id := range ids {
				p.d.Stop(p.t, id, time.Second)
			}
			return ids
		},
		"docker restart": func(p *paged) []string {
			grace := 1
			id, err := p.make("restarted", &container.Config{Cmd: ignores(), StopTimeout: &grace}, nil)
			require.NoError(p.t, err)
			_, err = p.d.Client().ContainerRestart(p.t.Context(), id, client.ContainerRestartOptions{Timeout: &grace})
			require.NoError(p.t, err)
			return []string{id}
		},
		"kill, rm -f": func(p *paged) []string {
			killed, removed := p.run("killed", ignores()), p.run("removed", ignores())
			p.d.Kill(p.t, killed, "SIGKILL")
			p.d.Remove(p.t, removed)
			return []string{killed, removed}
		},
		"--rm": func(p *paged) []string {
			done := p.d.Run(p.t, harness.RunSpec{Name: p.name("rm"), Cmd: []string{"true"}, AutoRemove: true})
			stopped := p.d.Run(p.t, harness.RunSpec{Name: p.name("rm"), Cmd: ignores(), AutoRemove: true})
			p.d.Stop(p.t, stopped, time.Second)
			return []string{done, stopped}
		},
	}
}

// alarm is something that goes wrong, and the cause that is told.
type alarm struct {
	what, class string
	act         func(p *paged) (id string)
}

func loudEnds() []alarm {
	crash := func(script string) func(p *paged) string {
		return func(p *paged) string { return p.run("crash", []string{"sh", "-c", script}) }
	}
	return []alarm{
		{"crash", "exit.error", crash("sleep 0.2; exit 3")},
		{"crash at once", "exit.error", crash("exit 3")},
		{"segfault", "exit.signal", crash("sh -c 'kill -SEGV $$'; exit $?")},
		{"crash of --rm", "exit.error", func(p *paged) string {
			return p.d.Run(p.t, harness.RunSpec{Name: p.name("rm"), Cmd: []string{"sh", "-c", "exit 4"}, AutoRemove: true})
		}},
		{"out of memory", "oom", func(p *paged) string {
			return p.d.Run(p.t, harness.RunSpec{Name: p.name("oom"), Memory: 16 << 20, Cmd: []string{"sh", "-c", harness.OutOfMemory}})
		}},
		{"failed health", "health.container", failHealth},
		{"no such command", "start.error", func(p *paged) string {
			id, err := p.make("nocommand", &container.Config{Cmd: []string{"no-such-command"}}, nil)
			require.Error(p.t, err)
			return id
		}},
		{"port taken", "start.error", takePort},
	}
}

// failHealth lets a probe fail, and somebody restart the container for it.
func failHealth(p *paged) string {
	p.t.Helper()
	id := p.d.Run(p.t, harness.RunSpec{
		Name: p.name("sick"), Cmd: obeys(),
		Healthcheck: &container.HealthConfig{Test: []string{"CMD", "false"}, Interval: 200 * time.Millisecond, Retries: 2},
	})
	eventually(p.t, time.Minute, "the probe fails", func() bool {
		return p.d.Inspect(p.t, id).State.Health.Status == container.Unhealthy
	})
	p.d.Stop(p.t, id, 5*time.Second)
	return id
}

// takePort starts a second container on a port that another has.
func takePort(p *paged) string {
	p.t.Helper()
	port := network.MustParsePort("80/tcp")
	config := func() *container.Config {
		return &container.Config{Cmd: obeys(), ExposedPorts: network.PortSet{port: struct{}{}}}
	}
	host := &container.HostConfig{PortBindings: network.PortMap{port: {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: "18080"}}}}
	_, err := p.make("first", config(), host)
	require.NoError(p.t, err)
	id, err := p.make("second", config(), host)
	require.Error(p.t, err)
	return id
}

// daemonRestarts stops and starts the daemon under containers of every manner.
func (p *paged) daemonRestarts() []string {
	p.t.Helper()
	grace := 1
	var ids []string
	for _, policy := range []container.RestartPolicyMode{container.RestartPolicyDisabled, container.RestartPolicyAlways} {
		for _, cmd := range [][]string{obeys(), obeysBadly(), ignores()} {
			id, err := p.make("daemon", &container.Config{Cmd: cmd, StopTimeout: &grace}, &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: policy}})
			require.NoError(p.t, err)
			ids = append(ids, id)
		}
	}
	p.d.RestartDaemon(p.t)
	return ids
}

// hostShutsDown ends the daemon with many containers, and the program a moment later.
func (p *paged) hostShutsDown() {
	p.t.Helper()
	before := len(p.alerts)
	for range 12 {
		p.run("host", obeys())
	}
	p.d.StopDaemon(p.t)
	assert.Zero(p.t, p.stop(p.t, syscall.SIGTERM))
	p.decode(p.moto.Messages(p.t, p.queue, time.Minute, nil))
	assert.Len(p.t, p.alerts, before, "alerts of a host that shut down")
	p.d.StartDaemon(p.t)
	p.up(p.t)
	p.settle()
	assert.Len(p.t, p.alerts, before+1, "alerts after the host is back, beside the one that was made")
}
