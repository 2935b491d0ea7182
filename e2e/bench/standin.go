package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/system"
)

// standInRole makes this program a stand-in for a Docker daemon with thousands of running containers, which
// no machine of tests can run: it answers what a collector asks, in the shape and size of a daemon's
// answers, and nothing ever happens to its containers. Whatever a real daemon can show is measured on one.
const standInRole = "-serve-docker"

// serveStandIn is the child: it writes its address to out and serves until ctx ends.
func serveStandIn(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("serve-docker", flag.ContinueOnError)
	n := f.Int("containers", 1000, "how many run")
	if err := f.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: newStandIn(*n, ctx.Done()), ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	fmt.Fprintf(out, "tcp://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// standIn is the daemon. Its answers are made once.
type standIn struct {
	mux     *http.ServeMux
	calls   atomic.Int64
	list    []byte
	inspect map[string][]byte
}

func newStandIn(n int, end <-chan struct{}) *standIn {
	d := &standIn{mux: http.NewServeMux(), inspect: map[string][]byte{}}
	var all []container.Summary
	began := time.Now().Add(-3 * time.Hour)
	for i := range n {
		in := idleContainer(i, began)
		all = append(all, summaryOf(&in, began))
		d.inspect[in.ID], _ = json.Marshal(in) // plain data
	}
	d.list, _ = json.Marshal(all)
	d.mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.47") })
	d.mux.HandleFunc("GET /{v}/info", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, mustJSON(system.Info{ID: "stand-in", Name: "bench", ServerVersion: "stand-in", SystemTime: time.Now().UTC().Format(time.RFC3339Nano)}))
	})
	d.mux.HandleFunc("GET /{v}/version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, []byte(`{"ApiVersion":"1.47","Version":"stand-in"}`))
	})
	d.mux.HandleFunc("GET /{v}/containers/json", func(w http.ResponseWriter, _ *http.Request) { reply(w, d.list) })
	d.mux.HandleFunc("GET /{v}/containers/{id}/json", func(w http.ResponseWriter, r *http.Request) { reply(w, d.inspect[r.PathValue("id")]) })
	d.mux.HandleFunc("GET /{v}/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = http.NewResponseController(w).Flush() // who asked may have gone
		if r.URL.Query().Get("until") == "" {
			select {
			case <-r.Context().Done():
			case <-end:
			}
		}
	})
	d.mux.HandleFunc("POST /calls", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, d.calls.Swap(0)) })
	return d
}

func (d *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/calls" {
		d.calls.Add(1)
	}
	d.mux.ServeHTTP(w, r)
}

func reply(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // who asked may have gone
}

func mustJSON(v any) []byte {
	b, _ := json.Marshal(v) // plain data
	return b
}

// idleContainer is one of the running containers: ten to a compose service.
func idleContainer(i int, began time.Time) container.InspectResponse {
	service := fmt.Sprintf("service-%03d", i/10)
	return container.InspectResponse{
		ID: fmt.Sprintf("%064x", i+1), Name: fmt.Sprintf("/shop-%s-%d", service, i%10+1), Created: began.Format(time.RFC3339Nano),
		Image: fmt.Sprintf("sha256:%064x", i/10), Path: "/usr/bin/serve", Args: []string{"--listen", ":8080"},
		State: &container.State{
			Status: container.StateRunning, Running: true, Pid: 10_000 + i,
			StartedAt: began.Add(time.Second).Format(time.RFC3339Nano), FinishedAt: "0001-01-01T00:00:00Z",
		},
		HostConfig: &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped}, NetworkMode: "shop_default"},
		Config: &container.Config{
			Hostname: fmt.Sprintf("%012x", i+1), Image: "registry.example.com/shop/" + service + ":1.4.2",
			Env:    []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LISTEN=:8080", "LOG_LEVEL=info"},
			Labels: labelsOf(service, i),
		},
	}
}

func labelsOf(service string, i int) map[string]string {
	return map[string]string{
		"com.docker.compose.project": "shop", "com.docker.compose.service": service,
		"com.docker.compose.container-number": fmt.Sprint(i%10 + 1), "com.docker.compose.oneoff": "False",
		"com.docker.compose.config-hash":       fmt.Sprintf("%064x", i/10),
		"com.docker.compose.image":             fmt.Sprintf("sha256:%064x", i/10),
		"com.docker.compose.depends_on":        "database:service_started:false",
		"com.docker.compose.project.directory": "/srv/shop", "com.docker.compose.version": "2.39.1",
		"org.opencontainers.image.source": "https://git.example.com/shop/" + service,
		"team":                            "payments",
	}
}

func summaryOf(in *container.InspectResponse, began time.Time) container.Summary {
	return container.Summary{
		ID: in.ID, Names: []string{in.Name}, Image: in.Config.Image, ImageID: in.Image, Command: "/usr/bin/serve --listen :8080",
		Created: began.Unix(), Labels: in.Config.Labels, State: container.StateRunning, Status: "Up 3 hours",
	}
}
