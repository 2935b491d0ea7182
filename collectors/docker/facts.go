package docker

import (
	"strings"
	"time"
	"unique"

	"github.com/moby/moby/api/types/container"

	"github.com/bellbuoy/bellbuoy/internal/cause"
	"github.com/bellbuoy/bellbuoy/internal/redact"
)

// facts is what an inspect told about a container. The environment, the command line and the mounts are
// left behind here, so that nothing downstream can leak them.
type facts struct {
	at                int64 // when the daemon answered, ns of its clock
	id, name          string
	image, digest     string
	labels            map[string]string // redacted
	created           int64             // ns, 0 unknown
	started, finished int64             // ns of State.StartedAt and FinishedAt, 0 never
	status            string
	running, paused   bool
	restarting        bool
	oom               bool
	code              int64
	failure           string // State.Error, redacted
	tried             int64  // when the start that failed was tried, if an event tells
	health            string
	healthAt          int64 // end of the last probe
	probes            probes
	probeEvery        time.Duration
	policy            string
	autoRemove        bool
	restarts          int64
	stopSignal        int
	tty               bool
}

// factsOf takes from an inspect what may be known. ok is false for an answer without a state.
func factsOf(in *container.InspectResponse, at int64) (f *facts, ok bool) {
	if in.State == nil || in.ID == "" {
		return nil, false
	}
	s := in.State
	f = &facts{
		at: at, id: in.ID, name: redact.Clean(strings.TrimPrefix(in.Name, "/")), digest: unique.Make(in.Image).Value(), created: nanos(in.Created),
		started: nanos(s.StartedAt), finished: nanos(s.FinishedAt), status: string(s.Status),
		running: s.Running, paused: s.Paused, restarting: s.Restarting, oom: s.OOMKilled, code: int64(s.ExitCode),
		failure: redact.Text(s.Error), restarts: int64(in.RestartCount), policy: "no",
	}
	if s.Dead || s.Status == container.StateDead || s.Status == container.StateRemoving {
		f.failure = "" // it is the removal that failed, not a start
	}
	if h := s.Health; h != nil && h.Status != container.NoHealthcheck {
		f.health = string(h.Status)
		if n := len(h.Log); n > 0 && h.Log[n-1] != nil {
			f.healthAt = h.Log[n-1].End.UnixNano()
		}
		f.probes = probesOf(h)
	}
	if c := in.Config; c != nil {
		f.image, f.labels, f.tty = unique.Make(redact.Text(c.Image)).Value(), shared(redact.Labels(c.Labels)), c.Tty
		f.stopSignal = cause.ParseSignal(c.StopSignal)
		if c.Healthcheck != nil {
			f.probeEvery = c.Healthcheck.Interval
		}
	}
	if h := in.HostConfig; h != nil {
		f.autoRemove = h.AutoRemove
		f.policy = policyOf(h.RestartPolicy)
	}
	return f, true
}

func policyOf(p container.RestartPolicy) string {
	switch {
	case p.Name == "":
		return "no"
	case p.MaximumRetryCount > 0:
		return string(p.Name) + ":" + decimal(int64(p.MaximumRetryCount))
	}
	return string(p.Name)
}

// stopped asks the state only: FinishedAt may lie before StartedAt after a run of a few ms, because the
// shim stamps the one and the daemon the other.
func (f *facts) stopped() bool { return !f.running || f.restarting }

// made is how many restarts the policy has made; the daemon counts the one that it waits for, too.
func (f *facts) made() int64 {
	if f.restarting && f.restarts > 0 {
		return f.restarts - 1
	}
	return f.restarts
}

// shared returns labels whose texts are kept once in memory however many containers have them: the names
// are the same on all of a host's, and most values on all replicas.
func shared(labels map[string]string) map[string]string {
	if labels == nil {
		return nil
	}
	out := make(map[string]string, len(labels))
	for name, value := range labels {
		out[unique.Make(name).Value()] = unique.Make(value).Value()
	}
	return out
}

// nanos reads a time as the daemon writes it; its zero time and nonsense are 0.
func nanos(s string) int64 {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1970 {
		return 0
	}
	return t.UnixNano()
}

func utc(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
