package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// probe is one line of /readyz: what is looked at, and why it is not ready.
type probe struct {
	Name string `json:"name"`
	// Problem is empty while all is well.
	Problem string `json:"problem,omitempty"`
}

// handler serves health, readiness and metrics.
func handler(probes func() []probe, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		writeReady(w, probes(), r.URL.Query().Has("verbose"), r.URL.Query().Get("format") == "json")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

func writeReady(w http.ResponseWriter, probes []probe, verbose, asJSON bool) {
	ready := true
	for _, p := range probes {
		ready = ready && p.Problem == ""
	}
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	if asJSON {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"ready": ready, "checks": probes})
		return
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, readyText(probes, ready, verbose))
}

func readyText(probes []probe, ready, verbose bool) string {
	var b strings.Builder
	for _, p := range probes {
		if p.Problem != "" {
			fmt.Fprintf(&b, "[-] %s: %s\n", p.Name, p.Problem)
		} else if verbose {
			fmt.Fprintf(&b, "[+] %s ok\n", p.Name)
		}
	}
	if ready {
		b.WriteString("ready\n")
	} else {
		b.WriteString("not ready\n")
	}
	return b.String()
}

// serve answers on the listener until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := s.Shutdown(stop)
	if serveErr := <-done; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}
