package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/e2e/harness"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/webhook"
)

// TestWebhookFoldsAnOutage: an endpoint that is away for longer than an incident lasts gets one signed event that
// says so, and one that is there gets both.
func TestWebhookFoldsAnOutage(t *testing.T) {
	const key = "0123456789abcdef0123"
	var mu sync.Mutex
	var got []event.Event
	away := true
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil, away:
			w.WriteHeader(http.StatusBadGateway)
		case r.Header.Get(webhook.HeaderSignature) != webhook.Sign(key, r.Header.Get(webhook.HeaderTime), body), r.Header.Get("Authorization") != "Bearer s3cr3t":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			e, err := event.Decode(body)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			got = append(got, e)
		}
	}))
	t.Cleanup(hook.Close)
	d := stand.Docker(t)
	p := newProgram(t, quiet+"collectors: [{docker: {host: \""+d.Host+"\"}}]\nincidents: {stable: 2s}\n"+
		"sinks:\n  hub: {webhook: {url: \"${env:HOOK}/T0KEN\", secret: \""+key+"\", headers: {Authorization: \"${env:HOOK_AUTH}\"}}}\n",
		"HOOK="+hook.URL, "HOOK_AUTH=Bearer s3cr3t")
	p.up(t)
	name := uniqueName("hooked")
	id := d.Run(t, harness.RunSpec{Name: name, Cmd: sh(`[ -e /again ] && exec sleep 1000; touch /again; exit 3`)})
	eventually(t, within, "it is refused", func() bool { return strings.Contains(p.err.String(), "target refuses") })
	d.Start(t, id)
	eventually(t, within, "it is over", func() bool {
		return strings.Contains(p.command(t, "incident", "list", "--all"), "resolved")
	})
	begun := time.Now()
	eventually(t, 2*time.Minute, "it is late", func() bool { return time.Since(begun) > 61*time.Second }) // a transition is late after a minute
	mu.Lock()
	away = false
	mu.Unlock()
	told := func() []event.Event {
		mu.Lock()
		defer mu.Unlock()
		return append([]event.Event(nil), got...)
	}
	eventually(t, 2*time.Minute, "one message", func() bool { return len(told()) > 0 })
	first := told()
	require.Len(t, first, 1)
	assert.Equal(t, event.IncidentResolved, first[0].Type)
	assert.Contains(t, first[0].Data.Incident.Recovery, "no notice could be sent while it lasted")

	other := uniqueName("heard")
	again := d.Run(t, harness.RunSpec{Name: other, Cmd: sh(`[ -e /again ] && exec sleep 1000; touch /again; exit 3`)})
	eventually(t, time.Minute, "the next is told", func() bool { return len(told()) == 2 })
	d.Start(t, again)
	eventually(t, time.Minute, "and its end", func() bool { return len(told()) == 3 })
	for _, secret := range []string{"T0KEN", "s3cr3t", key} {
		assert.NotContains(t, p.err.String(), secret)
		assert.NotContains(t, p.command(t, "config", "print"), secret)
	}
	assert.Contains(t, p.deadLetters(t), "no dead letters")
	assert.Zero(t, p.stop(t, syscall.SIGTERM))
}
