package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/bellbuoy/bellbuoy/schemas/event"
)

// message is what somebody was sent about a story.
type message struct {
	at       time.Time
	resolved bool
	same     string // what makes a repetition one: the words without the time
}

// inbox is the endpoint that both post to.
type inbox struct {
	url    string
	server *httptest.Server
	mu     sync.Mutex
	got    map[string]map[string][]message // by program and story
}

func listen() (*inbox, error) {
	in := &inbox{got: map[string]map[string][]message{"bellbuoy": {}, "alertmanager": {}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	in.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: in, ReadHeaderTimeout: time.Minute}}
	in.server.Start()
	in.url = in.server.URL
	return in, nil
}

func (in *inbox) close() { in.server.Close() }

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	program := strings.Trim(r.URL.Path, "/")
	id, m := "", message{at: time.Now()}
	if program == "bellbuoy" {
		id, m = ofBellbuoy(body, m)
	} else {
		id, m = ofAlertmanager(body, m)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.got[program][id] = append(in.got[program][id], m)
}

func ofBellbuoy(body []byte, m message) (string, message) {
	e, err := event.Decode(body)
	if err != nil || e.Data.Incident == nil {
		return "?", m
	}
	m.resolved = e.Type == event.IncidentResolved
	m.same = e.ID
	return storyOf(e.Data.Workload, e.Data.Node), m
}

func ofAlertmanager(body []byte, m message) (string, message) {
	var hook struct {
		Status string
		Alerts []struct {
			Status string
			Labels map[string]string
		}
	}
	if err := json.Unmarshal(body, &hook); err != nil || len(hook.Alerts) == 0 {
		return "?", m
	}
	m.resolved = hook.Status == "resolved"
	m.same = string(body)
	return storyOf(hook.Alerts[0].Labels["workload"], hook.Alerts[0].Labels["node"]), m
}

func storyOf(workload, node string) string {
	id := workload
	if id == "" {
		id = strings.TrimPrefix(node, "host-")
	}
	id, _, _ = strings.Cut(id, "-")
	return id
}

// figures are what a program did about a story.
type figures struct {
	messages, repeats int
	recovery          time.Duration // from the end of the problem to the message of it; negative: none came
	early             int           // ends that were told before the last problem
}

func (in *inbox) of(program string, s *story, begin time.Time) figures {
	in.mu.Lock()
	defer in.mu.Unlock()
	f := figures{recovery: -1}
	back := begin.Add(fast(s.back))
	around := begin.Add(fast(killed))
	for n, m := range in.got[program][s.id] {
		f.messages++
		if m.resolved && s.back > 0 && !m.at.Before(back) && f.recovery < 0 {
			f.recovery = slow(m.at.Sub(back))
		}
		if m.resolved && (s.back == 0 || m.at.Before(back)) {
			f.early++
		}
		quiet := true
		for i := range s.steps {
			at := begin.Add(fast(s.steps[i].at))
			quiet = quiet && (at.Before(around.Add(-fast(4*time.Minute))) || at.After(m.at))
		}
		if n > 0 && quiet && m.at.After(around) && m.at.Before(around.Add(fast(8*time.Minute))) && !m.resolved {
			f.repeats++
		}
	}
	return f
}

func report(out io.Writer, stories []story, in *inbox, begin time.Time) error {
	fmt.Fprintln(out, "| story | Bellbuoy: messages | end told after | Alertmanager: messages | end told after | ends told too early | repeats after the kill |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|")
	var total [2]figures
	late := [2]int{}
	for i := range stories {
		s := &stories[i]
		ours, theirs := in.of("bellbuoy", s, begin), in.of("alertmanager", s, begin)
		for n, f := range []figures{ours, theirs} {
			total[n].messages += f.messages
			total[n].repeats += f.repeats
			total[n].early += f.early
			if f.recovery > 4*time.Minute || s.back > 0 && f.messages > 0 && f.recovery < 0 {
				late[n]++
			}
		}
		if _, err := fmt.Fprintf(out, "| %s | %d | %s | %d | %s | %d / %d | %d / %d |\n", s.name, ours.messages, told(s, ours), theirs.messages, told(s, theirs),
			ours.early, theirs.early, ours.repeats, theirs.repeats); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "| **all** | **%d** | %d later than 4 min or never | **%d** | %d later than 4 min or never | %d / %d | %d / %d |\n",
		total[0].messages, late[0], total[1].messages, late[1], total[0].early, total[1].early, total[0].repeats, total[1].repeats)
	return err
}

func told(s *story, f figures) string {
	switch {
	case s.back == 0 || f.messages == 0:
		return "-"
	case f.recovery < 0:
		return "never"
	}
	return f.recovery.Round(time.Second).String()
}
