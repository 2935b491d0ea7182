package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Loaded is a checked config and where its values came from.
type Loaded struct {
	Config Config
	// Files are the files that were read, in order.
	Files []string
	// refs are the values that came from ${…} references, by path, as they were written.
	refs map[string]string
}

// Load reads the files, then the environment (BELLBUOY_SITE, BELLBUOY_NATS_URL, …), over the defaults,
// and checks the result. A path may be a folder: its *.yaml and *.yml files in the order of their names.
// A later file wins for single values; its collectors, sinks and routes are added. If anything is
// wrong the error is Faults.
func Load(paths []string) (*Loaded, error) {
	l := &Loaded{Config: Default(), refs: map[string]string{}}
	d := &decoder{places: map[string]place{}, misspelt: map[string]bool{}, refs: l.refs, defaults: componentDefault, expand: expand}
	files, faults := list(paths)
	d.faults = faults
	for _, file := range files {
		d.readFile(file, &l.Config)
	}
	l.Files = files
	readEnvironment(d, &l.Config)
	d.faults = append(d.faults, check(&l.Config, d.places, d.misspelt)...)
	if len(d.faults) > 0 {
		return nil, d.faults.sorted()
	}
	return l, nil
}

func list(paths []string) (files []string, faults Faults) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			faults = append(faults, Fault{File: path, Problem: reason(err)})
			continue
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		found := 0
		entries, err := os.ReadDir(path)
		if err != nil {
			faults = append(faults, Fault{File: path, Problem: reason(err)})
			continue
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") {
				files = append(files, filepath.Join(path, e.Name()))
				found++
			}
		}
		if found == 0 {
			faults = append(faults, Fault{File: path, Problem: "the folder holds no .yaml file"})
		}
	}
	return files, faults
}

func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case errors.Is(err, fs.ErrPermission):
		return "no permission to read the file"
	}
	return err.Error()
}

func (d *decoder) readFile(file string, c *Config) {
	text, err := os.ReadFile(file)
	if err != nil {
		d.faults = append(d.faults, Fault{File: file, Problem: reason(err)})
		return
	}
	d.file = file
	d.read(text, c)
}

func (d *decoder) read(text []byte, c *Config) {
	d.anchors = map[string]ast.Node{}
	tree, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.faults = append(d.faults, syntaxFault(d.file, err))
		return
	}
	for _, doc := range tree.Docs {
		if doc.Body != nil {
			d.decode(doc.Body, "", reflect.ValueOf(c).Elem())
		}
	}
}

func syntaxFault(file string, err error) Fault {
	f := Fault{File: file, Line: 1, Column: 1, Problem: "not YAML: " + err.Error()}
	var at interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &at) && at.GetToken() != nil {
		p := at.GetToken().Position
		f.Line, f.Column, f.Problem = p.Line, p.Column, "not YAML: "+at.GetMessage()
	}
	return f
}

// readEnvironment sets single values outside the lists from BELLBUOY_<PATH>: nats.url is
// BELLBUOY_NATS_URL.
func readEnvironment(d *decoder, c *Config) {
	walkScalars(reflect.ValueOf(c).Elem(), "", func(path string, v reflect.Value) {
		variable := "BELLBUOY_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
		value, ok := os.LookupEnv(variable)
		if !ok {
			return
		}
		if err := setScalar(v, value); err != nil {
			d.faults = append(d.faults, Fault{
				File: "environment", Problem: fmt.Sprintf("%s must be %s, not %q", variable, expected(v.Type()), value),
			})
		}
		d.places[path] = place{file: "environment " + variable}
	})
}

// walkScalars visits the single values of nested structs, not those of lists and maps.
func walkScalars(v reflect.Value, path string, visit func(string, reflect.Value)) {
	for key, i := range fieldsOf(v.Type()) {
		f, at := v.Field(i), join(path, key)
		switch f.Kind() {
		case reflect.Struct:
			walkScalars(f, at, visit)
		case reflect.Slice, reflect.Map, reflect.Pointer:
		default:
			visit(at, f)
		}
	}
}
