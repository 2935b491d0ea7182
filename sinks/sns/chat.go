package sns

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// chat is a custom notification of Amazon Q Developer in chat applications, for Slack and Microsoft Teams. What does
// not follow its schema is dropped there without a word, see
// https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html.
type chat struct {
	Version  string       `json:"version"`
	Source   string       `json:"source"`
	ID       string       `json:"id"`
	Content  chatContent  `json:"content"`
	Metadata chatMetadata `json:"metadata"`
}

type chatContent struct {
	TextType    string   `json:"textType"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	NextSteps   []string `json:"nextSteps,omitempty"`
	Keywords    []string `json:"keywords,omitempty"`
}

type chatMetadata struct {
	// ThreadID keeps all that is told of an incident in one thread.
	ThreadID  string            `json:"threadId"`
	Summary   string            `json:"summary"`
	EventType string            `json:"eventType"`
	Related   []string          `json:"relatedResources,omitempty"`
	Context   map[string]string `json:"additionalContext,omitempty"`
}

const (
	maxChatTitle = 250 // characters, of Q's schema
	maxChatText  = 6000
)

// chatOf makes the body, of at most budget bytes.
func chatOf(e *event.Event, n notice.Notice, budget int) (body string, cut bool, err error) {
	title := n.Headline
	if n.Mark != "" {
		title = n.Mark + ": " + title
	}
	c := chat{
		Version: "1.0", Source: "custom", ID: e.ID,
		Content: chatContent{
			TextType: "client-markdown", Title: harmless(runes(icon(e)+title, maxChatTitle)), Keywords: keywords(e), NextSteps: steps(n),
		},
		Metadata: chatMetadata{
			ThreadID: fifoID(group(e)), Summary: harmless(runes(title, maxChatTitle)), EventType: e.Type.Kind() + "." + e.Type.Event(),
			Related: related(e), Context: contextOf(e),
		},
	}
	return squeeze(e, markdown(n), min(maxChatText, budget), budget, func(text string, step int) any {
		c.Content.Description = text
		switch step {
		case 1:
			c.Metadata.Context, c.Metadata.Related, c.Content.Keywords = nil, nil, nil
		case 2:
			c.Content.NextSteps = nil
		case 3:
			c.Content.Title, c.Metadata.Summary = runes(c.Content.Title, 40), runes(c.Metadata.Summary, 40)
		}
		return c
	})
}

// enough is how many bytes of text are worth leaving out the rest for.
const enough = 600

// squeeze encodes a body of at most budget bytes, with as much of its text as fits. Where little of that would be left,
// the body is asked to do without more and more of the rest: the steps 1 to 3.
func squeeze(e *event.Event, whole string, limit, budget int, body func(text string, step int) any) (encoded string, cut bool, err error) {
	for step := range 4 {
		for room := limit; room > 0; { // an escape takes more bytes than its character
			text, cut := fit(whole, room, e.ID)
			b, err := marshal(body(text, step))
			if err != nil {
				return "", false, &sinks.Permanent{Reason: "encode", Err: err}
			}
			over := len(b) - budget
			if over <= 0 && (len(text) >= min(enough, len(whole)) || step == 3) {
				return string(b), cut || step > 0, nil
			}
			if over <= 0 {
				break
			}
			room = min(room, len(text)) - over
		}
	}
	return "", false, &sinks.Permanent{Reason: "too_large", Err: fmt.Errorf("event %s has more than %d bytes even without its text", notice.Clean(e.ID), budget)}
}

// marshal encodes without the escapes that only a browser needs.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// icon shows how bad it is at a glance.
func icon(e *event.Event) string {
	switch {
	case e.Data.Incident != nil && e.Data.Incident.State == "resolved":
		return "✅ "
	case severity(e) >= event.Error:
		return "🔴 "
	case severity(e) >= event.Warn:
		return "🟠 "
	}
	return ""
}

func severity(e *event.Event) event.Severity { return cmp.Or(e.Severity, event.SeverityOf(e)) }

// markdown lays a notice out for a chat. The log is a block of code.
func markdown(n notice.Notice) string {
	var b strings.Builder
	b.WriteString(harmless(n.Opening) + "\n")
	for _, part := range n.Parts {
		switch part.Label {
		case "Next", "Silence", "Show": // they are the next steps
		case "Log":
			b.WriteString("*Log*\n```\n" + strings.ReplaceAll(strings.Join(part.Lines, "\n"), "```", "'''") + "\n```\n")
		default:
			b.WriteString("*" + part.Label + "* " + harmless(strings.Join(part.Lines, "; ")) + "\n")
		}
	}
	return b.String()
}

// steps are what to do next; a command is code.
func steps(n notice.Notice) []string {
	var out []string
	for _, part := range n.Parts {
		if part.Label == "Next" || part.Label == "Silence" || part.Label == "Show" {
			for _, line := range part.Lines {
				out = append(out, harmless(line))
			}
		}
	}
	return out
}

// harmless keeps what others named from being a mention, a link or a format: in Slack <!here> wakes a channel.
func harmless(s string) string {
	return strings.NewReplacer("<", "‹", ">", "›", "`", "'", "*", "∗", "~", "∼").Replace(s)
}

func keywords(e *event.Event) []string {
	var out []string
	for _, word := range []string{e.Data.Site, e.Data.Workload, e.Data.Owner} {
		if word = notice.Cut(notice.Clean(word), 100); word != "" {
			out = append(out, harmless(word))
		}
	}
	return out
}

func related(e *event.Event) []string {
	var out []string
	if t := e.Data.Task; t != nil && t.ID != "" {
		out = append(out, harmless(notice.Clean(t.ID)))
	}
	return out
}

func contextOf(e *event.Event) map[string]string {
	out := map[string]string{}
	for name, value := range map[string]string{
		"site": e.Data.Site, "scope": e.Data.Scope, "workload": e.Data.Workload, "node": e.Data.Node, "runtime": string(e.Data.Runtime),
		"severity": severity(e).String(),
	} {
		if value = notice.Cut(notice.Clean(value), maxAttribute); value != "" {
			out[name] = harmless(value)
		}
	}
	return out
}

// runes keeps the first n characters.
func runes(s string, n int) string {
	all := []rune(s)
	if len(all) <= n {
		return s
	}
	return string(all[:n-1]) + "…"
}
