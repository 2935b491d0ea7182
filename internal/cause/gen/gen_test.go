package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/cause"
)

func TestThePageIsCurrent(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, run(dir))
	want, err := os.ReadFile(filepath.Join(dir, "causes.md"))
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "reference", "causes.md"))
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run go generate ./internal/cause")
	require.Error(t, run(filepath.Join(dir, "missing")))
}

func TestEveryRowIsOnThePage(t *testing.T) {
	t.Parallel()
	text, err := page()
	require.NoError(t, err)
	for _, table := range []cause.Table{cause.Docker(), cause.Containerd(), cause.ECS()} {
		for _, r := range table {
			for _, test := range r.When {
				assert.Contains(t, string(text), strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(test.Text), r.Name)
			}
			assert.Contains(t, string(text), "`"+r.Name+"`")
		}
	}
	for _, word := range cause.Placeholders() {
		assert.Contains(t, string(text), "`{"+word+"}`")
	}
}

func TestEveryClassNeedsAnExplanation(t *testing.T) {
	t.Parallel()
	_, err := classTable(slices.Concat(cause.Docker(), cause.ECS(), cause.Table{cause.Otherwise(), {Class: "exit.new"}}))
	require.EqualError(t, err, "class exit.new has no explanation")
	_, err = classTable(cause.Containerd())
	require.ErrorContains(t, err, "is explained, but no row gives it")
}
