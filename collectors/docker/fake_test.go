package docker_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/stretchr/testify/require"
)

// fakeDaemon speaks the wire protocol of a Docker daemon on a unix socket. It is for what a real one
// can't be made to do on demand: break its stream, lose events, stamp them late, forget a container
// between an event and the question about it, or hang. Real ends are tested against real daemons in e2e.
type fakeDaemon struct {
	t      testing.TB
	socket string
	server *httptest.Server

	mu         sync.Mutex // guards what follows
	id         string
	containers map[string]*container.InspectResponse
	ring       []events.Message
	streams    map[chan events.Message]chan struct{}
	opened     int
	mute       bool            // streams deliver nothing
	hidden     map[string]bool // inspect answers 404
	logs       map[string]string
	follows    int // logs that were followed
	following  int // and still are
	next       int

	name    string                   // of its host
	podman  bool                     // it calls itself so
	ahead   time.Duration            // its clock
	calls   map[string]int           // by what is asked for
	delay   map[string]time.Duration // of answers, by what is asked for
	refuse  map[string]int           // status of inspects, by container
	garble  func(line []byte) []byte // changes a record on its way
	cutOff  string                   // what is asked for is answered by half
	lagging bool                     // the list says what was before
	tooOld  bool                     // it wants clients of a newer API
}

const fakeRing = 256

func newFake(t testing.TB) *fakeDaemon {
	t.Helper()
	f := &fakeDaemon{
		t: t, id: "FAKE:ENGINE", containers: map[string]*container.InspectResponse{}, streams: map[chan events.Message]chan struct{}{},
		hidden: map[string]bool{}, logs: map[string]string{}, name: "host-1", calls: map[string]int{}, delay: map[string]time.Duration{},
		refuse: map[string]int{}, socket: filepath.Join(t.TempDir(), "d.sock"),
	}
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *fakeDaemon) host() string { return "unix://" + f.socket }

func (f *fakeDaemon) start() {
	l, err := net.Listen("unix", f.socket) //nolint:noctx // closed with the server
	require.NoError(f.t, err)
	f.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: f.handler()}}
	f.server.Start()
}

// handler answers what a collector asks.
func (f *fakeDaemon) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]http.HandlerFunc{
		"/_ping":                        func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.52") },
		"GET /{v}/info":                 f.info,
		"GET /{v}/version":              f.version,
		"GET /{v}/containers/json":      f.list,
		"GET /{v}/containers/{id}/json": f.inspect,
		"GET /{v}/containers/{id}/logs": f.log,
		"GET /{v}/events":               f.events,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			what := pattern[strings.LastIndexAny(pattern, "/")+1:]
			if strings.Contains(pattern, "{id}/json") {
				what = "inspect"
			}
			f.mu.Lock()
			f.calls[what]++
			wait, half := f.delay[what], f.cutOff == what
			w.Header().Set("Date", f.now().UTC().Format(http.TimeFormat))
			f.mu.Unlock()
			select {
			case <-time.After(wait):
			case <-r.Context().Done():
				return
			}
			if half {
				cutOff(w, r, handle)
				return
			}
			handle(w, r)
		})
	}
	return mux
}

