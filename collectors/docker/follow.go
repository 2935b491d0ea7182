package docker

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/collectors"
	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

const (
	// maxFollowed logs are followed at once, of all containers of a daemon.
	maxFollowed = 64
	// followEnd is how long after the end of a run its last lines may take.
	followEnd = time.Second
)

// follower reads the log of a container that the daemon removes, log and all, as soon as it ends: from its
// start, and keeps the last lines. It belongs to the shard that started it.
type follower struct {
	done chan struct{} // closed when the log has ended; what follows is then to be read
	keep lastBytes
	err  error
	stop context.CancelFunc
}

// follows reports whether the user asked, by label, for the log of a container that would be gone.
func (t *task) follows() bool {
	n, err := strconv.Atoi(t.Labels[collectors.LabelLogs])
	return t.Auto && err == nil && n > 0
}

// follow opens the log of a container that runs, if it is one to be followed and is not yet.
func (s *shard) follow(ctx context.Context, id string) {
	t := s.machine.tasks[id]
	if t == nil || t.Run == "" || t.Exited || !t.follows() {
		return
	}
	if f := s.followers[id]; f != nil {
		select {
		case <-f.done: // of an earlier run, or the daemon broke it off
		default:
			return
		}
	}
	if s.w.followed.Add(1) > maxFollowed {
		s.w.followed.Add(-1)
		return
	}
	ctx, stop := context.WithCancel(ctx)
	f := &follower{done: make(chan struct{}), stop: stop, keep: lastBytes{limit: 4 * max(s.w.cfg.Logs.Bytes, tailLineBytes)}}
	s.followers[id] = f
	q := tailOf(t)
	s.reading.Go(func() {
		defer close(f.done)
		defer stop()
		defer s.w.followed.Add(-1)
		f.err = f.read(ctx, s.w.Client, q, s.w.cfg.Logs)
	})
}

// read returns when the run has ended, or the connection or ctx.
func (f *follower) read(ctx context.Context, cli *client.Client, q *tail, c Logs) error {
	o := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true, Tail: strconv.Itoa(q.lines(c))}
	if q.since > 0 {
		o.Since = stamp(q.since)
	}
	r, err := cli.ContainerLogs(ctx, q.id, o)
	if err != nil {
		return err
	}
	defer r.Close()
	if q.tty {
		_, err = io.Copy(&f.keep, r)
	} else {
		_, err = stdcopy.StdCopy(&f.keep, &f.keep, r)
	}
	return err
}

// tail returns the log of a stop: what was followed, or what the daemon still has.
func (s *shard) tail(ctx context.Context, q *tail) *event.Log {
	f := s.followers[q.id]
	if f == nil {
		return readTail(ctx, s.w.Client, q, s.w.cfg.Logs)
	}
	timer := time.NewTimer(followEnd)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
		f.stop()
		<-f.done
	case <-ctx.Done():
		return nil
	}
	if f.err != nil && len(f.keep.b) == 0 {
		return &event.Log{None: noLog(f.err)}
	}
	return f.keep.log(redact.Limits{Lines: q.lines(s.w.cfg.Logs), LineBytes: tailLineBytes, Bytes: s.w.cfg.Logs.Bytes})
}

// unfollow forgets the log of a container that was removed.
func (s *shard) unfollow(id string) {
	if f := s.followers[id]; f != nil {
		f.stop()
		delete(s.followers, id)
	}
}
