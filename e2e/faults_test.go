package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas"
)

// uniqueName returns a container name that starts with prefix.
func uniqueName(prefix string) string { return fmt.Sprintf("%s-%d", prefix, time.Now().UnixNano()) }

// fails runs up, which must end by itself with 1, and returns what it said.
func (p *program) fails(t *testing.T) string {
	t.Helper()
	begun := time.Now()
	_, errs, code := p.run(t, "up", "-c", p.config)
	assert.Equal(t, 1, code, errs)
	assert.Less(t, time.Since(begun), within)
	return errs
}

// freePort returns an address that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not wait
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// TestFaultNATS: an external server that is not there, that can't keep a stream, and one that goes away
// and comes back.
func TestFaultNATS(t *testing.T) {
	const off = "http: {listen: \"off\"}\n"
	t.Run("wrong port", func(t *testing.T) {
		address := freePort(t)
		said := newProgram(t, off+"nats: {url: \"nats://"+address+"\"}\n").fails(t)
		assert.Contains(t, said, address)
	})
	t.Run("no JetStream", func(t *testing.T) {
		n := stand.NATS(t, "jetstream: disabled")
		said := newProgram(t, off+"nats: {url: \""+n.URL+"\"}\n").fails(t)
		assert.Contains(t, said, "JetStream is not enabled on ")
		assert.Contains(t, said, "embedded server", "it says what to do")
	})
	t.Run("wrong password", func(t *testing.T) {
		n := stand.NATS(t, "authorization {user: bellbuoy, password: Sw0rdf1sh}")
		url := strings.Replace(n.URL, "nats://", "nats://bellbuoy:hunter2@", 1)
		said := newProgram(t, off+"nats: {url: \""+url+"\"}\n").fails(t)
		assert.Contains(t, strings.ToLower(said), "authorization")
		assert.NotContains(t, said, "hunter2")
	})
	t.Run("goes away", natsGoesAway)
}

// natsGoesAway runs both roles as programs of their own against one external server, which is killed in
// between: what stopped meanwhile is told when it is back.
func natsGoesAway(t *testing.T) {
	d, n := stand.Docker(t), stand.NATS(t, "")
	config := func(more string) string { return "site: away\nnats: {url: \"" + n.URL + "\"}\n" + more }
	collect := newProgram(t, config("http: {listen: \"off\"}\ncollectors: [{docker: {host: \""+d.Host+"\"}}]\n"))
	route := newProgram(t, config("http: {listen: \"127.0.0.1:0\"}\n"))
	require.NoError(t, collect.start("collect"))
	require.NoError(t, route.start("route"))
	eventually(t, time.Minute, "both greet", func() bool {
		return strings.Contains(collect.out.String(), "next: ") && strings.Contains(route.out.String(), "health: ")
	})
	stops := func(name string) {
		d.Run(t, harness.RunSpec{Name: name, Cmd: sh("exit 3")})
	}
	told := func(name string) {
		eventually(t, time.Minute, name+" is told", func() bool { return strings.Contains(route.out.String(), name+" stopped: exit code 3") })
	}
	before, meanwhile, after := uniqueName("before"), uniqueName("meanwhile"), uniqueName("after")
	stops(before)
	told(before)
	n.Kill(t)
	eventually(t, within, "not ready without a stream", func() bool { status, _ := route.ready(t); return status == http.StatusServiceUnavailable })
	stops(meanwhile)
	n.Start(t)
	told(meanwhile)
	stops(after)
	told(after)
	assert.Equal(t, 1, strings.Count(route.out.String(), meanwhile+" stopped"))
	assert.Zero(t, collect.stop(t, syscall.SIGTERM))
	assert.Zero(t, route.stop(t, syscall.SIGTERM))
}

