package config

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong in a config.
type Fault struct {
	// File is the file's path as it was given, or the source, such as "environment".
	File         string
	Line, Column int
	// Problem says what is wrong and what to do.
	Problem string
}

func (f Fault) Error() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s", f.File, f.Problem)
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Problem)
}

// Faults is every fault of a config, in the order of the files.
type Faults []Fault

func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

func (fs Faults) sorted() Faults {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return fs
}

// nearest returns the known word closest to got, or "" if none is close enough to be a slip of the
// finger.
func nearest(got string, known []string) string {
	best, bestDistance := "", max(2, len(got)/3)+1
	for _, word := range known {
		if d := distance(strings.ToLower(got), word); d < bestDistance {
			best, bestDistance = word, d
		}
	}
	return best
}

// distance is the Levenshtein distance with transposition of neighbours.
func distance(a, b string) int {
	prev2, prev := []int(nil), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev = prev, row
	}
	return prev[len(b)]
}

func didYouMean(got string, known []string) string {
	if word := nearest(got, known); word != "" {
		return fmt.Sprintf("; did you mean %q?", word)
	}
	return "; known are " + strings.Join(known, ", ")
}
