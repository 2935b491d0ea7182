package archtest

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// noReplace forbids replace lines: whoever imports this module would not get them.
func noReplace(goMod string) []string {
	var found []string
	block := false
	for i, line := range strings.Split(goMod, "\n") {
		line = strings.TrimSpace(line)
		if block = block && line != ")"; block || strings.HasPrefix(line, "replace ") || strings.HasPrefix(line, "replace\t") {
			block = block || strings.HasSuffix(line, "(")
			found = append(found, fmt.Sprintf("go.mod:%d: %s: users of the module do not get a replace", i+1, line))
		}
	}
	return found
}

// machineWords matches what is true on one machine only: folders of it, and the hosts it installs from.
// The pieces are joined here so that this file does not match itself.
func machineWords() *regexp.Regexp {
	hosts := []string{"proxy.golang", "sum.golang", "registry.npmjs", "pypi", "repo1.maven", "repo.maven.apache", "deb.debian", "index.crates", "static.crates"}
	return regexp.MustCompile(`(^|[^A-Za-z0-9_.-])/wor` + `k/|\.\./shar` + `ed\b|\b(` + strings.ReplaceAll(strings.Join(hosts, "|"), ".", `\.`) + `)\.(org|io|com)\b`)
}

// noMachineWords looks for machineWords in the text of a tracked file.
func noMachineWords(name string, text []byte) []string {
	if bytes.IndexByte(text, 0) >= 0 {
		return nil // Not text.
	}
	words := machineWords()
	if !words.Match(text) {
		return nil
	}
	var found []string
	for i, line := range bytes.Split(text, []byte("\n")) {
		if m := words.Find(line); m != nil {
			found = append(found, fmt.Sprintf("%s:%d: %q is true on one machine only", name, i+1, m))
		}
	}
	return found
}

// trackedFiles asks git, or takes the whole tree where there is no repository.
func trackedFiles(t *testing.T, root string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z").Output()
	if err == nil {
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	t.Logf("git ls-files: %v; reading the whole tree", err)
	var names []string
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin") {
			return filepath.SkipDir
		}
		rel, relErr := filepath.Rel(root, name)
		if !d.IsDir() {
			names = append(names, rel)
		}
		return relErr
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestTrackedFiles(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	for _, name := range trackedFiles(t, root) {
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil || !info.Mode().IsRegular() {
			continue // Deleted in the work tree, or a link to another file.
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range noMachineWords(name, text) {
			t.Error(found)
		}
		if filepath.Base(name) == "go.mod" {
			for _, found := range noReplace(string(text)) {
				t.Error(found)
			}
		}
	}
}

func TestTextRulesCanFail(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		got  []string
		want string // part of the only finding; empty: none
	}{
		"no replace":     {noReplace("module m\n\nrequire a v1\n"), ""},
		"replace line":   {noReplace("module m\nreplace a => b\n"), "go.mod:2"},
		"replace block":  {noReplace("module m\nrequire (\n\ta v1\n)\nreplace (\n)\n"), "go.mod:5"},
		"machine folder": {noMachineWords("a.md", []byte("x\nsee /wor"+"k/main\n")), "a.md:2"},
		"folder beside":  {noMachineWords("a.md", []byte("../shar"+"ed/x")), "a.md:1"},
		"registry host":  {noMachineWords("a.md", []byte("GOPROXY=https://proxy.golang"+".org")), "a.md:1"},
		"plain words":    {noMachineWords("a.md", []byte("the network/workload of https://registry.example.com/app")), ""},
		"binary":         {noMachineWords("a.gz", []byte("\x00 /wor"+"k/ ")), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, tt.got, tt.want)
		})
	}
}

// expect wants one finding that contains want, or none if want is empty.
func expect(t *testing.T, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("found %q in a good source", got)
	case want != "" && (len(got) != 1 || !strings.Contains(got[0], want)):
		t.Errorf("found %q, want one finding with %q", got, want)
	}
}
