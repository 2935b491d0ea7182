// Command testsum runs go test -json, shows what go test shows without -v, and ends with the count.
//
// It prints a line per package, the output of what failed, each skipped test with its reason, the wall time and last
// "N passed, N failed, N skipped". Tests and subtests count alike. A package that does not build, panics or
// runs out of time counts as failed even if no test in it did, and a run without any test fails.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// testEvent is one line of go test -json.
type testEvent struct {
	Action      string
	Package     string
	ImportPath  string
	FailedBuild string
	Test        string
	Output      string
}

// summary collects what the run said.
type summary struct {
	out                     io.Writer
	passed, failed, skipped int
	output                  map[string][]string // by package and test, of tests that have not ended
	running                 map[string]map[string]bool
	build                   map[string][]string
	verbose                 bool // each test's output as it comes, not only that of failed ones
	failures, skips         []string
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	start := time.Now()
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		return 1
	}
	s := &summary{out: os.Stdout, verbose: slices.Contains(args, "-v"), output: map[string][]string{}, running: map[string]map[string]bool{}, build: map[string][]string{}}
	readErr := s.read(pipe)
	return s.end(errors.Join(readErr, cmd.Wait()), time.Since(start))
}

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		var e testEvent
		switch {
		case strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil:
			s.take(e)
		case line != "":
			fmt.Fprint(s.out, line) // Not JSON: the go command's own words.
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) take(e testEvent) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		s.build[e.ImportPath] = append(s.build[e.ImportPath], e.Output)
	case "run":
		if s.running[e.Package] == nil {
			s.running[e.Package] = map[string]bool{}
		}
		s.running[e.Package][e.Test] = true
	case "output":
		if strings.HasPrefix(e.Output, "=== ") {
			return // Progress, which go test shows only with -v.
		}
		if e.Test != "" && s.verbose {
			fmt.Fprint(s.out, e.Output)
			return
		}
		if e.Test != "" {
			s.output[key] = append(s.output[key], e.Output)
			return
		}
		if e.Output != "PASS\n" && e.Output != "FAIL\n" && !strings.HasPrefix(e.Output, "-test.shuffle ") && !strings.HasPrefix(e.Output, "testing: warning: no tests to run") {
			fmt.Fprint(s.out, e.Output)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
			return
		}
		s.endTest(e, key)
	}
}

func (s *summary) endTest(e testEvent, key string) {
	delete(s.running[e.Package], e.Test)
	text := s.output[key]
	delete(s.output, key)
	switch e.Action {
	case "pass":
		s.passed++
	case "skip":
		s.skipped++
		s.skips = append(s.skips, fmt.Sprintf("skipped: %s (%s): %s", e.Test, e.Package, reason(text)))
	case "fail":
		s.failed++
		s.failures = append(s.failures, e.Package+" "+e.Test)
		fmt.Fprint(s.out, strings.Join(text, ""))
	}
}

// endPackage counts what failed outside of a test: a build, a panic, the time limit, TestMain.
func (s *summary) endPackage(e testEvent) {
	if e.Action != "fail" {
		return
	}
	fmt.Fprint(s.out, strings.Join(s.build[e.FailedBuild], ""))
	known := false
	for _, failure := range s.failures {
		known = known || strings.HasPrefix(failure, e.Package+" ")
	}
	for test := range s.running[e.Package] {
		key := e.Package + " " + test
		fmt.Fprint(s.out, strings.Join(s.output[key], ""))
		s.failed++
		s.failures = append(s.failures, key+" (did not end)")
		known = true
	}
	if !known {
		s.failed++
		s.failures = append(s.failures, e.Package+" (the package itself)")
	}
}

func reason(output []string) string {
	var words []string
	for _, line := range output {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "--- ") {
			words = append(words, trimmed)
		}
	}
	if len(words) == 0 {
		return "no reason given"
	}
	return strings.Join(words, " ")
}

func (s *summary) end(err error, wall time.Duration) int {
	for _, skip := range s.skips {
		fmt.Fprintln(s.out, skip)
	}
	for _, failure := range s.failures {
		fmt.Fprintln(s.out, "failed:", failure)
	}
	code := 0
	switch {
	case err != nil && s.failed == 0:
		fmt.Fprintln(s.out, "failed: go test:", err)
		s.failed++
		code = 1
	case s.failed > 0:
		code = 1
	case s.passed == 0:
		fmt.Fprintln(s.out, "failed: no test ran")
		code = 1
	}
	fmt.Fprintf(s.out, "wall time %s\n%d passed, %d failed, %d skipped\n", wall.Round(time.Second/10), s.passed, s.failed, s.skipped)
	return code
}
