package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// noInit forbids func init: order, absence and cost of what happens at start must be visible in the wiring.
func noInit(u *unit) []string {
	var found []string
	for _, f := range u.files {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, f.at(fn.Pos())+": func init hides what happens at start; call it from the wiring")
			}
		}
	}
	return found
}

// noHiddenState allows a package-level var only if it can't change: an interface guard, an error
// sentinel, an embedded file, a literal table or a compiled constant pattern; and then holds every
// use of it, and of other packages' variables, against that promise.
func noHiddenState(u *unit) []string {
	var found []string
	for _, f := range u.files {
		if f.test() {
			continue // A test may have a flag such as -update; its writes to variables are checked below.
		}
		for _, decl := range f.ast.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.VAR {
				found = append(found, badVars(f, gen)...)
			}
		}
	}
	return append(found, writes(u)...)
}

func badVars(f *source, gen *ast.GenDecl) []string {
	var found []string
	for _, s := range gen.Specs {
		spec, ok := s.(*ast.ValueSpec)
		if !ok || embedded(gen.Doc) || embedded(spec.Doc) || spec.Names[0].Name == "_" {
			continue
		}
		bad := func(why string) {
			found = append(found, fmt.Sprintf("%s: package-level var %s %s; keep state in a struct that has an owner", f.at(spec.Pos()), spec.Names[0].Name, why))
		}
		kind, _ := spec.Type.(*ast.Ident)
		linked := f.ast.Name.Name == "main" && kind != nil && kind.Name == "string" // The linker's -X may set it.
		if len(spec.Values) == 0 && !linked {
			bad("has no value, so it exists to be changed")
		}
		for _, value := range spec.Values {
			if why := notConstant(value); why != "" {
				bad(why)
			}
		}
	}
	return found
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// constantCalls are functions whose result never changes after the call.
func constantCalls() []string {
	return []string{"errors.New", "fmt.Errorf", "regexp.MustCompile", "template.Must", "strings.NewReplacer"}
}

// notConstant says why an initial value may change later, or "" if it can't.
func notConstant(value ast.Expr) string {
	why := ""
	ast.Inspect(value, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false // A table of functions: their bodies run later.
		case *ast.ChanType:
			why = "is a channel"
		case *ast.CallExpr:
			pkg, fn := callOf(n)
			_, conversion := n.Fun.(*ast.ArrayType)
			_, computed := n.Fun.(*ast.FuncLit)
			switch {
			case computed && len(n.Args) == 0:
				return false // A table computed from another one; what it writes is checked like all else.
			case slices.Contains(constantCalls(), pkg+"."+fn):
				return false
			case !conversion && (pkg != "" || !isType(fn)):
				why = fmt.Sprintf("is made by a call of %s", strings.TrimPrefix(pkg+"."+fn, "."))
			}
		case *ast.CompositeLit:
			if sel, ok := n.Type.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && (x.Name == "sync" || x.Name == "atomic") {
					why = "is a " + x.Name + "." + sel.Sel.Name
				}
			}
		case *ast.UnaryExpr:
			if n.Op == token.AND && n == value {
				why = "is a pointer to something that can change"
			}
		}
		return true
	})
	return why
}

func isType(name string) bool {
	_, ok := types.Universe.Lookup(name).(*types.TypeName)
	return ok
}

// noImporter makes every import fail: names of this package resolve without it, and nothing is compiled.
type noImporter struct{}

func (noImporter) Import(string) (*types.Package, error) { return nil, errors.New("not imported") }

// writes finds every place that changes a package-level variable, of this or of another package.
func writes(u *unit) []string {
	byName := map[string][]*ast.File{}
	for _, f := range u.files {
		byName[f.ast.Name.Name] = append(byName[f.ast.Name.Name], f.ast)
	}
	w := &writeFinder{info: &types.Info{
		Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}, Types: map[ast.Expr]types.TypeAndValue{},
	}}
	for name, files := range byName {
		config := types.Config{Importer: noImporter{}, Error: func(error) {}, FakeImportC: true}
		// The error is expected: imports are missing. What is wanted are the names of this package.
		_, _ = config.Check(u.dir+" "+name, u.files[0].fset, files, w.info)
	}
	for _, f := range u.files {
		w.file = f
		ast.Inspect(f.ast, w.visit)
	}
	return w.found
}

type writeFinder struct {
	info  *types.Info
	file  *source
	found []string
}

func (w *writeFinder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			for _, left := range n.Lhs {
				w.report(left, "is assigned to")
			}
		}
	case *ast.IncDecStmt:
		w.report(n.X, "is assigned to")
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			w.report(n.Key, "is assigned to")
			w.report(n.Value, "is assigned to")
		}
	case *ast.UnaryExpr:
		if _, literal := n.X.(*ast.CompositeLit); n.Op == token.AND && !literal {
			w.report(n.X, "has its address taken")
		}
	case *ast.CallExpr:
		pkg, fn := callOf(n)
		inPlace := pkg == "" && slices.Contains([]string{"delete", "clear", "copy"}, fn) ||
			(pkg == "slices" || pkg == "sort") && (strings.HasPrefix(fn, "Sort") || slices.Contains([]string{"Strings", "Ints", "Slice", "SliceStable", "Stable", "Reverse"}, fn))
		if inPlace && len(n.Args) > 0 {
			w.report(n.Args[0], "is changed by "+fn)
		}
		w.pointerMethod(n)
	}
	return true
}

// pointerMethod reports a call of a method that may change its receiver, when that is a variable by value.
func (w *writeFinder) pointerMethod(call *ast.CallExpr) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	s := w.info.Selections[sel]
	if s == nil || s.Kind() != types.MethodVal {
		return
	}
	fn, ok := s.Obj().(*types.Func)
	if !ok {
		return
	}
	_, pointer := fn.Signature().Recv().Type().(*types.Pointer)
	if _, already := s.Recv().(*types.Pointer); pointer && !already {
		w.report(sel.X, "is the receiver of "+fn.Name()+", which takes a pointer")
	}
}

func (w *writeFinder) report(target ast.Expr, how string) {
	if name := w.packageVar(target); name != "" {
		w.found = append(w.found, fmt.Sprintf("%s: package-level var %s %s; it must never change", w.file.at(target.Pos()), name, how))
	}
}

// packageVar returns the package-level variable that the expression is or is part of, or "".
func (w *writeFinder) packageVar(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return w.packageVar(e.X)
	case *ast.IndexExpr:
		return w.packageVar(e.X)
	case *ast.SliceExpr:
		return w.packageVar(e.X)
	case *ast.StarExpr:
		return w.packageVar(e.X)
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			if _, imported := w.info.Uses[x].(*types.PkgName); imported {
				return x.Name + "." + e.Sel.Name
			}
		}
		return w.packageVar(e.X)
	case *ast.Ident:
		v, ok := w.info.Uses[e].(*types.Var)
		if ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
			return v.Name()
		}
	}
	return ""
}
