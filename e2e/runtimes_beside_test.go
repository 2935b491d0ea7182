package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/collectors/containerd"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// watchSocket watches the containerd at a path. It looks often, so that what no event told is accounted for soon.
func watchSocket(t *testing.T, stream *counted, socket string) *watched {
	t.Helper()
	return watch(t, stream, event.Containerd, func(l *collectors.Link) (collectors.Collector, error) {
		cfg := containerd.DefaultConfig()
		cfg.Address, cfg.SnapshotEvery = socket, 2*time.Second
		return containerd.New(cfg, containerd.Deps{Site: "e2e", Node: "n1", Publisher: l, Reporter: l, Cursors: &collectortest.Bucket{}})
	})
}

// TestBesideDocker: a collector of a Docker daemon and one of its containerd tell each container once, in
// whatever namespace the daemon keeps its own.
func TestBesideDocker(t *testing.T) {
	stand.EachDocker(t, func(t *testing.T, d *harness.Docker) {
		abreast(t)
		for _, namespace := range []string{"moby", "renamed"} {
			d.StopDaemon(t)
			d.StartDaemon(t, "--containerd-namespace", namespace)
			t.Run(namespace, func(t *testing.T) { beside(t, d, namespace) })
		}
		d.RestartDaemon(t)
	})
}

func beside(t *testing.T, d *harness.Docker, namespace string) {
	inner := d.Inner(t)
	if _, err := d.Client().ImageInspect(t.Context(), d.Image); err != nil {
		inner.Import(t, namespace) // this daemon keeps its images in the namespace, too
	}
	stream := &counted{}
	docker, socket := watchHost(t, stream, d.Host, &collectortest.Bucket{}), watchSocket(t, stream, inner.Address)
	told := map[string]event.Runtime{}
	for i := range 6 {
		spec := harness.RunSpec{Name: fmt.Sprintf("%s-%d", containerName(t), i), Cmd: []string{"sh", "-c", "exit 3"}, AutoRemove: i%2 == 0}
		told[d.Run(t, spec)] = event.Docker
	}
	long := d.Run(t, harness.RunSpec{Name: containerName(t), Cmd: []string{"sleep", "600"}})
	for range 3 {
		told[inner.Run(t, harness.CtrSpec{Namespace: "beside", Cmd: []string{"sh", "-c", "sleep 0.1; exit 4"}})] = event.Containerd
	}
	require.Contains(t, inner.Ctr(t, namespace, "task", "ls"), long, "the daemon keeps its containers in this namespace")
	d.Stop(t, long, time.Second)
	told[long] = event.Docker
	for id := range told {
		eventually(t, time.Minute, "the end is told", func() bool { return len(stream.Of(event.TaskStopped, id)) > 0 })
	}
	docker.stop()
	socket.stop()
	for id, runtime := range told {
		for _, typ := range []event.Type{event.TaskStarted, event.TaskStopped} {
			first := 0
			for _, e := range stream.Of(typ, id) {
				assert.Equal(t, runtime, e.Data.Runtime, "%s", e.Data.Message)
				if e.Data.Supersedes == "" {
					first++
				}
			}
			assert.Equal(t, 1, first, "%s of %s", typ, id)
		}
	}
	assert.Zero(t, stream.twice())
}