// cutOff sends half of an answer and ends the connection.
func cutOff(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
	whole := httptest.NewRecorder()
	handle(whole, r)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func (f *fakeDaemon) now() time.Time { return time.Now().Add(f.ahead) }

func (f *fakeDaemon) info(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tooOld {
		http.Error(w, "client version 1.52 is too old. Minimum supported API version is 1.60, please upgrade your client to a newer version", http.StatusBadRequest)
		return
	}
	answer(w, map[string]any{"ID": f.id, "Name": f.name, "ServerVersion": "29.0-fake", "SystemTime": f.now().Format(time.RFC3339Nano)})
}

func (f *fakeDaemon) version(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	part := "Engine"
	if f.podman {
		part = "Podman Engine"
	}
	answer(w, map[string]any{"Version": "29.0-fake", "Components": []map[string]any{{"Name": part, "Version": "29.0-fake"}}})
}

// stop ends the daemon as a shutdown does: streams end, and nobody answers.
func (f *fakeDaemon) stop() {
	f.cut()
	f.server.CloseClientConnections()
	f.server.Close()
}

// restart is a new process: nothing is remembered but the containers.
func (f *fakeDaemon) restart() {
	f.mu.Lock()
	f.ring = nil
	f.mu.Unlock()
	f.start()
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (f *fakeDaemon) list(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []container.Summary{}
	for id, in := range f.containers {
		item := container.Summary{ID: id, Names: []string{in.Name}, Labels: in.Config.Labels, State: in.State.Status}
		if at, err := time.Parse(time.RFC3339Nano, in.Created); err == nil {
			item.Created = at.Unix()
		}
		item.Status = f.statusOf(in.State)
		if f.lagging && item.State == "exited" {
			item.State, item.Status = "running", "Up 2 hours"
		}
		list = append(list, item)
	}
	slices.SortFunc(list, func(a, b container.Summary) int { return strings.Compare(a.ID, b.ID) })
	answer(w, list)
}

// statusOf is what a daemon's list says of a state.
func (f *fakeDaemon) statusOf(s *container.State) string {
	age := func(stamp string) string {
		at, _ := time.Parse(time.RFC3339Nano, stamp)
		return human(f.now().Sub(at))
	}
	switch {
	case s.Running && s.Paused:
		return "Up " + age(s.StartedAt) + " (Paused)"
	case s.Running && s.Health != nil:
		return "Up " + age(s.StartedAt) + " (" + string(s.Health.Status) + ")"
	case s.Running:
		return "Up " + age(s.StartedAt)
	case strings.HasPrefix(s.StartedAt, "0001"):
		return "Created"
	}
	return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, age(s.FinishedAt))
}

// human rounds an age as a daemon does.
func human(d time.Duration) string {
	switch s, m, h := int(d.Seconds()), int(d.Minutes()), int(d.Hours()+0.5); {
	case s < 1:
		return "Less than a second"
	case s == 1:
		return "1 second"
	case s < 60:
		return fmt.Sprintf("%d seconds", s)
	case m == 1:
		return "About a minute"
	case m < 60:
		return fmt.Sprintf("%d minutes", m)
	case h == 1:
		return "About an hour"
	case h < 48:
		return fmt.Sprintf("%d hours", h)
	default:
		return fmt.Sprintf("%d days", h/24)
	}
}

func (f *fakeDaemon) inspect(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in, id := f.containers[r.PathValue("id")], r.PathValue("id")
	code := f.refuse[id]
	if in == nil || f.hidden[id] {
		code = http.StatusNotFound
	}
	if code != 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": "No such container: " + id})
		return
	}
	answer(w, in)
}

func (f *fakeDaemon) log(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("follow") == "1" {
		f.followLog(w, r)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text, ok := f.logs[r.PathValue("id")]
	if !ok {
		noLogKept(w)
		return
	}
	w.Header().Set("Content-Type", "application/vnd.docker.multiplexed-stream")
	_, _ = w.Write([]byte{1, 0, 0, 0, 0, 0, byte(len(text) >> 8), byte(len(text))})
	_, _ = w.Write([]byte(text))
}

func noLogKept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotImplemented)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": "configured logging driver does not support reading"})
}

func (f *fakeDaemon) events(w http.ResponseWriter, r *http.Request) {
	since, until := parseStamp(r.URL.Query(), "since"), parseStamp(r.URL.Query(), "until")
	f.mu.Lock()
	past := slices.DeleteFunc(slices.Clone(f.ring), func(m events.Message) bool {
		return m.TimeNano < since || until > 0 && m.TimeNano > until || !f.asked(r, m)
	})
	live, end := make(chan events.Message, 8192), make(chan struct{})
	if until == 0 {
		f.streams[live] = end
		f.opened++
	}
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/jsonl")
	w.WriteHeader(http.StatusOK)
	for _, m := range past {
		f.send(w, m)
	}
	w.(http.Flusher).Flush()
	if until > 0 {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case <-end:
			return
		case m := <-live:
			f.send(w, m)
			w.(http.Flusher).Flush()
		}
	}
}

func (f *fakeDaemon) send(w http.ResponseWriter, m events.Message) {
	line, _ := json.Marshal(m)
	f.mu.Lock()
	garble := f.garble
	f.mu.Unlock()
	line = append(line, '\n')
	if garble != nil {
		line = garble(line)
	}
	_, _ = w.Write(line)
}

