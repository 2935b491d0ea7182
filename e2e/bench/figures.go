package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"syscall"
	"time"
)

// figure is one number of the last line, with the mark that it is held against. A nil value was not
// measured.
type figure struct {
	name    string
	value   *float64
	mark    float64
	atLeast bool // the mark is a floor, else a ceiling
}

// figures are in the order of the last line.
type figures []figure

func newFigures() figures {
	return figures{
		{name: "rate_ratio", mark: 0.6, atLeast: true},
		{name: "cpu_ratio", mark: 1.8},
		{name: "durable_ratio", mark: 10, atLeast: true},
		{name: "p99_ms_at_10k", mark: 25},
		{name: "docker_p99_ms", mark: 50},
		{name: "rss_idle_mib", mark: 64},
		{name: "rss_10k_mib", mark: 192},
		{name: "translate_ratio", mark: 0.6},
		{name: "idle_cpu_ms_min", mark: 300},
		{name: "idle_calls_min", mark: 30},
		{name: "snapshot_ms", mark: 2000},
		{name: "mib_per_1000", mark: 4},
		{name: "ecs_events_s", mark: 10_000, atLeast: true},
		{name: "ecs_cpu_s_m", mark: 150},
		{name: "ecs_strict_events_s", mark: 1000, atLeast: true},
		{name: "classify_us", mark: 10},
		{name: "reconcile_s", mark: 40},
		{name: "reconcile_calls", mark: 300},
		{name: "reconcile_throttled", mark: 0},
		{name: "incident_events_s", mark: 100_000, atLeast: true},
		{name: "incident_mib_per_1000", mark: 2},
		{name: "rules_100_us", mark: 10},
		{name: "storm_messages", mark: 40},
		{name: "storm_first_alert_ms", mark: 1000},
		{name: "storm_s", mark: 60},
	}
}

func (f figures) set(name string, value float64) {
	for i := range f {
		if f[i].name == name {
			value = math.Round(value*1000) / 1000
			f[i].value = &value
		}
	}
}

// print writes a line for each figure, and as the last one the JSON object.
func (f figures) print(out io.Writer) {
	members := make([]string, len(f))
	for i, g := range f {
		sign, verdict, value := "<=", "not measured", []byte("null")
		if g.atLeast {
			sign = ">="
		}
		if g.value != nil {
			value, _ = json.Marshal(*g.value) // a finite number
			verdict = "missed"
			if g.atLeast == (*g.value >= g.mark) || *g.value == g.mark {
				verdict = "met"
			}
		}
		fmt.Fprintf(out, "%-19s %10s   mark %s %-5g %s\n", g.name, value, sign, g.mark, verdict)
		members[i] = fmt.Sprintf("%q:%s", g.name, value)
	}
	fmt.Fprintf(out, "{%s}\n", strings.Join(members, ","))
}

// sample is one measured run.
type sample struct {
	events    int
	wall, cpu time.Duration
}

func (s sample) rate() float64 { return float64(s.events) / s.wall.Seconds() }

// perMillion is CPU seconds per million events.
func (s sample) perMillion() float64 { return s.cpu.Seconds() / float64(s.events) * 1e6 }

// watch is a stop watch for wall and CPU time of this process.
type watch struct {
	at  time.Time
	cpu time.Duration
}

func startWatch() watch { return watch{time.Now(), cpuTime()} }

func (w watch) stop(events int) sample {
	return sample{events, time.Since(w.at), cpuTime() - w.cpu}
}

// cpuTime is the user and system time of this process without its children.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // can't fail for the process itself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// quantile sorts its values.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[int(math.Ceil(q*float64(len(values))))-1]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
