package fault

import (
	"fmt"
	"strings"
)

// Nearest returns the known word closest to got, or "" if none is close enough to be a slip of the
// finger.
func Nearest(got string, known []string) string {
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

// DidYouMean is the rest of a problem with an unknown word: the known one that was meant, or all of them.
func DidYouMean(got string, known []string) string {
	if word := Nearest(got, known); word != "" {
		return fmt.Sprintf("; did you mean %q?", word)
	}
	return "; known are " + strings.Join(known, ", ")
}
