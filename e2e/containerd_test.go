package e2e_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/collectors/containerd"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/schemas/schematest"
)

var ctrIDs atomic.Int64

func ctrID() string { return fmt.Sprintf("bb-%d-%d", time.Now().UnixNano(), ctrIDs.Add(1)) }

func containerdFixture(t testing.TB, d *harness.Containerd) collectortest.Fixture {
	logs := t.TempDir()
	return collectortest.Fixture{
		Secrets: []string{"hunter2", "Sw0rdf1sh", "tok3nInEnv", "labelS3cret"},
		New: func(t testing.TB, p collectortest.Parts) collectors.Collector {
			cfg := containerd.DefaultConfig()
			cfg.Address, cfg.Logs.Folders, cfg.SnapshotEvery = d.Address, []string{logs}, 2*time.Second
			c, err := containerd.New(cfg, containerd.Deps{Site: "e2e", Node: "n1", Publisher: p.Publisher, Reporter: p.Reporter, Cursors: p.Cursors})
			require.NoError(t, err)
			return c
		},
		Crash: func(t testing.TB) string {
			id := ctrID()
			log := filepath.Join(logs, id+".log")
			return d.Run(t, harness.CtrSpec{
				ID: id, Env: []string{"API_TOKEN=tok3nInEnv"}, LogURI: "file://" + log,
				Labels: map[string]string{"db.password": "labelS3cret", "team": "payments"},
				Cmd:    []string{"sh", "-c", "sleep 0.1; echo password=hunter2; echo postgres://app:Sw0rdf1sh@db/; exit 3"},
			})
		},
		Check: func(t testing.TB, e *event.Event) { schematest.Valid(t, *e) },
	}
}

func watchContainerd(t *testing.T, d *harness.Containerd) *collectortest.Running {
	t.Helper()
	return collectortest.Start(t, containerdFixture(t, d), &collectortest.Stream{}, nil).Connected()
}

func TestContainerdCollector(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, d *harness.Containerd) {
		collectortest.Run(t, func(t *testing.T) collectortest.Fixture { return containerdFixture(t, d) })
	})
}

// TestContainerdEnds makes tasks end in every way and holds the causes against what was done.
func TestContainerdEnds(t *testing.T) {
	sh := func(script string) []string { return []string{"sh", "-c", script} }
	const eats = `x=aaaaaaaaaaaaaaaa; while :; do x="$x$x"; done`
	stand.EachContainerd(t, func(t *testing.T, d *harness.Containerd) {
		r := watchContainerd(t, d)
		for name, tt := range map[string]struct {
			spec     harness.CtrSpec
			act      func(id string)
			class    string
			expected bool
			code     int64
		}{
			"exit 0":        {harness.CtrSpec{Cmd: sh("exit 0")}, nil, "exit.ok", true, 0},
			"exit 3":        {harness.CtrSpec{Cmd: sh("exit 3")}, nil, "exit.error", false, 3},
			"out of memory": {harness.CtrSpec{Cmd: sh(eats), Memory: 16 << 20}, nil, "oom", false, 137},
			"segfault":      {harness.CtrSpec{Cmd: sh("sh -c 'kill -SEGV $$'; exit $?")}, nil, "exit.signal", false, 139},
			"killed": {harness.CtrSpec{Cmd: sh("sleep 60")}, func(id string) {
				d.Ctr(t, "default", "task", "kill", "--signal", "KILL", id)
			}, "exit.sigkill", false, 137},
			"stopped on purpose": {harness.CtrSpec{Cmd: sh("trap 'exit 0' TERM; while :; do sleep 0.1; done")}, func(id string) {
				d.Ctr(t, "default", "container", "label", id, "containerd.io/restart.explicitly-stopped=true")
				r.Told(event.TaskStopping, id)
				d.Ctr(t, "default", "task", "kill", "--signal", "TERM", id)
			}, "user.stop", true, 0},
		} {
			t.Run(name, func(t *testing.T) {
				tt.spec.ID = ctrID()
				id := d.Run(t, tt.spec)
				if tt.act != nil {
					r.Told(event.TaskStarted, id)
					tt.act(id)
				}
				e := r.Stopped(id)
				assert.Equal(t, tt.class, e.Data.Cause.Class, e.Data.Cause.Evidence)
				assert.Equal(t, tt.expected, e.Data.Cause.Expected)
				require.NotNil(t, e.Data.Task.Containers[0].ExitCode)
				assert.Equal(t, tt.code, *e.Data.Task.Containers[0].ExitCode)
				assert.Equal(t, r.Told(event.TaskStarted, id).Data.Task.Run, e.Data.Task.Run)
			})
		}
	})
}

// TestContainerdLog: where the log of a task is, its label says or the task itself.
func TestContainerdLog(t *testing.T) {
	stand.EachContainerd(t, func(t *testing.T, d *harness.Containerd) {
		f := containerdFixture(t, d)
		r := collectortest.Start(t, f, &collectortest.Stream{}, nil).Connected()
		want := &event.Log{Lines: []string{"password=[redacted]", "postgres://[redacted]@db/"}}
		assert.Equal(t, want, r.Stopped(f.Crash(t)).Data.Task.Log)
	})
}
