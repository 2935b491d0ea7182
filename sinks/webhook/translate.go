package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// body is an event in the sink's format, and its media type.
func (s *Sink) body(ctx context.Context, e *event.Event) (body []byte, kind string, err error) {
	if s.cfg.Format == Slack {
		return s.chat(e)
	}
	return structured(ctx, e)
}

// structured is the HTTP binding of CloudEvents, structured mode, as their SDK writes it.
func structured(ctx context.Context, e *event.Event) (body []byte, kind string, err error) {
	ce, err := event.ToSDK(*e)
	if err != nil {
		return nil, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://structured", nil)
	if err != nil {
		return nil, "", fmt.Errorf("make a request: %w", err)
	}
	if err := cehttp.WriteRequest(binding.WithForceStructured(ctx), binding.ToMessage(&ce), req); err != nil {
		return nil, "", fmt.Errorf("write the event: %w", err)
	}
	body, err = io.ReadAll(req.Body)
	return body, req.Header.Get("Content-Type"), err
}

// chat is an event for people, in the user's own words if there are any. Where those fail the built-in ones are sent,
// and say so.
func (s *Sink) chat(e *event.Event) (body []byte, kind string, err error) {
	if s.cfg.Template == "" {
		return slack(e)
	}
	text, err := s.words.Text(e)
	if err != nil || strings.TrimSpace(text) == "" {
		s.logger.Warn("a template failed, the built-in text is sent", "event_id", e.ID, "err", err)
		return slack(e)
	}
	body, err = json.Marshal(map[string]string{"text": text})
	return body, "application/json", err
}

// maxSlack is how long a message may be; Slack cuts what exceeds 40,000 characters, and people read less.
const maxSlack = 3500

// slack is an event in words, for people in a chat.
func slack(e *event.Event) (body []byte, kind string, err error) {
	n := notice.Of(e)
	var b strings.Builder
	b.WriteString("*" + escape(n.Headline) + "*\n" + escape(n.Opening) + "\n")
	for _, part := range n.Parts {
		switch part.Label {
		case "Log":
			b.WriteString("*Log*\n```\n" + escape(strings.ReplaceAll(strings.Join(part.Lines, "\n"), "```", "'''")) + "\n```\n")
		case "Next", "Show", "Silence":
			b.WriteString("*" + part.Label + "*\n")
			for _, line := range part.Lines {
				b.WriteString("`" + escape(strings.ReplaceAll(line, "`", "'")) + "`\n")
			}
		default:
			b.WriteString("*" + part.Label + "* " + escape(strings.Join(part.Lines, "; ")) + "\n")
		}
	}
	text := b.String()
	if len(text) > maxSlack {
		text = notice.Prefix(text, maxSlack)
		if strings.Count(text, "```")%2 == 1 {
			text += "\n```"
		}
		text += "\n_cut; event " + escape(notice.Cut(notice.Clean(e.ID), 64)) + " has the rest_"
	}
	body, err = json.Marshal(map[string]string{"text": text})
	return body, "application/json", err
}

// escape keeps what others named from being a mention or a link: Slack's control characters are these three.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
