package churn

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Breaker stands between a client and the socket of a daemon and can cut them apart. Its methods may be
// called from any goroutine.
type Breaker struct {
	Host string // what the client is given: unix:///…

	to       string
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex // guards what follows
	down  bool
	conns map[net.Conn]bool
}

// NewBreaker puts a breaker in front of host, unix:///… or a path; it ends with the test.
func NewBreaker(t testing.TB, host string) *Breaker {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatalf("listen in front of %s: %v", host, err)
	}
	b := &Breaker{Host: "unix://" + path, to: strings.TrimPrefix(host, "unix://"), listener: l, conns: map[net.Conn]bool{}}
	b.wg.Go(b.serve)
	t.Cleanup(func() {
		l.Close()
		b.Cut()
		b.wg.Wait()
	})
	return b
}

// Cut ends all connections and refuses new ones.
func (b *Breaker) Cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = true
	for c := range b.conns {
		c.Close()
	}
	clear(b.conns)
}

// Mend lets connections through again.
func (b *Breaker) Mend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = false
}

func (b *Breaker) serve() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		server, ok := b.join(client)
		if !ok {
			client.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
			b.wg.Go(func() {
				_, _ = io.Copy(way[0], way[1]) // the end of either way is the end of both
				b.part(client, server)
			})
		}
	}
}

// join connects a client unless it is cut off.
func (b *Breaker) join(client net.Conn) (server net.Conn, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, false
	}
	server, err := net.Dial("unix", b.to)
	if err != nil {
		return nil, false
	}
	b.conns[client], b.conns[server] = true, true
	return server, true
}

func (b *Breaker) part(conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(b.conns, c)
	}
}
