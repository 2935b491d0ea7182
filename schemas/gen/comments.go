package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// comments is what only the source text of the types knows.
type comments struct {
	// of maps Type and Type.Field to the comment on it, in one line.
	of map[string]string
	// values maps a string type to its constants in the order of the source.
	values map[string][]string
}

func readComments(dir string) (comments, error) {
	c := comments{of: map[string]string{}, values: map[string][]string{}}
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return c, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return c, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		if err != nil {
			return c, err
		}
		for _, decl := range file.Decls {
			if group, ok := decl.(*ast.GenDecl); ok {
				c.add(group)
			}
		}
	}
	if len(c.of) == 0 {
		return c, fmt.Errorf("no types in %s", dir)
	}
	return c, nil
}

func (c comments) add(group *ast.GenDecl) {
	for _, spec := range group.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			c.of[spec.Name.Name] = oneLine(group.Doc)
			if body, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range body.Fields.List {
					for _, name := range field.Names {
						c.of[spec.Name.Name+"."+name.Name] = oneLine(field.Doc)
					}
				}
			}
		case *ast.ValueSpec:
			typeName, ok := spec.Type.(*ast.Ident)
			if !ok || len(spec.Values) == 0 {
				continue
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if value, err := strconv.Unquote(lit.Value); err == nil {
					c.values[typeName.Name] = append(c.values[typeName.Name], value)
				}
			}
		}
	}
}

func oneLine(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }

// field is one member of a JSON object, as code and comment describe it.
type field struct {
	name     string
	doc      string
	required bool
	typ      reflect.Type
}

// fields returns the members of a struct in the order of the source.
func (c comments) fields(t reflect.Type) ([]field, error) {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		doc := c.of[t.Name()+"."+f.Name]
		if name == "" || doc == "" {
			return nil, fmt.Errorf("%s.%s needs a json tag and a comment", t.Name(), f.Name)
		}
		doc = name + strings.TrimPrefix(doc, f.Name)
		all = append(all, field{name: name, doc: doc, required: options == "", typ: elem(f.Type)})
	}
	return all, nil
}

func elem(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// isSection tells whether values of the type are JSON objects with members of their own.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]()
}
