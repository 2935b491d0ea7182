package cause

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ending is the exit code that decides, and whose it is.
type ending struct {
	part int // the index in Parts, or none
	code *int64
	// mixed says that another part may have ended first.
	mixed bool
}

// endingOf finds the container whose end ended the task: among those that are known to be essential, else among
// those of which nothing is known. What AWS puts beside them, such as its GuardDuty agent, is in no task definition.
func endingOf(e *Evidence) ending {
	end := e.endingAmong(func(p *Part) bool { return p.Essential != nil && *p.Essential })
	if end.code == nil {
		end = e.endingAmong(func(p *Part) bool { return p.Essential == nil && !strings.HasPrefix(p.Name, "aws-guardduty-agent") })
	}
	known := slices.ContainsFunc(e.Parts, func(p Part) bool { return p.ExitCode != nil })
	if end.code == nil && !known {
		end.code = e.ExitCode
	}
	return end
}

// endingAmong picks from the parts that count. The platform does not tell the order in which containers ended: an
// error of its own tells more than what a stop request leaves (137, 143, 130), and 0 is what is left.
func (e *Evidence) endingAmong(counts func(*Part) bool) ending {
	best, rank := ending{part: none}, 0
	own, differ := 0, false
	for i := range e.Parts {
		p := &e.Parts[i]
		if p.ExitCode == nil || !counts(p) {
			continue
		}
		r := weight(*p.ExitCode)
		switch {
		case r == weightOwn:
			own++
		case r == weightKilled && e.StopTook >= stubborn:
			r = weightObeyed // it did not obey the platform's request in time
		}
		differ = differ || best.code != nil && *best.code != *p.ExitCode
		if r > rank && (r != weightKilled || !best.first(e)) {
			best.part, best.code, rank = i, p.ExitCode, r
		}
	}
	best.mixed = own > 1 || own == 0 && differ
	return best
}

// unsure reports a row about exit codes of which another container may have ended first.
func (e *Evidence) unsure(r *Rule) bool {
	return family(r.Class) == "exit" && len(e.Parts) > 0 && e.platform().end.mixed
}

// ofBatch reports a task of a cluster that AWS Batch made: AWSBatch-<name> or <name>_Batch_<uuid>.
func (e *Evidence) ofBatch() bool {
	name := e.Task.Scope
	if strings.HasPrefix(name, "AWSBatch-") {
		return true
	}
	before := name[:max(len(name)-uuid, 0)]
	return strings.HasSuffix(before, "_Batch_") && strings.Trim(name[len(before):], "0123456789abcdef-") == ""
}

const uuid = len("01234567-89ab-cdef-0123-456789abcdef")

// stubborn is a stop that took as long as containers have that don't end when they are asked to; 30 s is the
// default of their stop timeout.
const stubborn = 25 * time.Second

// first reports that the best so far is an essential container that ended with 0: a task ends with it, and
// what is killed after it did not obey in time.
func (b ending) first(e *Evidence) bool {
	return b.part != none && *b.code == 0 && e.Parts[b.part].Essential != nil
}

// The weights of exit codes.
const (
	weightObeyed = 1 + iota
	weightZero
	weightKilled
	weightOwn
)

func weight(code int64) int {
	switch code {
	case 0:
		return weightZero
	case 128 + sigKill:
		return weightKilled
	case 128 + sigTerm, 128 + sigInt:
		return weightObeyed
	}
	return weightOwn
}

// endCode tests the exit code that decides.
func endCode(codes ...int64) Test {
	text := exitCode(codes...).Text
	return Test{text, func(e *Evidence) bool {
		c := e.platform().end.code
		if c == nil {
			return false
		}
		for _, code := range codes {
			if *c == code {
				return true
			}
		}
		return false
	}}
}

func endKnown() Test {
	return Test{"an exit code is known", func(e *Evidence) bool { return e.platform().end.code != nil }}
}

func endUnknown() Test {
	return Test{"no exit code is known", func(e *Evidence) bool { return e.platform().end.code == nil }}
}

func crashed() Test {
	return Test{"the exit code is a crash of Windows, such as 0xC0000005", func(e *Evidence) bool {
		c := e.platform().end.code
		return c != nil && windows[status(*c)].crash
	}}
}

// culprit is the source of a row about exit codes.
func culprit(e *Evidence) source {
	end := e.platform().end
	if end.part == none {
		return anyText(e)
	}
	return source{end.part, e.Parts[end.part].Reason}
}

// shells are the exit codes that shells and runtimes gave a meaning.
var shells = map[int64]string{
	125: "the container runtime refused to run it",
	126: "its command can't be executed",
	127: "its command was not found",
	255: "-1, or the runtime lost the code",
}

// windows are the codes that Windows ends programs with.
var windows = map[int64]struct {
	means string
	crash bool
}{
	0xC0000005: {"access violation", true}, 0xC000001D: {"illegal instruction", true}, 0xC0000094: {"division by zero", true},
	0xC00000FD: {"stack overflow", true}, 0xC0000374: {"heap corruption", true}, 0xC0000409: {"stack buffer overrun", true},
	0xC0000135: {"a DLL was not found", false}, 0xC0000142: {"a DLL failed to initialise", false}, 0xC0000017: {"no memory", false},
	0xC000013A: {"asked to end, like Ctrl+C", false}, 0x40010004: {"ended by a debugger or a shutdown", false},
}

// status is a code of Windows, which may be written as a negative number of 32 bits.
func status(code int64) int64 {
	if code < 0 && code >= -1<<31 {
		return code + 1<<32
	}
	return code
}

// Meaning returns an exit code with what it stands for: "exit code 127 (its command was not found)".
func Meaning(code int64) string {
	text := "exit code " + strconv.FormatInt(code, 10)
	means := SignalOf(code)
	if means == "" {
		means = shells[code]
	}
	if w, ok := windows[status(code)]; ok {
		means = fmt.Sprintf("0x%X, %s", status(code), w.means)
	}
	return text + inBrackets(means)
}