// asked reports whether the filters let an event through, as far as a collector uses them.
func (f *fakeDaemon) asked(r *http.Request, m events.Message) bool {
	var filters map[string]map[string]bool
	_ = json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters)
	action, _, _ := strings.Cut(string(m.Action), ":")
	return (filters["type"] == nil || filters["type"][string(m.Type)]) && (filters["event"] == nil || filters["event"][action])
}

func parseStamp(q url.Values, name string) int64 {
	seconds, nanos, _ := strings.Cut(q.Get(name), ".")
	s, _ := strconv.ParseInt(seconds, 10, 64)
	n, _ := strconv.ParseInt(nanos, 10, 64)
	return s*1e9 + n
}

// cut ends every stream.
func (f *fakeDaemon) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for live, end := range f.streams {
		close(end)
		delete(f.streams, live)
	}
}

// emit logs an event and delivers it.
func (f *fakeDaemon) emit(id, action string, attributes ...string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.emitLocked(id, action, attributes...)
}

func (f *fakeDaemon) emitLocked(id, action string, attributes ...string) int64 {
	a := map[string]string{"image": "busybox", "name": "c" + id[:6]}
	for i := 0; i+1 < len(attributes); i += 2 {
		a[attributes[i]] = attributes[i+1]
	}
	if in := f.containers[id]; in != nil {
		for k, v := range in.Config.Labels {
			a[k] = v // labels win, as they do in the real one
		}
	}
	m := events.Message{Type: "container", Action: events.Action(action), Actor: events.Actor{ID: id, Attributes: a}, TimeNano: f.now().UnixNano()}
	f.ring = append(f.ring, m)
	f.ring = f.ring[max(0, len(f.ring)-fakeRing):]
	for live := range f.streams {
		if !f.mute {
			live <- m
		}
	}
	return m.TimeNano
}

// create makes a container.
func (f *fakeDaemon) create(labels map[string]string, change ...func(*container.InspectResponse)) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	id := fmt.Sprintf("%064x", f.next<<32|0xabcdef)[:64]
	id = fmt.Sprintf("%06x", f.next) + id[6:]
	in := &container.InspectResponse{
		ID: id, Name: "/c" + id[:6], Image: "sha256:" + strings.Repeat("ab", 32), Created: f.now().Format(time.RFC3339Nano),
		State:      &container.State{Status: "created", StartedAt: "0001-01-01T00:00:00Z", FinishedAt: "0001-01-01T00:00:00Z"},
		Config:     &container.Config{Image: "busybox", Labels: labels, Env: []string{"API_TOKEN=tok3nInEnv"}, Cmd: []string{"sh", "-c", "echo Sw0rdf1sh"}},
		HostConfig: &container.HostConfig{},
	}
	for _, c := range change {
		c(in)
	}
	f.containers[id] = in
	f.logs[id] = "password=hunter2\nboom\n"
	f.emitLocked(id, "create")
	return id
}

func (f *fakeDaemon) run(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.containers[id].State
	s.Status, s.Running, s.Error, s.StartedAt = "running", true, "", f.now().Format(time.RFC3339Nano)
	f.emitLocked(id, "start")
}

func (f *fakeDaemon) exit(id string, code int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.containers[id].State
	s.Status, s.Running, s.ExitCode, s.FinishedAt = "exited", false, code, f.now().Format(time.RFC3339Nano)
	f.emitLocked(id, "die", "exitCode", strconv.Itoa(code))
}

func (f *fakeDaemon) remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.emitLocked(id, "destroy")
	delete(f.containers, id)
}

// set changes a container without telling anybody.
func (f *fakeDaemon) set(id string, change func(*container.InspectResponse)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.containers[id])
}

// quietly lets something happen of which no stream tells.
func (f *fakeDaemon) quietly(do func()) {
	f.mu.Lock()
	f.mute = true
	f.mu.Unlock()
	do()
	f.mu.Lock()
	f.mute = false
	f.mu.Unlock()
}

func (f *fakeDaemon) streamsOpened() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}

// hide makes inspect deny a container.
func (f *fakeDaemon) hide(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hidden[id] = true
}

// dropLog is a logging driver that keeps nothing.
func (f *fakeDaemon) dropLog(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.logs, id)
}

// forgetEvents is a ring that has turned over.
func (f *fakeDaemon) forgetEvents() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring = nil
}
