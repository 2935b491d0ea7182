package notice_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
	"github.com/bellbuoy/bellbuoy/sinks/sinktest"
)

func TestTemplate(t *testing.T) {
	t.Parallel()
	e := event.Event{
		ID: "e1", Type: event.IncidentOpened, Severity: event.Error, Time: time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC),
		Data: event.Data{Site: "prod", Workload: "pay\x1b[31m", Scope: "a b&c", Labels: map[string]string{"team": "x"}, Incident: &event.Incident{ID: "i1", State: "open", Title: "pay stopped", Stops: 2}},
	}
	for text, want := range map[string]string{
		"{{.Severity | lower}} {{.Title}} x{{.Stops}}":                      "error pay stopped x2",
		"{{.Workload}} {{.Scope | query}} {{.Scope | path}}":                "pay a+b%26c a%20b&c",
		"{{.Labels.team}}{{.Labels.other}}{{.Owner | or_else `nobody`}}":    "xnobody",
		`{{.Time | date "15:04 MST" "Europe/Berlin"}}`:                      "03:30 CEST",
		"{{range .Log}}{{.}}{{else}}no log{{end}} {{.Downtime | duration}}": "no log 0ms",
		`{{join "," .Nodes}}{{if eq .State "open"}}!{{end}}`:                "!",
	} {
		made, err := notice.ParseTemplate("t", text)
		require.NoError(t, err, text)
		got, err := made.Text(&e)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for text, want := range map[string]string{
		"{{.Wrkload}}": "can't evaluate field Wrkload", "{{nonsense}}": `function "nonsense" not defined`, "{{if}}": "missing value",
		"{{range $i := .Parts}}{{.}}{{end": "unclosed action", `{{.Time | date "15:04" "Mars/Phobos"}}`: "Mars/Phobos",
		"{{range 100000}}0123456789{{end}}": "longer than 64 KiB",
	} {
		_, err := notice.ParseTemplate("t", text)
		require.ErrorContains(t, err, want, text)
	}
}

// TestTemplateOfEveryEvent: what the built-in words can say of an event a template can say, too.
func TestTemplateOfEveryEvent(t *testing.T) {
	t.Parallel()
	made, err := notice.ParseTemplate("t", "{{.Text}}{{.Headline}}{{.Class}}{{range .Evidence}}{{.}}{{end}}{{.Image}}{{.Title}}{{join ` ` .Causes}}")
	require.NoError(t, err)
	for _, e := range sinktest.Events() {
		text, err := made.Text(&e)
		require.NoError(t, err)
		assert.NotEmpty(t, text)
	}
	text, err := made.Text(&event.Event{ID: "bare"})
	require.NoError(t, err)
	assert.NotEmpty(t, text)
}

func FuzzTemplate(f *testing.F) {
	f.Add("{{.Workload}} {{range .Log}}{{.}}{{end}}")
	f.Add("{{with .Labels}}{{index . \"a\"}}{{end}}{{template \"x\"}}")
	e := sinktest.Alerts()[0]
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 200 {
			return
		}
		if made, err := notice.ParseTemplate("t", text); err == nil {
			if got, err := made.Text(&e); err == nil && len(got) > notice.MaxTemplate {
				t.Fatal("longer than it may be")
			}
		}
	})
}

// TestDigest: a message about many incidents names them, and not itself as one.
func TestDigest(t *testing.T) {
	t.Parallel()
	text := notice.Of(&event.Event{
		ID: "d1", Type: event.IncidentOpened, Severity: event.Fatal, Time: time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC),
		Data: event.Data{Site: "prod", Incident: &event.Incident{
			ID: "x", Family: "digest", State: "open", Transition: 1, Title: "120 notices held back since 01:29 UTC, 118 incidents open",
			Done: []string{"i1 pay stopped: exit code 3 shop/web-7", "and 117 more: bellbuoy incident list"}, Causes: []string{"shop (100)", "batch (18)"},
		}},
	}).Plain()
	assert.Equal(t, `120 notices held back since 01:29 UTC, 118 incidents open at 2026-03-29 01:30:00 UTC.
Open:
  i1 pay stopped: exit code 3 shop/web-7
  and 117 more: bellbuoy incident list
Most in: shop (100), batch (18)
Site: prod
Show: bellbuoy incident list
Event: d1
`, text)
}
