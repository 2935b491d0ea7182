package recording_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/internal/recording"
)

func TestSplitReadsOnAfterAFault(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text  string
		lines []int
		bad   int // which record can't be read, from 1
	}{
		"nothing":         {" \n", nil, 0},
		"one over lines":  {"\n{\"a\":\n1}", []int{2}, 0},
		"one a line":      {"{}\n\n{}\n", []int{1, 3}, 0},
		"array":           {"[\n{},\n\n{}\n]", []int{2, 4}, 0},
		"cut-off line":    {"{}\n{\"a\":\n{}", []int{1, 2, 3}, 2},
		"cut-off array":   {"[{},{\"a\":", []int{1, 1}, 2},
		"array not ended": {"[{}", []int{1, 1}, 2},
		"not an object":   {"{}\n[1]\n", []int{1, 2}, 2},
		"over lines":      {"{\n\"a\":1\n}\n\n{\n}{}", []int{1, 5, 6}, 0},
		"side by side":    {"{}{} {}", []int{1, 1, 1}, 0},
		"a mark":          {"\ufeff{}\n{}", []int{1, 2}, 0},
		"behind a stamp":  {"10:02 host {}\n10:03\t{\"a\":{}}\nx{}\n", []int{1, 2, 3}, 3},
	} {
		records := recording.Split([]byte(tt.text))
		require.Len(t, records, len(tt.lines), name)
		for i, r := range records {
			assert.Equal(t, tt.lines[i], r.Line, name)
			assert.Equal(t, i+1 == tt.bad, r.Err != nil, "%s: record %d: %v", name, i, r.Err)
		}
	}
}

func TestErrorsDoNotRepeatTheText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{}\npassword=hunter2", "{}\nhunter2 {}{", "{}\n\"hunter2\"", "[{}, hunter2"} {
		r := recording.Split([]byte(text))
		err := r[len(r)-1].Err
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}
