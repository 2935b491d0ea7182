package archtest

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

const (
	maxFileLines = 500
	maxFuncLines = 80
)

// packageComment wants exactly one comment per package, on the package and not on every file.
func packageComment(u *unit) []string {
	want := "Package " + u.shipped()[0].ast.Name.Name + " "
	if u.main() {
		want = "Command "
	}
	var found, places []string
	for _, f := range u.files {
		if f.ast.Doc == nil {
			continue
		}
		places = append(places, f.path)
		if text := f.ast.Doc.Text(); !strings.HasPrefix(text, want) {
			found = append(found, fmt.Sprintf("%s: the package comment starts with %q", f.path, want+"…"))
		}
	}
	switch {
	case len(places) == 0:
		found = append(found, fmt.Sprintf("%s: no package comment; say what it is, where in the flow, what it guarantees and what happens on failure", u.dir))
	case len(places) > 1:
		found = append(found, fmt.Sprintf("%s: package comments in %s; one is enough", u.dir, strings.Join(places, " and ")))
	}
	return found
}

// packageName refuses names that attract everything.
func packageName(u *unit) []string {
	name := u.shipped()[0].ast.Name.Name
	if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "types", "manager", "base", "misc"}, name) {
		return []string{fmt.Sprintf("%s: name the package by a noun an operator knows, not %s", u.dir, name)}
	}
	return nil
}

// size bounds files and functions that people write and ship.
func size(u *unit) []string {
	var found []string
	for _, f := range u.files {
		if f.test() || ast.IsGenerated(f.ast) {
			continue
		}
		if lines := f.fset.File(f.ast.Pos()).LineCount(); lines > maxFileLines {
			found = append(found, fmt.Sprintf("%s: %d lines, at most %d: split it by subject", f.path, lines, maxFileLines))
		}
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			if lines := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; lines > maxFuncLines {
				found = append(found, fmt.Sprintf("%s: %s has %d lines, at most %d", f.at(fn.Pos()), fn.Name.Name, lines, maxFuncLines))
			}
		}
	}
	return found
}

// noBareSleep forbids time.Sleep in tests: it is too short on a busy machine and too long on an idle one.
func noBareSleep(u *unit) []string {
	var found []string
	for _, f := range u.files {
		name := importName(f.ast, "time")
		if name == "" || !f.test() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if pkg, fn := callOf(n); pkg == name && fn == "Sleep" {
				found = append(found, f.at(n.Pos())+": time.Sleep in a test; use testing/synctest, or poll with a deadline")
			}
			return true
		})
	}
	return found
}

// noFreshContext forbids a context that nobody can cancel in the parts that run under one.
func noFreshContext(u *unit) []string {
	if !matchAny([]string{"collectors/...", "router/...", "sinks/..."}, u.dir) || matchAny(testSupport(), u.dir) {
		return nil
	}
	var found []string
	for _, f := range u.files {
		name := importName(f.ast, "context")
		if name == "" || f.test() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if pkg, fn := callOf(n); pkg == name && (fn == "Background" || fn == "TODO") {
				found = append(found, fmt.Sprintf("%s: context.%s cuts cancellation; pass ctx, or context.WithoutCancel(ctx) to finish something", f.at(n.Pos()), fn))
			}
			return true
		})
	}
	return found
}

// noSuddenEnd forbids what ends the process outside of a program's main package: the stream must drain.
func noSuddenEnd(u *unit) []string {
	if u.main() || matchAny(testSupport(), u.dir) {
		return nil
	}
	fatal := regexp.MustCompile(`^(Fatal|Panic)(f|ln)?$`)
	must := regexp.MustCompile(`^Must[A-Z]`)
	var found []string
	for _, f := range u.files {
		if f.test() {
			continue
		}
		logName, osName := importName(f.ast, "log"), importName(f.ast, "os")
		bad := func(n ast.Node, what string) {
			found = append(found, fmt.Sprintf("%s: %s outside of a main package; return an error", f.at(n.Pos()), what))
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if decl, ok := n.(*ast.FuncDecl); ok && must.MatchString(decl.Name.Name) {
				bad(n, "func "+decl.Name.Name)
			}
			switch pkg, fn := callOf(n); {
			case pkg == "" && fn == "panic":
				bad(n, "panic")
			case osName != "" && pkg == osName && fn == "Exit":
				bad(n, "os.Exit")
			case logName != "" && pkg == logName && fatal.MatchString(fn):
				bad(n, "log."+fn)
			case fn == "MustRegister" && u.dir == "internal/telemetry":
				// It owns the registry and fills it while it is new, so nothing can be there twice.
			case must.MatchString(fn) && !slices.Contains(constantCalls(), pkg+"."+fn):
				bad(n, pkg+"."+fn+", which panics")
			}
			return true
		})
	}
	return found
}
