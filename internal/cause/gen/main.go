// Command gen writes docs/reference/causes.md, the reference of the tables that say why a task stopped.
//
// It runs by go generate in the folder internal/cause. Its input is the tables themselves and the
// template causes.md.tmpl; the output is the same for the same input. A class without an explanation is
// an error: every class of the built-in rows is documented. On an error it writes nothing and exits with 1.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(filepath.Join("..", "..", "docs", "reference")); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run writes causes.md to the folder.
func run(reference string) error {
	text, err := page()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(reference, "causes.md"), text, 0o644)
}
