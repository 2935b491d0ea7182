package app

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/containerd"
	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/internal/config"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// recording is a short real stream of a Docker daemon, for a machine that has none.
//
//go:embed testdata/recording.jsonl
var recorded []byte

// playEvery is the distance between two events of the recording.
const playEvery = 700 * time.Millisecond

// detect returns a collector for each local runtime that answers. The containers of Docker, which are
// containerd's, too, are told by the collector of Docker only.
func detect(ctx context.Context) []config.Collector {
	found := detectDocker(ctx)
	if address := containerdAddress(); answers(ctx, address) == nil {
		c := containerd.DefaultConfig()
		c.Address = address
		found = append(found, config.Collector{Containerd: &c})
	}
	return found
}

func detectDocker(ctx context.Context) []config.Collector {
	for _, host := range dockerHosts() {
		path, ok := strings.CutPrefix(host, "unix://")
		if ok && answers(ctx, path) != nil {
			continue
		}
		return dockerAt(host)
	}
	return nil
}

// containerdAddress is where containerd may be: where the user says, as for its own tools, or the
// system's.
func containerdAddress() string {
	return cmp.Or(strings.TrimPrefix(os.Getenv("CONTAINERD_ADDRESS"), "unix://"), containerd.DefaultConfig().Address)
}

func dockerAt(host string) []config.Collector {
	c := docker.DefaultConfig()
	c.Host = host
	if dir := dockerCertificates(); dir != "" && !strings.HasPrefix(host, "unix://") {
		c.TLS = docker.TLS{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	}
	return []config.Collector{{Docker: &c}}
}

// dockerCertificates is the folder where Docker's own tools would look for certificates, if they used TLS.
func dockerCertificates() string {
	dir := os.Getenv("DOCKER_CERT_PATH")
	if dir == "" && os.Getenv("DOCKER_TLS_VERIFY") != "" {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, ".docker")
		}
	}
	return dir
}

// dockerHosts are where a Docker daemon may be: where the user says, the system's, a rootless one.
func dockerHosts() []string {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return []string{host}
	}
	hosts := []string{docker.DefaultConfig().Host}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		hosts = append(hosts, "unix://"+filepath.Join(dir, "docker.sock"))
	}
	return hosts
}

