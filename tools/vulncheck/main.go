// Command vulncheck runs govulncheck on the module in the current folder and fails on vulnerabilities
// that the program can reach.
//
// The database is BELLBUOY_VULNDB if that is set (any URL that govulncheck takes), else the public one, else
// the copy of its records in the Go module golang.org/x/vulndb. Where none answers, it says NOT RUN and
// exits with 0: somebody else's server must not decide whether a change is right, and nobody must take
// silence for a pass. A finding may be accepted for a time in the file named by -accept. Findings in Go's own
// library depend on the Go that builds and not on the module: they are told, and fail with -strict only.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	publicDB = "https://vuln.go.dev"
	dbModule = "golang.org/x/vulndb@latest"
)

func main() {
	tool := flag.String("govulncheck", "govulncheck", "the govulncheck to run")
	strict := flag.Bool("strict", false, "fail on findings in the standard library and where no database answers")
	accept := flag.String("accept", "tools/vulns-accepted.txt", "file of accepted findings")
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	if err := run(*tool, *accept, *strict, packages); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

func run(tool, acceptFile string, strict bool, packages []string) error {
	text, err := os.ReadFile(acceptFile)
	if err != nil {
		return err
	}
	accepted, err := parseAccepted(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", acceptFile, err)
	}
	db, err := database()
	if err != nil && strict {
		return fmt.Errorf("no vulnerability database answers: %w", err)
	}
	if err != nil {
		fmt.Printf("vulncheck: NOT RUN, no vulnerability database answers (%v); set BELLBUOY_VULNDB to a mirror\n", err)
		return nil
	}
	fmt.Println("vulncheck: database", db)
	cmd := exec.Command(tool, append([]string{"-format", "json", "-db", db}, packages...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("govulncheck: %w", err)
	}
	found, err := parseFindings(strings.NewReader(string(out)))
	if err != nil {
		return err
	}
	ours, toolchain := split(found)
	problems := judge(ours, accepted, time.Now())
	for _, f := range toolchain {
		if strict {
			problems = append(problems, f.String())
		} else {
			fmt.Println("vulncheck: WARNING, build a release with a newer Go:", f)
		}
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	fmt.Printf("vulncheck: nothing reachable in the modules, %d accepted, %d in Go itself\n", len(accepted), len(toolchain))
	return nil
}

// database returns the URL of the first database that answers.
func database() (string, error) {
	if db := os.Getenv("BELLBUOY_VULNDB"); db != "" {
		return db, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	probe, cancelProbe := context.WithTimeout(ctx, 5*time.Second)
	defer cancelProbe()
	req, err := http.NewRequestWithContext(probe, http.MethodGet, publicDB+"/index/db.json", nil)
	if err != nil {
		return "", err
	}
	resp, httpErr := http.DefaultClient.Do(req)
	if httpErr == nil {
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return publicDB, nil
		}
		httpErr = errors.New(resp.Status)
	}
	dir, err := moduleDir(ctx)
	if err != nil {
		return "", errors.Join(httpErr, err)
	}
	return "file://" + filepath.ToSlash(filepath.Join(dir, "data", "osv")), nil
}

// moduleDir downloads the module of the database's records.
func moduleDir(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", dbModule)
	cmd.Dir = os.TempDir() // Outside of the module, whose go.sum stays as it is.
	out, err := cmd.Output()
	var info struct{ Dir, Error string }
	switch jsonErr := json.Unmarshal(out, &info); {
	case jsonErr == nil && info.Error != "":
		return "", errors.New(info.Error)
	case err != nil:
		return "", fmt.Errorf("go mod download %s: %w", dbModule, err)
	}
	return info.Dir, nil
}

// finding is a vulnerability in code that the program calls.
type finding struct {
	id, summary, module, version, fixed, function string
}

func (f finding) String() string {
	fixed := "no fix yet"
	if f.fixed != "" {
		fixed = "fixed in " + f.fixed
	}
	return fmt.Sprintf("%s in %s@%s (%s), reached through %s: %s", f.id, f.module, f.version, fixed, f.function, f.summary)
}

// parseFindings reads govulncheck's JSON stream and keeps one reachable finding per vulnerability.
func parseFindings(r io.Reader) ([]finding, error) {
	var found []finding
	summaries := map[string]string{}
	for decoder := json.NewDecoder(r); ; {
		var message struct {
			OSV     *struct{ ID, Summary string }
			Finding *struct {
				OSV          string
				FixedVersion string `json:"fixed_version"`
				Trace        []struct{ Module, Version, Package, Function string }
			}
		}
		err := decoder.Decode(&message)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read govulncheck's answer: %w", err)
		}
		if message.OSV != nil {
			summaries[message.OSV.ID] = message.OSV.Summary
		}
		f := message.Finding
		if f == nil || len(f.Trace) == 0 || f.Trace[0].Function == "" {
			continue // Imported or required, but never called.
		}
		if slices.ContainsFunc(found, func(other finding) bool { return other.id == f.OSV }) {
			continue
		}
		frame := f.Trace[0]
		found = append(found, finding{
			id: f.OSV, module: frame.Module, version: frame.Version, fixed: f.FixedVersion,
			function: frame.Package + "." + frame.Function,
		})
	}
	for i := range found {
		found[i].summary = summaries[found[i].id]
	}
	return found, nil
}

// split tells the findings in modules from those in Go itself.
func split(found []finding) (modules, toolchain []finding) {
	for _, f := range found {
		if f.module == "stdlib" || f.module == "toolchain" {
			toolchain = append(toolchain, f)
		} else {
			modules = append(modules, f)
		}
	}
	return modules, toolchain
}

// acceptance lets one finding be until a day.
type acceptance struct {
	id    string
	until time.Time
}

// parseAccepted reads lines of "ID YYYY-MM-DD reason"; # begins a comment.
func parseAccepted(text string) ([]acceptance, error) {
	var accepted []acceptance
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 3 {
			return nil, fmt.Errorf("line %d: want ID, YYYY-MM-DD and a reason", i+1)
		}
		until, err := time.Parse(time.DateOnly, words[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		accepted = append(accepted, acceptance{words[0], until})
	}
	return accepted, nil
}

// judge returns what has to be done: findings that nobody accepted, and acceptances that are of no use any more.
func judge(found []finding, accepted []acceptance, now time.Time) []string {
	var problems []string
	for _, f := range found {
		i := slices.IndexFunc(accepted, func(a acceptance) bool { return a.id == f.id })
		switch {
		case i < 0:
			problems = append(problems, f.String())
		case now.After(accepted[i].until.AddDate(0, 0, 1)):
			problems = append(problems, f.String()+" (its acceptance has expired)")
		}
	}
	for _, a := range accepted {
		if !slices.ContainsFunc(found, func(f finding) bool { return f.id == a.id }) {
			problems = append(problems, a.id+" is accepted but not found any more; remove the line")
		}
	}
	return problems
}
