package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// TestDockerChurn lets containers of every kind end while the collector is killed again and again, and
// holds what was told against what was done.
func TestDockerChurn(t *testing.T) {
	d := stand.Docker(t)
	stream, cursors := &collectortest.Stream{}, &collectortest.Bucket{}
	r := collectortest.Start(t, dockerFixture(d), stream, cursors).Connected()

	const workers, each = 4, 12
	var mu sync.Mutex // guards want
	want := map[string]string{}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				id, class := endOne(t, d, (w*each+i)%6)
				mu.Lock()
				want[id] = class
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	kills := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(time.Duration(500+rand.IntN(1500)) * time.Millisecond):
			cursors = r.Cursors.Copy() // what a kill leaves behind
			r.Stop()
			r = collectortest.Start(t, dockerFixture(d), stream, cursors).Connected()
			kills++
		}
	}
	told, wrong := map[string]int{}, 0
	for id, class := range want {
		r.Stopped(id)
		last := func() event.Event { all := stream.Of(event.TaskStopped, id); return all[len(all)-1] }
		if !assert.Eventually(t, func() bool { return strings.Contains(class, last().Data.Cause.Class) }, 5*time.Second, 20*time.Millisecond, "%s: %+v", last().Data.Task.Name, last().Data.Cause) {
			wrong++
		}
		first := 0
		for _, e := range stream.Of(event.TaskStopped, id) {
			if e.Data.Supersedes == "" {
				first++
			}
		}
		assert.Equal(t, 1, first, "%s was told %d times", last().Data.Task.Name, first)
		assert.Len(t, stream.Of(event.TaskStarted, id), 1)
		told[class]++
	}
	t.Logf("%d containers, collector killed %d times, told %v, wrong cause %d", len(want), kills, told, wrong)
	require.Len(t, want, workers*each)
}

// endOne lets one container end in one of six ways and returns the class of its cause.
func endOne(t *testing.T, d *harness.Docker, kind int) (id, class string) {
	spec := harness.RunSpec{Name: fmt.Sprintf("churn-%d-%d", kind, time.Now().UnixNano())}
	run := func(script string) { spec.Cmd = []string{"sh", "-c", script}; id = d.Run(t, spec) }
	switch kind {
	case 0:
		run("exit 0")
		class = "exit.ok"
	case 1:
		run("sleep 0.2; exit 3")
		class = "exit.error"
	case 2:
		spec.Memory = 16 << 20
		run(`x=aaaaaaaaaaaaaaaa; while :; do x="$x$x"; done`)
		class = "oom"
	case 3:
		run("sleep 60")
		d.Kill(t, id, "SIGKILL")
		class = "user.kill"
	case 4:
		run("sleep 60")
		d.Stop(t, id, time.Second)
		class = "user.stop"
	case 5:
		spec.AutoRemove = true
		run("sleep 0.2; exit 4")
		class = "exit.error"
	}
	if kind != 5 {
		d.Wait(t, id, time.Minute)
	}
	if kind == 2 && !d.Inspect(t, id).State.OOMKilled {
		class = "oom or exit.sigkill" // the daemon missed it at the end; its event may still have come
	}
	return id, class
}
