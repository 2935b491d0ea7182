package docker_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/collectors/collectortest"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// followLog sends what is written until the container has ended.
func (f *fakeDaemon) followLog(w http.ResponseWriter, r *http.Request) {
	id, sent := r.PathValue("id"), 0
	f.mu.Lock()
	f.follows++
	f.following++
	_, kept := f.logs[id]
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.following--
		f.mu.Unlock()
	}()
	if !kept {
		noLogKept(w)
		return
	}
	for r.Context().Err() == nil {
		f.mu.Lock()
		text, in := f.logs[id], f.containers[id]
		ended := in == nil || !in.State.Running
		f.mu.Unlock()
		if sent == 0 {
			w.Header().Set("Content-Type", "application/vnd.docker.multiplexed-stream")
		}
		if more := text[min(sent, len(text)):]; more != "" {
			_, _ = w.Write([]byte{2, 0, 0, 0, 0, 0, byte(len(more) >> 8), byte(len(more))})
			_, _ = w.Write([]byte(more))
			w.(http.Flusher).Flush()
			sent = len(text)
		}
		if ended {
			return
		}
		select {
		case <-r.Context().Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (f *fakeDaemon) followed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.follows
}

func (f *fakeDaemon) write(id, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logs[id] += text
}

// end is the end of a container of docker run --rm: its log is gone before anybody can ask, but who
// followed it has it all.
func (f *fakeDaemon) end(id string, code int) {
	f.mu.Lock()
	before := f.following
	f.mu.Unlock()
	f.set(id, func(in *container.InspectResponse) { in.State.Running = false })
	require.Eventually(f.t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return before == 0 || f.following < before
	}, deadline, time.Millisecond)
	f.dropLog(id)
	f.exit(id, code)
	f.remove(id)
}

func auto(in *container.InspectResponse) { in.HostConfig.AutoRemove = true }

func TestLogOfAContainerThatIsRemoved(t *testing.T) {
	f, r := watch(t)
	id := f.create(map[string]string{"bellbuoy.logs": "2"}, auto)
	f.run(id)
	require.Eventually(t, func() bool { return f.followed() == 1 }, deadline, 5*time.Millisecond)
	f.write(id, strings.Repeat("older\n", 10)+"token=hunter2\nlast words\n")
	r.Told(event.TaskStarted, id)
	f.end(id, 3)
	assert.Equal(t, &event.Log{Lines: []string{"token=[redacted]", "last words"}, Cut: true}, r.Stopped(id).Data.Task.Log)

	plain := f.create(nil, auto)
	f.run(plain)
	r.Told(event.TaskStarted, plain)
	f.end(plain, 3)
	assert.NotEmpty(t, r.Stopped(plain).Data.Task.Log.None, "nobody asked for it")
}

// What runs when the collector begins is followed, too, and again when the daemon has broken it off.
func TestFollowedLogIsOpenedAgain(t *testing.T) {
	f := newFake(t)
	id := f.create(map[string]string{"bellbuoy.logs": "5"}, auto)
	f.run(id)
	r := collectortest.Start(t, fakeFixture(f), &collectortest.Stream{}, nil).Connected()
	require.Eventually(t, func() bool { return f.followed() == 1 }, deadline, 5*time.Millisecond)
	f.stop()
	f.restart()
	r.Connected()
	require.Eventually(t, func() bool { return f.followed() == 2 }, deadline, 5*time.Millisecond)
	f.write(id, "the end\n")
	f.end(id, 1)
	assert.Contains(t, r.Stopped(id).Data.Task.Log.Lines, "the end")
}

func TestFollowedLogsAreBounded(t *testing.T) {
	f, r := watch(t)
	var ids []string
	for range 70 {
		id := f.create(map[string]string{"bellbuoy.logs": "1"}, auto)
		f.run(id)
		ids = append(ids, id)
	}
	for _, id := range ids {
		r.Told(event.TaskStarted, id)
	}
	require.Eventually(t, func() bool { return f.followed() == 64 }, deadline, 5*time.Millisecond)
	r.Told(event.TaskStarted, ids[len(ids)-1])
	assert.Equal(t, 64, f.followed())
}

func TestFollowedLogOfADriverThatKeepsNothing(t *testing.T) {
	f, r := watch(t)
	id := f.create(map[string]string{"bellbuoy.logs": "5"}, auto)
	f.dropLog(id)
	f.run(id)
	r.Told(event.TaskStarted, id)
	f.end(id, 1)
	assert.Equal(t, "its logging driver does not keep logs that can be read", r.Stopped(id).Data.Task.Log.None)
}
