package sns

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	awssns "github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bellbuoy/bellbuoy/internal/awsclient"
	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// Deps is what the wiring sets.
type Deps struct {
	// Name is the sink's name in the config, such as pager.
	Name string
	// AWS is shared by all that talk to AWS; nil makes one of its own.
	AWS *awsclient.Loader
	// Marks remembers what was sent; nil remembers nothing, and a redelivery alerts again.
	Marks Marks
	// Logger tells of marks that can't be read or written; nil discards.
	Logger *slog.Logger
	// Registerer takes the metrics; nil is none.
	Registerer prometheus.Registerer
}

// Sink publishes alerts to one topic. It is safe for concurrent use.
type Sink struct {
	cfg     Config
	name    string
	client  *awssns.Client
	marks   Marks
	logger  *slog.Logger
	metrics *metrics
	// limit is the topic's own size limit in bytes, once it is known: 0 before, -1 if it may not be asked for.
	limit atomic.Int64

	template, subject *notice.Template
}

var _ sinks.Sink = (*Sink)(nil)

// New returns a sink of the topic. It starts nothing and dials nothing: credentials are found at the
// first Send. Errors are faults of cfg or of the AWS environment.
func New(cfg Config, deps Deps) (*Sink, error) {
	cfg = cfg.WithAWS(awsclient.Config{})
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	loader := deps.AWS
	if loader == nil {
		loader = &awsclient.Loader{}
	}
	aws, err := loader.Load(cfg.aws())
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(deps.Name, deps.Registerer)
	if err != nil {
		return nil, err
	}
	body, err := notice.ParseTemplate("template", cfg.Template)
	if err != nil {
		return nil, err // checked above
	}
	subject, err := notice.ParseTemplate("subject", cfg.Subject)
	if err != nil {
		return nil, err
	}
	logger := deps.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Sink{
		cfg: cfg, name: deps.Name, client: awssns.NewFromConfig(aws),
		marks: deps.Marks, logger: logger.With("sink", deps.Name), metrics: m, template: body, subject: subject,
	}, nil
}

// Send publishes what of the batch is an alert and was not sent before. A Throttled or other error for
// the whole batch means that nothing of it was sent; otherwise the verdicts are in a *sinks.Partial.
func (s *Sink) Send(ctx context.Context, batch []event.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	errs := make([]error, len(batch))
	plan := s.plan(ctx, batch, errs)
	s.publish(ctx, batch, plan.send, errs)
	for i, leader := range plan.follow {
		errs[i] = errs[leader]
	}
	return sinks.Verdict(errs)
}

// plan is what to do with a batch.
type plan struct {
	send   []outgoing
	follow map[int]int // an event that a later one of the batch repeats or amends shares its verdict
}

// outgoing is an event of the batch that is to be sent.
type outgoing struct {
	index int
	message
}

// plan decides from the batch's end, so that of an event and its amendment within one batch only the
// amendment counts: it knows more, and perhaps that the stop was expected.
func (s *Sink) plan(ctx context.Context, batch []event.Event, errs []error) plan {
	p := plan{follow: map[int]int{}}
	owner := map[string]int{}
	for i := range slices.Backward(batch) {
		e := &batch[i]
		leader, claimed := owner[e.ID]
		if !claimed {
			leader = i
		}
		for _, id := range []string{e.ID, e.Data.Supersedes} {
			if id != "" {
				owner[id] = leader
			}
		}
		if claimed {
			p.follow[i] = leader
			s.skipped(skipAmended)
			continue
		}
		if m, ok := s.prepare(ctx, e, &errs[i]); ok {
			p.send = append(p.send, outgoing{i, m})
		}
	}
	slices.Reverse(p.send)
	return p
}

// prepare returns the message of an event that is to be sent. err is the verdict on one that can't be.
func (s *Sink) prepare(ctx context.Context, e *event.Event, err *error) (m message, ok bool) {
	reason := skip(e)
	if reason == "" && s.sent(ctx, e) {
		reason = skipSent
	}
	if reason != "" {
		s.skipped(reason)
		return message{}, false
	}
	m, *err = s.render(e)
	if *err == nil && m.size() > minMessageBytes && s.limit.Load() == 0 {
		s.learn(ctx)
		m, *err = s.render(e)
	}
	if m.truncated {
		s.metrics.truncated.Inc()
	}
	return m, *err == nil
}

// render makes the message, in the user's own words if there are any. Where those fail the built-in ones are sent, and
// say so.
func (s *Sink) render(e *event.Event) (message, error) {
	m, err := render(s.effective(), e)
	if err != nil || s.cfg.Format != People {
		return m, err
	}
	if s.cfg.Template != "" {
		budget := s.effective().MaxMessageBytes - attributesSize(m.attributes)
		if text, err := s.template.Text(e); err == nil && strings.TrimSpace(text) != "" {
			m.body, m.truncated = fit(text, budget, e.ID)
		} else {
			s.failed(e, "template", err)
			m.body, m.truncated = fit(m.body+"\n[the template of this sink failed, so this is the built-in text]\n", budget, e.ID)
		}
	}
	if s.cfg.Subject != "" {
		if text, err := s.subject.Text(e); err == nil && ascii(text, maxSubject) != "" {
			m.subject = ascii(text, maxSubject)
		} else {
			s.failed(e, "subject", err)
		}
	}
	return m, nil
}

func (s *Sink) failed(e *event.Event, which string, err error) {
	s.logger.Warn("a template failed, the built-in text is sent", "template", which, "event_id", e.ID, "err", err)
}

// Preview returns what would be sent of an event.
func (s *Sink) Preview(_ context.Context, e *event.Event) (string, error) {
	m, err := s.render(e)
	if err != nil {
		return "", err
	}
	return "Subject: " + m.subject + "\n\n" + m.body, nil
}

// skip says why an event is never sent, or "".
func skip(e *event.Event) string {
	switch {
	case e.Data.Cause != nil && e.Data.Cause.Expected && e.Type.Kind() == "task":
		return skipExpected
	case strings.EqualFold(strings.TrimSpace(e.Data.Labels["bellbuoy.alert"]), "off"):
		return skipMuted
	}
	return ""
}

func (s *Sink) skipped(reason string) { s.metrics.skipped.WithLabelValues(reason).Inc() }
