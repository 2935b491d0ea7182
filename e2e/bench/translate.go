package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"github.com/moby/moby/client"

	"github.com/bellbuoy/bellbuoy/collectors/docker"
	"github.com/bellbuoy/bellbuoy/e2e/servers"
)

// recordings are streams of real daemons, which the collector's own tests read, too.
const recordings = "collectors/docker/testdata/*.jsonl"

var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// stream is a Docker daemon's event stream of about n events: the recordings again and again, each time with
// containers of their own.
func stream(n int) (body []byte, events int, err error) {
	kit, err := servers.Open()
	if err != nil {
		return nil, 0, err
	}
	files, err := filepath.Glob(filepath.Join(kit.Root(), filepath.FromSlash(recordings)))
	if err != nil || len(files) == 0 {
		return nil, 0, fmt.Errorf("find the recordings %s: %w", recordings, cmp.Or(err, fs.ErrNotExist))
	}
	var pages [][]byte
	for _, file := range files {
		page, err := os.ReadFile(file)
		if err != nil {
			return nil, 0, fmt.Errorf("read the recordings: %w", err)
		}
		pages = append(pages, page)
	}
	for turn := 0; events < n; turn++ {
		stamp := []byte(fmt.Sprintf("%016x", turn))
		for _, page := range pages {
			page = containerID.ReplaceAllFunc(page, func(id []byte) []byte { return append(bytes.Clone(id[:48]), stamp...) })
			body = append(body, page...)
			events += bytes.Count(page, []byte("\n"))
		}
	}
	return body, events, nil
}

// recorded is an HTTP transport whose answer to every question is the recorded stream, so that neither side
// pays for a socket.
type recorded []byte

func (r recorded) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}, "Api-Version": {"1.47"}},
		Body:   io.NopCloser(bytes.NewReader(r)), ContentLength: -1,
	}, nil
}

// translation is the contest of reading a daemon's stream: its own client decodes it; ours decodes it, keeps
// the state of every container, finds the cause of every end and makes events of it.
func (b *bench) translation() (contest, error) {
	body, n, err := stream(b.events)
	if err != nil {
		return contest{}, err
	}
	bare := func(ctx context.Context, _ int) (sample, error) {
		c, err := client.New(client.WithHost("http://recorded"), client.WithHTTPClient(&http.Client{Transport: recorded(body)}))
		if err != nil {
			return sample{}, fmt.Errorf("make Docker client: %w", err)
		}
		defer c.Close()
		w, seen := startWatch(), 0
		for events := c.Events(ctx, client.EventsListOptions{}); ; {
			select {
			case <-events.Messages:
				seen++
				continue
			case err = <-events.Err:
			}
			break
		}
		if !errors.Is(err, io.EOF) || seen != n {
			return sample{}, fmt.Errorf("the client saw %d of %d events: %w", seen, n, err)
		}
		return w.stop(n), nil
	}
	ours := func(_ context.Context, _ int) (sample, error) {
		w, seen, made := startWatch(), 0, 0
		err := docker.Play(bytes.NewReader(body), docker.ReplayOptions{Site: "bench", Node: "bench"}, func(r docker.Result) error {
			if r.Err != nil {
				return r.Err
			}
			seen++
			if r.Event != nil {
				made++
			}
			return nil
		})
		switch {
		case err != nil:
			return sample{}, err
		case seen < n || made == 0:
			return sample{}, fmt.Errorf("%d of %d events were read, %d made", seen, n, made)
		}
		return w.stop(n), nil
	}
	return contest{
		racer{"moby client's Events", n, bare},
		racer{"decode and translate", n, ours},
		func(_, cpu float64) { b.figures.set("translate_ratio", cpu) },
	}, nil
}