func answers(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

// refused lists the sockets that are there and may not be used, so that nobody takes it for an absent
// runtime.
func refused(ctx context.Context) []string {
	var list []string
	for _, host := range append(dockerHosts(), containerdAddress()) {
		path := strings.TrimPrefix(host, "unix://")
		if filepath.IsAbs(path) && errors.Is(answers(ctx, path), fs.ErrPermission) {
			list = append(list, path)
		}
	}
	return list
}

// dockerHostOf is the daemon that drills and restarts use: the first that is configured, else the first that answers.
func dockerHostOf(ctx context.Context, cfg *config.Config) string {
	for _, c := range cfg.Collectors {
		if c.Docker != nil {
			return c.Docker.Host
		}
	}
	if found := detectDocker(ctx); len(found) > 0 {
		return found[0].Docker.Host
	}
	return docker.DefaultConfig().Host
}

// greet says on standard output what is watched, as soon as the collectors see it, and what to type next.
func (w *wiring) greet(ctx context.Context) error {
	for !w.allSeen() {
		if err := backoff.Sleep(ctx, 50*time.Millisecond); err != nil {
			return nil //nolint:nilerr // told to stop
		}
	}
	_, _ = fmt.Fprint(w.program.Out, w.greeting(ctx))
	<-ctx.Done()
	return nil
}

// allSeen says whether every collector has seen its runtime or has said why it can't.
func (w *wiring) allSeen() bool {
	for _, s := range w.watched() {
		if !s.Connected && time.Since(s.Since) < 3*time.Second {
			return false
		}
	}
	return true
}

func (w *wiring) greeting(ctx context.Context) string {
	var b strings.Builder
	for _, s := range w.watched() {
		b.WriteString(seen(s))
	}
	if len(w.program.Config.Collectors) == 0 && w.supervisor != nil {
		for _, path := range refused(ctx) {
			fmt.Fprintf(&b, "%s may not be used: permission denied; run as root or as a member of the group that owns it\n", path)
		}
	}
	if w.plays() {
		b.WriteString("No container runtime answers here (looked at " + strings.Join(append(dockerHosts(), containerdAddress()), ", ") + ").\n" +
			"A recorded stream is played instead; each line of it is marked drill.\n")
	}
	cfg := w.program.withDefaultSinks()
	if w.roles&Route != 0 {
		rules, err := Rules(cfg)
		if err == nil {
			for _, r := range rules {
				b.WriteString(toldWhere(r))
			}
		}
	}
	b.WriteString(w.next())
	return b.String()
}

func seen(s collectors.Status) string {
	switch {
	case s.Runtime == event.ECS && s.Connected: // what runs there is counted by the first comparison, which comes later
		return s.Engine + ": its events are read\n"
	case !s.Connected:
		return fmt.Sprintf("%s: not seen yet: %v\n", title(cmp.Or(s.Engine, string(s.Runtime))), s.LastError)
	}
	return fmt.Sprintf("%s %s, %s, %s\n", title(string(s.Runtime)), s.Version, count(s.Containers, "container"), count(s.Workloads, "workload"))
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func toldWhere(r Rule) string {
	switch r.Kind {
	case "console":
		return "problems are told here, and when they are over\n"
	case "restart":
		return fmt.Sprintf("restarts: %s looks after containers with the label bellbuoy.restart\n", r.To)
	}
	return fmt.Sprintf("events go to %s (%s)\n", r.To, r.Kind)
}

func (w *wiring) next() string {
	var b strings.Builder
	if w.onlyECS() {
		b.WriteString("next: bellbuoy tail --since 5m\n")
	} else {
		b.WriteString("next: docker run --rm busybox sh -c 'echo boom; exit 3'    bellbuoy tail --since 5m    bellbuoy drill crash\n")
	}
	if w.stream.server != nil {
		fmt.Fprintf(&b, "stream: %s, subjects %s>\n", cmp.Or(w.stream.server.ClientURL(), "in this process only"), event.SubjectPrefix)
	}
	if w.listener != nil {
		fmt.Fprintf(&b, "health: http://%s/readyz?verbose    Ctrl-C ends\n\n", w.listener.Addr())
	}
	return b.String()
}

// onlyECS says that nothing of this host is watched.
func (w *wiring) onlyECS() bool {
	all := w.watched()
	return len(all) > 0 && !slices.ContainsFunc(all, func(s collectors.Status) bool { return s.Runtime != event.ECS })
}

// play publishes the recording with its own times, under ids of now and marked as a drill, then waits for
// the end. The ids are new each time, or the stream would take a second look for a duplicate.
func (w *wiring) play(ctx context.Context) error {
	cfg := &w.program.Config
	rules, err := causes(cfg, event.Docker)
	if err != nil {
		return err
	}
	results, err := docker.Replay(bytes.NewReader(recorded), docker.ReplayOptions{
		Site: cfg.Site, Node: cfg.Node, Observed: event.ObservedDrill, Rules: rules,
	})
	if err != nil {
		return fmt.Errorf("read the recorded stream: %w", err)
	}
	source := event.SourceOf(cfg.Site, event.Docker, cfg.Node)
	for i, r := range results {
		if r.Event == nil {
			continue
		}
		e := *r.Event
		now := time.Now().UTC()
		e.ID = event.NewID("recording", e.ID, now.String())
		e.Source, e.Recorded = cmp.Or(e.Source, source), now
		e.Sequence = fmt.Sprintf("%014d-%010d", now.UnixMilli(), i+1)
		if err := w.publisher.Publish(ctx, e); err != nil {
			return nil //nolint:nilerr // told to stop
		}
		if err := backoff.Sleep(ctx, playEvery); err != nil {
			return nil //nolint:nilerr // told to stop
		}
	}
	<-ctx.Done()
	return nil
}
