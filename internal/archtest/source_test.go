package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/bellbuoy/bellbuoy"

// source is one parsed Go file; path is slash-separated and below the module.
type source struct {
	path string
	fset *token.FileSet
	ast  *ast.File
}

func (s *source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// at returns file:line of pos.
func (s *source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(pos).Line)
}

// unit is every Go file of one folder: a package with its tests.
type unit struct {
	dir   string
	files []*source
}

// main says whether the folder is a program.
func (u *unit) main() bool {
	return slices.ContainsFunc(u.files, func(f *source) bool { return !f.test() && f.ast.Name.Name == "main" })
}

// shipped returns the files that are no tests, or all if there are only tests.
func (u *unit) shipped() []*source {
	var files []*source
	for _, f := range u.files {
		if !f.test() {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return u.files
	}
	return files
}

// moduleRoot returns the folder of go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// readTree returns the text of every Go file of this module by its path. Other modules below, testdata
// and hidden folders are left out, as the go command does.
func readTree(t *testing.T, root string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root {
			_, statErr := os.Stat(filepath.Join(name, "go.mod"))
			if base := d.Name(); statErr == nil || base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
				return filepath.SkipDir
			}
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		texts[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// parse turns texts by path into units, in order of their folders.
func parse(t *testing.T, texts map[string]string) []*unit {
	t.Helper()
	fset := token.NewFileSet()
	byDir := map[string]*unit{}
	for name, text := range texts {
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		dir := path.Dir(name)
		if byDir[dir] == nil {
			byDir[dir] = &unit{dir: dir}
		}
		byDir[dir].files = append(byDir[dir].files, &source{path: name, fset: fset, ast: file})
	}
	var units []*unit
	for _, u := range byDir {
		slices.SortFunc(u.files, func(a, b *source) int { return strings.Compare(a.path, b.path) })
		units = append(units, u)
	}
	slices.SortFunc(units, func(a, b *unit) int { return strings.Compare(a.dir, b.dir) })
	return units
}

// match says whether a path below the module fits a pattern of the tables.
func match(pattern, pkg string) bool {
	switch base, wild := path.Split(pattern); {
	case pattern == "...":
		return true
	case wild == "...":
		return pkg+"/" == base || strings.HasPrefix(pkg, base)
	case wild == "*":
		return path.Dir(pkg)+"/" == base
	default:
		return pattern == pkg
	}
}

func matchAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, pkg) })
}

// importName returns the name by which the file knows an imported package, or "" if it does not import it.
func importName(f *ast.File, pkg string) string {
	for _, spec := range f.Imports {
		if strings.Trim(spec.Path.Value, `"`) != pkg {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(pkg)
	}
	return ""
}

// callOf returns the package name and function of a call such as time.Sleep(…), else empty strings.
func callOf(n ast.Node) (pkg, fn string) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", ""
	}
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return "", f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name, f.Sel.Name
		}
		return "?", f.Sel.Name
	}
	return "", ""
}
