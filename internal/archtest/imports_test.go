package archtest

import (
	"fmt"
	"strings"
)

const tables = "see internal/archtest/table_test.go"

// imports holds every import of ours and of the large libraries against the tables.
func imports(u *unit) []string {
	own, known := rowOf(u.dir)
	if !known {
		return []string{fmt.Sprintf("%s: the package has no row in the import table, %s", u.dir, tables)}
	}
	var found []string
	for _, f := range u.files {
		for _, spec := range f.ast.Imports {
			target := strings.Trim(spec.Path.Value, `"`)
			why := libraryRefusal(u.dir, f.test(), target)
			if pkg, ours := strings.CutPrefix(target, module+"/"); ours {
				why = refusal(own, u.dir, f.test(), pkg)
				target = pkg
			}
			if why != "" {
				found = append(found, fmt.Sprintf("%s: %s may not import %s: %s; %s", f.at(spec.Pos()), u.dir, target, why, tables))
			}
		}
	}
	return found
}

func rowOf(dir string) (row, bool) {
	if matchAny(leaves(), dir) {
		return row{pkg: dir, why: "a leaf imports nothing of ours, so that anyone may import it"}, true
	}
	for _, r := range importTable() {
		if match(r.pkg, dir) {
			return r, true
		}
	}
	return row{}, false
}

// refusal says why dir may not import pkg, or "" if it may.
func refusal(own row, dir string, test bool, pkg string) string {
	support := matchAny(testSupport(), pkg)
	switch {
	case test && (support || pkg == dir || matchAny(testExtras(), pkg)):
		return ""
	case support && !matchAny(testSupport(), dir):
		return "test support must not end up in the program"
	case matchAny(own.may, pkg):
		return ""
	case matchAny(leaves(), pkg) && !matchAny(leaves(), dir) && dir != "schemas/event":
		return ""
	}
	return own.why
}

// libraryRefusal says why dir may not import a library, or "" if it may.
func libraryRefusal(dir string, test bool, target string) string {
	if test || matchAny(testSupport(), dir) {
		return ""
	}
	for _, l := range libraryTable() {
		if strings.HasPrefix(target, l.prefix) && !matchAny(l.in, dir) {
			return l.why
		}
	}
	return ""
}
