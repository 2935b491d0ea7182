package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGeneratedFilesAreCurrent(t *testing.T) {
	source := filepath.Join("..", "event")
	committed := filepath.Join("..", "json")
	reference := filepath.Join("..", "..", "docs", "reference")
	schemas, page := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(schemas, "task.gone.json"), nil, 0o644))
	require.NoError(t, run(source, schemas, page))
	require.Equal(t, readAll(t, committed), readAll(t, schemas), "run go generate ./schemas")
	require.Equal(t, readAll(t, reference)["events.md"], readAll(t, page)["events.md"], "run go generate ./schemas")
}

func TestEveryFieldNeedsAComment(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "event.go"), []byte("package event\n\n// Event is.\ntype Event struct {\n\tID string `json:\"id\"`\n}\n"), 0o644))
	require.ErrorContains(t, run(dir, t.TempDir(), t.TempDir()), "Event.ID needs a json tag and a comment")
	require.ErrorContains(t, run(t.TempDir(), t.TempDir(), t.TempDir()), "no types in")
}

func readAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	files := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		files[filepath.Base(path)] = string(text)
	}
	return files
}
