// Command gen writes what is derived from the Go types of schemas/event: the JSON Schemas that package
// schemas embeds and the field reference for people.
//
// It runs by go generate in the folder schemas. Its input is the source text of schemas/event, for the
// comments, and the compiled types and registry; the output is the same for the same input. A field
// without a comment is an error: every field of the contract is documented. On an error it writes
// nothing more and exits with 1.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run("event", "json", filepath.Join("..", "docs", "reference")); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run reads the package in source and writes the schemas and events.md to their folders. A schema of a
// type that is gone is removed.
func run(source, schemas, reference string) error {
	c, err := readComments(source)
	if err != nil {
		return err
	}
	files, err := schemaFiles(c)
	if err != nil {
		return err
	}
	if err := removeOthers(schemas, files); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(schemas, name), text, 0o644); err != nil {
			return err
		}
	}
	page, err := referencePage(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(reference, "events.md"), page, 0o644)
}

func removeOthers(dir string, keep map[string][]byte) error {
	old, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if keep[filepath.Base(path)] == nil {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}
