package docker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/bellbuoy/bellbuoy/internal/redact"
	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// probes is what the health probes of a container said.
type probes struct {
	failures int64    // in a row
	output   string   // of the newest that failed
	log      []string // of the last that failed, oldest first
}

const (
	probesKept  = 3 // of the five that a daemon keeps
	probeLines  = 5
	probeBytes  = 1024
	probeBrief  = 256
	probeNoCode = -1 // a daemon's code for a probe that timed out or could not run
)

// probesOf takes from the daemon's record what people need, redacted and bounded.
func probesOf(h *container.Health) (p probes) {
	p.failures = int64(h.FailingStreak)
	for _, r := range slices.Backward(h.Log) {
		if r == nil || r.ExitCode == 0 {
			continue
		}
		if p.log == nil {
			p.output = strings.Join(probeText(r.Output, redact.Limits{Lines: probeLines, Bytes: probeBytes}), "\n")
		}
		p.log = append(p.log, probeLine(r))
		if len(p.log) == probesKept {
			break
		}
	}
	slices.Reverse(p.log)
	return p
}

func probeText(output string, limits redact.Limits) []string {
	lines, _ := redact.Lines(strings.Split(strings.TrimSpace(output), "\n"), limits)
	return lines
}

// probeLine tells one result: time, exit code and the first line of the output.
func probeLine(r *container.HealthcheckResult) string {
	line := r.End.UTC().Format(time.RFC3339) + " "
	if r.ExitCode == probeNoCode {
		line += "no exit code"
	} else {
		line += fmt.Sprintf("exit code %d", r.ExitCode)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(r.Output), "\n")
	if first = strings.Join(probeText(first, redact.Limits{LineBytes: probeBrief}), ""); first != "" {
		line += ": " + first
	}
	return line
}

// say tells how often the probe failed.
func (p probes) say() string {
	if p.failures < 2 {
		return "fails"
	}
	return fmt.Sprintf("failed %d times in a row", p.failures)
}

func (p probes) tell(c *event.Container) {
	c.HealthFailures, c.HealthOutput, c.HealthLog = p.failures, p.output, p.log
}
