package opensearch

import (
	"slices"
	"strings"
)

// The limits of a label, in bytes: a term of the index, which is key and value, ends at 32,766.
const (
	maxLabelKey   = 1 << 10
	maxLabelValue = 8 << 10
)

// labels writes one flat object, sorted. A key that is empty or made of dots only can't be a field name
// and gets a leading _; of an over-long key or value the start stays.
func (w *writer) labels(labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	var room [32]string
	keys := room[:0]
	for key := range labels {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	o := w.open("label")
	for _, key := range keys {
		w.comma()
		w.quote(labelKey(key))
		w.b = append(w.b, ':')
		w.quote(start(labels[key], maxLabelValue))
	}
	w.close(o)
}

func labelKey(key string) string {
	if strings.Trim(key, ". ") == "" {
		key = "_" + strings.ReplaceAll(key, ".", "_")
	}
	return start(key, maxLabelKey)
}

// start returns at most n bytes of s, cut between characters.
func start(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