// TestFaultDockerRestarts: readiness says that the program is blind, a gap says for how long it was, and
// what stops later is told.
func TestFaultDockerRestarts(t *testing.T) {
	d := stand.Docker(t)
	p := newProgram(t, watches(d))
	p.up(t)
	gaps := subscribe(t, p.dial(t), "bellbuoy.events.v1.*.*.*.collector.gap.>")
	status, text := p.ready(t)
	assert.Equal(t, http.StatusOK, status, text)
	d.StopDaemon(t)
	eventually(t, within, "not ready", func() bool { status, text = p.ready(t); return status == http.StatusServiceUnavailable })
	assert.Contains(t, text, "collector docker: blind since")
	assert.Contains(t, text, d.Host)
	d.StartDaemon(t)
	eventually(t, within, "ready again", func() bool { status, _ := p.ready(t); return status == http.StatusOK })
	gap, _ := gaps.await(t, "io.bellbuoy.collector.gap.v1", "")
	assert.NotEmpty(t, gap.Data.Collector.Reason)
	name := uniqueName("later")
	d.Run(t, harness.RunSpec{Name: name, Cmd: sh("exit 3")})
	eventually(t, within, "a later stop is told", func() bool { return strings.Contains(p.out.String(), name+" stopped: exit code 3") })
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

// TestFaultDockerRights runs the program as a user who may not open the socket.
func TestFaultDockerRights(t *testing.T) {
	d := stand.Docker(t)
	p := newProgram(t, watches(d))
	if os.Getuid() == 0 {
		p.asNobody(t)
	} else {
		socket := filepath.Join(t.TempDir(), "docker.sock")
		l, err := net.Listen("unix", socket) //nolint:noctx // does not wait
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		require.NoError(t, os.Chmod(socket, 0))
		p.rewrite(t, d.Host, "unix://"+socket)
	}
	p.up(t)
	eventually(t, within, "not ready", func() bool { status, _ := p.ready(t); return status == http.StatusServiceUnavailable })
	_, text := p.ready(t)
	assert.Contains(t, text, "collector docker: blind since")
	assert.Contains(t, text, "permission denied")
	assert.Contains(t, text, "the group that owns the socket")
	assert.Contains(t, p.out.String(), "not seen yet", "the greeting does not claim to watch")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

// rewrite changes the config.
func (p *program) rewrite(t *testing.T, old, now string) {
	t.Helper()
	text, err := os.ReadFile(p.config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(p.config, []byte(strings.ReplaceAll(string(text), old, now)), 0o644))
}

// asNobody gives the program's folder to a user without rights and lets it run as that one.
func (p *program) asNobody(t *testing.T) {
	t.Helper()
	const nobody = 65534
	dir, err := os.MkdirTemp("", "bellbuoy-nobody-") //nolint:usetesting // others may not enter t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chown(dir, nobody, nobody))
	p.rewrite(t, p.dir, dir)
	text, err := os.ReadFile(p.config)
	require.NoError(t, err)
	p.dir, p.config = dir, filepath.Join(dir, "bellbuoy.yaml")
	require.NoError(t, os.WriteFile(p.config, text, 0o644))
	p.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// TestFaultOddContainers: what containers say of themselves changes neither what is told nor the terminal,
// and no secret of theirs gets anywhere.
func TestFaultOddContainers(t *testing.T) {
	d := stand.Docker(t)
	p := newProgram(t, watches(d))
	p.up(t)
	all := subscribe(t, p.dial(t), "bellbuoy.events.v1.>")
	secrets := []string{"hunter2", "Sw0rdf1sh", "tok3nInEnv", "labelS3cret", "c0mmandL1ne"}
	spoof, loud, odd := uniqueName("spoof"), uniqueName("loud"), uniqueName("o.d_d-x..Y")
	d.Run(t, harness.RunSpec{Name: spoof, Cmd: sh("exit 5"), Labels: map[string]string{"exitCode": "0", "signal": "15", "name": "somebody-else"}})
	d.Run(t, harness.RunSpec{
		Name: loud, Env: []string{"API_TOKEN=tok3nInEnv"}, Labels: map[string]string{"db.password": "labelS3cret"},
		Cmd: []string{"sh", "-c", `printf 'a\033[2Jb\007\033]0;title\007c\r\n'; echo password=hunter2; echo "postgres://app:Sw0rdf1sh@db/"; exit 6`, "c0mmandL1ne"},
	})
	d.Run(t, harness.RunSpec{Name: odd, Cmd: sh("exit 7"), Labels: map[string]string{
		"com.docker.compose.project": "shop/*.>\x1b[31m é\n", "com.docker.compose.service": "web >.\u202e\x07 " + strings.Repeat("x", 300),
	}})
	for name, code := range map[string]int64{spoof: 5, loud: 6, odd: 7} {
		e, m := all.await(t, "io.bellbuoy.task.stopped.v1", name)
		assert.Equal(t, code, *e.Data.Task.Containers[0].ExitCode, name)
		assert.Len(t, strings.Split(m.Subject, "."), 10, m.Subject)
		assert.Regexp(t, regexp.MustCompile(`^[A-Za-z0-9_.=-]+$`), m.Subject)
		said := fmt.Sprintf("exit code %d", code)
		eventually(t, within, name+" is told", func() bool { return strings.Contains(p.out.String(), said) })
	}
	assert.Contains(t, p.out.String(), "password=[redacted]")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))

	v, err := schemas.New()
	require.NoError(t, err)
	var stream strings.Builder
	for _, m := range all.all() {
		require.NoError(t, v.Validate(m.Data), "%s", m.Data)
		stream.Write(m.Data)
	}
	for _, secret := range secrets {
		assert.NotContains(t, p.out.String(), secret)
		assert.NotContains(t, p.err.String(), secret)
		assert.NotContains(t, stream.String(), secret)
	}
	for where, text := range map[string]string{"terminal": p.out.String(), "log": p.err.String()} {
		for _, r := range text {
			require.False(t, r != '\n' && unicode.IsControl(r) || r == '\u202e', "%s: %q", where, r)
		}
	}
}

// TestFaultUndecodable: a message that is no event becomes a dead letter of each route; those behind it
// are delivered.
func TestFaultUndecodable(t *testing.T) {
	d := stand.Docker(t)
	p := newProgram(t, watches(d))
	p.up(t)
	conn := p.dial(t)
	require.NoError(t, conn.Publish("bellbuoy.events.v1.local.docker._.task.stopped.bad.00", []byte("\x00not an event")))
	_, err := conn.Request("bellbuoy.events.v1.local.docker._.task.stopped.bad.01", []byte(`{"specversion":"1.0"}`), within)
	require.NoError(t, err)
	name := uniqueName("behind")
	d.Run(t, harness.RunSpec{Name: name, Cmd: sh("exit 3")})
	eventually(t, within, "the consumer goes on", func() bool { return strings.Contains(p.out.String(), name+" stopped: exit code 3") })
	letters := p.deadLetters(t)
	assert.Equal(t, 2, strings.Count(letters, "decode"), letters)

	out, errs, code := p.run(t, "dlq", "list", "-o", "json", "-c", p.config)
	require.Zero(t, code, errs)
	var listed []struct {
		Number int    `json:"number"`
		Route  string `json:"route"`
		Class  string `json:"class"`
		Reason string `json:"reason"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &listed))
	require.Len(t, listed, 2)
	for _, letter := range listed {
		assert.Equal(t, "incidents", letter.Route, "the screen is told of incidents alone, so only their fold reads the rest")
		assert.NotEmpty(t, letter.Reason)
	}
	out, errs, code = p.run(t, "dlq", "show", fmt.Sprint(listed[0].Number), "-c", p.config)
	require.Zero(t, code, errs)
	assert.Contains(t, out, "not an event")
	out, errs, code = p.run(t, "dlq", "drop", "all", "-c", p.config)
	require.Zero(t, code, errs)
	assert.Contains(t, out, "2 dropped")
	assert.Contains(t, p.deadLetters(t), "no dead letters")
	_, _, code = p.run(t, "dlq", "show", "999", "-c", p.config)
	assert.Equal(t, 1, code)
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}

// TestFaultWrongTopic: an alert for a topic that does not exist is a dead letter, and reaches the topic
// once somebody has made it and redrives.
func TestFaultWrongTopic(t *testing.T) {
	d, m := stand.Docker(t), stand.Moto(t)
	topic, name := uniqueName("late-topic"), uniqueName("redriven")
	p := newProgram(t, watches(d)+"aws: {endpoint: \""+m.URL+"\"}\nsinks:\n  screen: {console: {}}\n"+
		"  pager: {sns: {topic_arn: \"arn:aws:sns:eu-west-1:123456789012:"+topic+"\"}}\n"+
		"routes: [{name: page, to: pager, when: 'event == \"stopped\" && workload == \""+name+"\"'}]\n")
	p.up(t)
	d.Run(t, harness.RunSpec{Name: name, Cmd: sh("exit 3")})
	var letters string
	eventually(t, within, "a dead letter", func() bool { letters = p.deadLetters(t); return strings.Contains(letters, "page ") })
	assert.Contains(t, letters, "permanent")
	assert.Contains(t, letters, topic)
	_, queue := m.TopicWithQueue(t, topic)
	out, errs, code := p.run(t, "dlq", "redrive", "all", "-c", p.config)
	require.Zero(t, code, errs)
	assert.Contains(t, out, "1 redriven")
	got := m.Messages(t, queue, within, harness.AtLeast(1))
	assert.Contains(t, *got[0].Body, name+" stopped")
	assert.Contains(t, p.deadLetters(t), "no dead letters")
	assert.Equal(t, 1, strings.Count(p.out.String(), name+" stopped"), "a redrive is for one route")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}
