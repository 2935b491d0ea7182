package awsclient

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An answer that begins before the client has looked for the end of its request is read whole.
func TestAnswersThatComeAtOnce(t *testing.T) {
	environment(t)
	text := "<PublishResponse>" + strings.Repeat(" ", 64<<10) + "</PublishResponse>"
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, text)
	})
	cfg, err := (&Loader{}).Load(Config{Region: "eu-west-1", Endpoint: url})
	require.NoError(t, err)
	var failed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 300 {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("Action=Publish"))
				if err != nil {
					failed.Add(1)
					continue
				}
				body := &closable{Reader: strings.NewReader("Action=Publish")}
				req.Body, req.ContentLength = body, 14
				res, err := cfg.HTTPClient.Do(req)
				if err != nil {
					failed.Add(1)
					continue
				}
				_ = body.Close() // as the SDK does
				if _, err := io.Copy(io.Discard, res.Body); err != nil {
					failed.Add(1)
				}
				_ = res.Body.Close()
			}
		})
	}
	wg.Wait()
	assert.Zero(t, failed.Load())
}

// closable is a body that can't be read after it was closed.
type closable struct {
	io.Reader
	closed atomic.Bool
}

func (c *closable) Read(b []byte) (int, error) {
	if c.closed.Load() {
		return 0, io.ErrClosedPipe
	}
	return c.Reader.Read(b)
}

func (c *closable) Close() error {
	c.closed.Store(true)
	return nil
}
