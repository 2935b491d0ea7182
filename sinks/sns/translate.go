package sns

import (
	"cmp"
	"encoding/base32"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/bellbuoy/bellbuoy/schemas/event"
	"github.com/bellbuoy/bellbuoy/sinks"
	"github.com/bellbuoy/bellbuoy/sinks/notice"
)

// SNS's own limits.
const (
	maxSubject    = 99 // fewer than 100 characters
	maxAttributes = 10 // raw delivery to SQS drops a message that has more
	maxAttribute  = 256
	maxFIFOID     = 128
)

// message is one event as SNS gets it.
type message struct {
	subject, body string
	attributes    map[string]types.MessageAttributeValue
	group, dedup  string // FIFO topics only
	truncated     bool
}

// size is what SNS counts: the body and the name, type and value of each attribute, in bytes.
func (m *message) size() int { return len(m.body) + attributesSize(m.attributes) }

func attributesSize(attributes map[string]types.MessageAttributeValue) int {
	n := 0
	for name, a := range attributes {
		n += len(name) + len(aws.ToString(a.DataType)) + len(aws.ToString(a.StringValue))
	}
	return n
}

// render makes the message of an event. Its error is a *sinks.Permanent.
func render(cfg Config, e *event.Event) (message, error) {
	n := notice.Of(e)
	m := message{subject: subject(e, n), attributes: attributes(e)}
	budget := cfg.MaxMessageBytes - attributesSize(m.attributes)
	var err error
	switch cfg.Format {
	case JSON:
		m.body, m.truncated, err = encode(e, budget)
	case Chat:
		m.body, m.truncated, err = chatOf(e, n, budget)
	case PagerDuty:
		m.subject, m.body, m.truncated, err = pagerduty(cfg, e, n, budget)
	default:
		m.body, m.truncated = fit(n.Plain(), budget, e.ID)
	}
	if cfg.fifo() {
		m.group, m.dedup = fifoID(group(e)), fifoID(dedup(e))
	}
	return m, err
}

// subject is such as "[prod-eu] pay stopped: exit code 3 (ran 4s)", in printable ASCII, which every
// protocol behind a topic can show.
func subject(e *event.Event, n notice.Notice) string {
	s := n.Headline
	if n.Mark != "" {
		s = n.Mark + ": " + s
	}
	return ascii("["+cmp.Or(notice.Clean(e.Data.Site), "local")+"] "+s, maxSubject)
}

// ascii replaces what is not printable ASCII and cuts at limit.
func ascii(s string, limit int) string {
	s = strings.NewReplacer("–", "-", "—", "-", "…", "...", "‘", "'", "’", "'", "“", `"`, "”", `"`).Replace(s)
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > limit {
		s = strings.TrimRight(s[:limit-len("...")], " ") + "..."
	}
	return s
}

// fit cuts text to budget bytes, between characters, and says so.
func fit(text string, budget int, id string) (string, bool) {
	if len(text) <= budget {
		return text, false
	}
	mark := fmt.Sprintf("\n[cut to the topic's size limit; event %s has the rest]\n", notice.Cut(notice.Clean(id), 64))
	return notice.Prefix(text, max(budget-len(mark), 0)) + mark, true
}

// encode writes the event as it is on the stream. What does not fit is cut in the event itself, bulkiest
// and least needed first, and named in its data.truncated.
func encode(e *event.Event, budget int) (string, bool, error) {
	cuts := []struct {
		name string
		cut  func(*event.Data)
	}{
		{"", func(*event.Data) {}},
		{"native", func(d *event.Data) { d.Native = nil }},
		{"labels", func(d *event.Data) { d.Labels = nil }},
		{"task.log", func(d *event.Data) { withTask(d, func(t *event.Task) { t.Log = nil }) }},
		{"task.containers", func(d *event.Data) { withTask(d, func(t *event.Task) { t.Containers = nil }) }},
		{"cause.evidence", func(d *event.Data) {
			if d.Cause != nil {
				c := *d.Cause
				c.Evidence, d.Cause = nil, &c
			}
		}},
	}
	cut := *e
	for _, step := range cuts {
		step.cut(&cut.Data)
		if step.name != "" {
			cut.Data.Truncated = append(slices.Clone(cut.Data.Truncated), step.name)
		}
		b, err := event.Append(nil, &cut)
		if err != nil {
			return "", false, &sinks.Permanent{Reason: "encode", Err: err}
		}
		if len(b) <= budget {
			// XML, which SNS and SQS speak, has no such characters.
			return strings.NewReplacer("\uFFFE", "\uFFFD", "\uFFFF", "\uFFFD").Replace(string(b)), step.name != "", nil
		}
	}
	return "", false, &sinks.Permanent{Reason: "too_large", Err: fmt.Errorf("event %s has more than %d bytes even without log, labels and containers", notice.Clean(e.ID), budget)}
}

func withTask(d *event.Data, edit func(*event.Task)) {
	if d.Task != nil {
		t := *d.Task
		edit(&t)
		d.Task = &t
	}
}

// attributes are for filter policies: at most ten, typed, never empty.
func attributes(e *event.Event) map[string]types.MessageAttributeValue {
	d := &e.Data
	attributes := make(map[string]types.MessageAttributeValue, maxAttributes)
	set := func(name, kind, value string) {
		if value = notice.Cut(notice.Clean(value), maxAttribute); value != "" {
			attributes[name] = types.MessageAttributeValue{DataType: aws.String(kind), StringValue: aws.String(value)}
		}
	}
	set("severity", "Number", strconv.Itoa(int(cmp.Or(e.Severity, event.SeverityOf(e)))))
	set("state", "String", state(e))
	set("site", "String", d.Site)
	set("runtime", "String", string(d.Runtime))
	set("scope", "String", d.Scope)
	set("workload", "String", d.Workload)
	set("node", "String", d.Node)
	set("owner", "String", d.Owner)
	if d.Cause != nil {
		set("class", "String", d.Cause.Class)
		set("expected", "String", strconv.FormatBool(d.Cause.Expected))
	}
	return attributes
}

// state is that of the incident or the task, else what happened, such as gap.
func state(e *event.Event) string {
	switch {
	case e.Data.Incident != nil:
		return e.Data.Incident.State
	case e.Data.Task != nil:
		return string(e.Data.Task.State)
	}
	return e.Type.Event()
}

// group keeps the alerts of one incident, or of one workload, in order.
func group(e *event.Event) string {
	if i := e.Data.Incident; i != nil && i.ID != "" {
		return i.ID
	}
	return cmp.Or(e.Data.Site, "local") + "/" + e.Data.Scope + "/" + e.Data.Workload
}

// dedup is the identity of the notification: the event, or the transition of the incident, so that a
// recovery soon after the alert is not taken for its repetition.
func dedup(e *event.Event) string {
	if i := e.Data.Incident; i != nil && i.ID != "" {
		return i.ID + "." + strconv.FormatInt(i.Transition, 10)
	}
	return e.ID
}

// fifoID makes an id of printable ASCII of at most 128 characters. What had to be changed ends in a hash
// of the original, so that different names stay different.
func fifoID(s string) string {
	plain := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	if plain == s && s != "" && len(s) <= maxFIFOID {
		return s
	}
	h := fnv.New64a()
	h.Write([]byte(s))
	sum := "-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)))
	return plain[:min(len(plain), maxFIFOID-len(sum))] + sum
}
