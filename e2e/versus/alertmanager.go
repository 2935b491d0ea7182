package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/e2e/process"
	"github.com/bellbuoy/bellbuoy/internal/backoff"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// alertmanager is the process and the bridge that feeds it.
type alertmanager struct {
	program, dir, address string
	process               *process.Process

	mu     sync.Mutex
	firing map[string]alert
}

// alert is one of Alertmanager's API.
type alert struct {
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"`
	EndsAt   time.Time         `json:"endsAt,omitzero"`
}

// settings are what its documentation recommends, a group for each workload, and a lost host that inhibits what
// ran there; twenty times as fast.
const settings = `route:
  receiver: hook
  group_by: [scope, workload]
  group_wait: 1500ms
  group_interval: 15s
  repeat_interval: 12m
receivers:
  - name: hook
    webhook_configs: [{url: %q, send_resolved: true}]
inhibit_rules:
  - source_matchers: ['alertname = HostLost']
    target_matchers: ['alertname = TaskStopped']
    equal: [node]
global: {resolve_timeout: 15s}
`

func startAlertmanager(ctx context.Context, dir, program, url string) (*alertmanager, error) {
	a := &alertmanager{program: program, dir: dir, firing: map[string]alert{}}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	if err := os.WriteFile(a.config(), fmt.Appendf(nil, settings, url), 0o600); err != nil {
		return nil, fmt.Errorf("write the config: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a port: %w", err)
	}
	a.address = l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("free the port: %w", err)
	}
	return a, a.start(ctx)
}

func (a *alertmanager) config() string { return filepath.Join(a.dir, "alertmanager.yml") }

func (a *alertmanager) start(ctx context.Context) error {
	p, err := process.Start(process.Spec{
		Path: a.program, Log: filepath.Join(a.dir, "log"),
		Args: []string{"--config.file=" + a.config(), "--storage.path=" + a.dir, "--web.listen-address=" + a.address, "--cluster.listen-address="},
	})
	if err != nil {
		return err
	}
	a.process = p
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return p.Await(ctx, func(ctx context.Context) error { return a.post(ctx, []alert{}) })
}

func (a *alertmanager) restart(ctx context.Context) error {
	a.process.Kill()
	return a.start(ctx)
}

func (a *alertmanager) close() { a.process.Kill() }

func (a *alertmanager) post(ctx context.Context, alerts []alert) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+a.address+"/api/v2/alerts", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // only its status counts
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("alertmanager answers %s", res.Status)
	}
	return nil
}

// take is the bridge: a stop that nobody wanted fires, the next start of the workload ends it.
func (a *alertmanager) take(ctx context.Context, e *event.Event) {
	a.mu.Lock()
	var send []alert
	labels := func(name string) map[string]string {
		return map[string]string{"alertname": name, "scope": e.Data.Scope, "workload": e.Data.Workload, "node": e.Data.Node, "task": e.Data.Task.ID}
	}
	fire := func(key string, l map[string]string) {
		if _, ok := a.firing[key]; !ok {
			a.firing[key] = alert{Labels: l, StartsAt: e.Time}
		}
		send = append(send, a.firing[key])
	}
	end := func(prefix string) {
		for key, one := range a.firing {
			if strings.HasPrefix(key, prefix) {
				one.EndsAt = e.Time
				send = append(send, one)
				delete(a.firing, key)
				if prefix != "host "+e.Data.Node {
					break // one start makes up for one stop
				}
			}
		}
	}
	switch {
	case e.Type == event.TaskStopped && !e.Data.Cause.Expected:
		fire("stop "+e.Data.Workload+" "+e.Data.Task.ID, labels("TaskStopped"))
		if e.Data.Cause.Class == "host.lost" {
			fire("host "+e.Data.Node, map[string]string{"alertname": "HostLost", "scope": e.Data.Scope, "node": e.Data.Node})
		}
	case e.Type == event.TaskStarted:
		end("stop " + e.Data.Workload + " ")
		end("host " + e.Data.Node)
	case e.Type == event.TaskUnhealthy:
		fire("sick "+e.Data.Workload+" ", labels("TaskUnhealthy"))
	case e.Type == event.TaskHealthy:
		end("sick " + e.Data.Workload + " ")
	}
	a.mu.Unlock()
	if len(send) > 0 {
		_ = a.post(ctx, send) // while it is away it is told by the next round, as by Prometheus
	}
}

// keepFiring tells what fires again and again, as Prometheus does each minute.
func (a *alertmanager) keepFiring(ctx context.Context, until time.Time) error {
	for time.Now().Before(until.Add(fast(settle))) {
		if err := backoff.Sleep(ctx, fast(time.Minute)); err != nil {
			return err
		}
		a.mu.Lock()
		var send []alert
		for _, one := range a.firing {
			send = append(send, one)
		}
		a.mu.Unlock()
		_ = a.post(ctx, send)
	}
	return nil
}
