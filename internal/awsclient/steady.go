package awsclient

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// steady hands each request on with a body that is nobody else's. The SDK closes the body as soon as an answer
// begins. If that comes within microseconds, as from a server on the same host, the client is still looking for the
// end of the body: it takes that for a failure and breaks off the answer, whose messages SQS then hides for as long
// as a poller that died would.
type steady struct{ client aws.HTTPClient }

// Do sends a request.
func (s *steady) Do(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return s.client.Do(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read the request's body: %w", err)
	}
	own := r.WithContext(r.Context())
	own.Body = io.NopCloser(bytes.NewReader(body))
	own.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return s.client.Do(own)
}
