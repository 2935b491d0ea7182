package sinktest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// target stands in the place of a sink's HTTP target and does what its script says.
type target struct {
	*httptest.Server

	mu     sync.Mutex
	script http.HandlerFunc
	bodies [][]byte
	seen   chan struct{} // holds one token after each request
}

func newTarget(t *testing.T) *target {
	t.Helper()
	tg := &target{seen: make(chan struct{}, 1)}
	tg.Server = httptest.NewServer(tg)
	t.Cleanup(tg.Close)
	return tg
}

func (tg *target) play(script http.HandlerFunc) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.script, tg.bodies = script, nil
	select {
	case <-tg.seen:
	default:
	}
}

func (tg *target) requests() int {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	return len(tg.bodies)
}

func (tg *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	tg.mu.Lock()
	tg.bodies = append(tg.bodies, body)
	script := tg.script
	tg.mu.Unlock()
	select {
	case tg.seen <- struct{}{}:
	default:
	}
	script(w, r)
}

// hangUp closes the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
