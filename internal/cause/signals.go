package cause

import (
	"strconv"
	"strings"
)

// signals are the names on Linux for x86 and ARM, by number.
var signals = [...]string{
	"", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
	"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
}

const firstRealTime, lastSignal = 34, 64

// SignalName returns the name of a signal, such as SIGKILL for 9, or empty for no signal.
func SignalName(number int) string {
	switch {
	case number > 0 && number < len(signals):
		return "SIG" + signals[number]
	case number == firstRealTime:
		return "SIGRTMIN"
	case number > firstRealTime && number <= lastSignal:
		return "SIGRTMIN+" + strconv.Itoa(number-firstRealTime)
	}
	return ""
}

// SignalOf returns the name of the signal that an exit code above 128 stands for, or empty. Shells use
// such codes for their own ends, too, so it is a hint.
func SignalOf(exitCode int64) string {
	if exitCode <= 128 || exitCode > 128+lastSignal {
		return ""
	}
	return SignalName(int(exitCode - 128))
}

// ParseSignal reads a signal as people and runtimes write it: 15, TERM, SIGTERM, SIGRTMIN+3. It
// returns 0 for what is none.
func ParseSignal(s string) int {
	s = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(s)), "SIG")
	if n, err := strconv.Atoi(s); err == nil {
		if n < 0 || n > lastSignal {
			return 0
		}
		return n
	}
	for n, name := range signals {
		if name != "" && name == s {
			return n
		}
	}
	if rest, ok := strings.CutPrefix(s, "RTMIN"); ok {
		if n, err := strconv.Atoi(strings.TrimPrefix(rest, "+")); err == nil && n >= 0 && firstRealTime+n <= lastSignal {
			return firstRealTime + n
		}
		if rest == "" {
			return firstRealTime
		}
	}
	return 0
}
