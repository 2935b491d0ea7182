package docker

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/moby/moby/api/types/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func one(id string) string {
	return `{"Type":"container","Action":"die","Actor":{"ID":"` + id + `","Attributes":{"password":"hunter2"}},"timeNano":1700000000123456789}`
}

// readAll returns the ids of what can be read, "?" for what can't, and how it ends.
func readAll(t *testing.T, r io.Reader) (ids string, end error) {
	t.Helper()
	records := newRecords(io.NopCloser(r))
	defer records.close()
	for {
		var m events.Message
		err := records.next(&m)
		var garbled *garbledError
		switch {
		case err == nil:
			ids += m.Actor.ID
		case errors.As(err, &garbled):
			assert.NotContains(t, err.Error(), "hunter2")
			assert.Contains(t, err.Error(), "a record can't be read: ")
			ids += "?"
		default:
			return ids, err
		}
	}
}

func TestRecordsAreFoundBehindGarbledOnes(t *testing.T) {
	t.Parallel()
	half := one("x")[:70]
	big := strings.Repeat("y", 1<<20)
	for name, tt := range map[string]struct {
		text, ids string
		end       error
	}{
		"well formed":           {one("a") + "\n" + one("b") + "\n", "ab", io.EOF},
		"nothing":               {"", "", io.EOF},
		"keep-alive lines":      {"\n\r\n" + one("a") + "\r\n\n", "a", io.EOF},
		"merged":                {one("a") + one("b") + "\n" + one("c") + "\n", "abc", io.EOF},
		"cut off, next line":    {half + "\n" + one("b") + "\n", "?b", io.EOF},
		"cut off, merged":       {half + one("b") + "\n" + one("c") + "\n", "?bc", io.EOF},
		"cut off twice":         {half + half + one("b") + one("c") + "\n", "?bc", io.EOF},
		"not JSON":              {"<html>502 Bad Gateway</html>\n" + one("a") + "\n", "?a", io.EOF},
		"another kind":          {"[1,2]\n7\n" + one("a") + "\n", "??a", io.EOF},
		"the end is cut off":    {one("a") + "\n" + half, "a", io.ErrUnexpectedEOF},
		"no newline at the end": {one("a") + "\n" + one("b"), "a", io.ErrUnexpectedEOF},
		"record separators":     {"\x1e" + one("a") + "\n\x1e" + one("b") + "\n", "ab", io.EOF},
		"a megabyte":            {one(big) + "\n" + one("a") + "\n", big + "a", io.EOF},
		"too long":              {`{"a":"` + strings.Repeat("z", maxRecord) + "\"}\n" + one("a") + "\n", "?a", io.EOF},
	} {
		ids, end := readAll(t, strings.NewReader(tt.text))
		assert.True(t, tt.ids == ids, "%s: %.100q", name, ids)
		assert.Equal(t, tt.end, end, name)
	}
	ids, end := readAll(t, iotest.OneByteReader(strings.NewReader(half+one("b")+"\n"+one("c")+"\n")))
	assert.Equal(t, "?bc", ids)
	assert.Equal(t, io.EOF, end)
	failed := errors.New("reset")
	ids, end = readAll(t, io.MultiReader(strings.NewReader(one("a")+"\n"), iotest.ErrReader(failed)))
	assert.Equal(t, "a", ids)
	assert.Equal(t, failed, end)
}

// Whatever comes, reading ends, and what is well formed on a line of its own is found.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(one("a") + "\n"))
	f.Add([]byte(one("a")[:50] + `{"` + one("b")))
	f.Add([]byte("{\"\x00\n\n}{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		ids, end := readAll(t, strings.NewReader(string(text)+"\n"+one("last")+"\n"))
		require.Equal(t, io.EOF, end)
		require.True(t, strings.HasSuffix(ids, "last"), "%q", ids)
	})
}
