package redact

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// FuzzHints holds what is left out against doing it all.
func FuzzHints(f *testing.F) {
	for _, s := range []string{
		"", "busybox:1.36", "https://u:p4ss@host/", "Authorization: Bearer abcdefghij1234567890", "AKIAABCDEFGHIJKLMNOP", "xoxb-1234567890",
		"connection_string=Server=x", "-----BEGIN PRIVATE KEY-----abc", "to\u212aen=abcdefgh1234", "eyJhbGci.eyJzdWI", "--db-password s3cr3tValue", "sessionId: 12",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := Clean(s)
		for _, r := range rules { // every rule, whatever the text looks like
			if want != "" {
				want = r.mask(want)
			}
		}
		assert.Equal(t, want, Text(s))
		slow := false
		for _, w := range split(s) {
			slow = slow || slices.Contains(secretWords[:], w)
		}
		if secretName(s) {
			assert.True(t, !plain(s) || containsAny(strings.ToLower(s), nameWords[:]))
		} else if slow {
			words := split(s)
			assert.Contains(t, aboutWords, words[len(words)-1])
		}
	})
}

func BenchmarkText(b *testing.B) {
	for b.Loop() {
		Text("registry.example.com/shop/payments:1.4.2")
	}
}
