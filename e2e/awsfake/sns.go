package awsfake

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

func snsOperations() map[string]operation {
	return map[string]operation{
		"sns:CreateTopic": createTopic, "sns:DeleteTopic": deleteTopic, "sns:GetTopicAttributes": topicAttributes,
		"sns:Publish": publish, "sns:PublishBatch": publishBatch,
	}
}

// Topic is a standard topic of SNS that keeps what is published.
type Topic struct {
	ARN string

	mu        sync.Mutex
	published []Published // guarded by mu
}

// Published is one message.
type Published struct {
	Subject, Message string
	Attributes       map[string]string
}

// FIFO topics are not modelled.
var topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

const topicLimit = 256 << 10 // bytes of a message with its attributes, and of a batch

// CreateTopic makes a topic, or returns the one there is.
func (a *AWS) CreateTopic(name string) *Topic {
	arn := "arn:aws:sns:" + a.o.Region + ":" + a.o.Account + ":" + name
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.topics[arn]; !ok {
		a.topics[arn] = &Topic{ARN: arn}
	}
	return a.topics[arn]
}

// Published returns what was published, the oldest first.
func (t *Topic) Published() []Published {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.published)
}

func (a *AWS) topic(arn string) (*Topic, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.topics[arn]
	if !ok {
		return nil, &refusal{status: http.StatusNotFound, code: "NotFound", message: "Topic does not exist"}
	}
	return t, nil
}

func publishedIn(form url.Values, prefix string) Published {
	p := Published{Subject: form.Get(prefix + "Subject"), Message: form.Get(prefix + "Message"), Attributes: map[string]string{}}
	for i := 1; form.Has(fmt.Sprintf("%sMessageAttributes.entry.%d.Name", prefix, i)); i++ {
		entry := fmt.Sprintf("%sMessageAttributes.entry.%d.", prefix, i)
		p.Attributes[form.Get(entry+"Name")] = form.Get(entry + "Value.StringValue")
	}
	return p
}

func (p *Published) size() int {
	n := len(p.Message)
	for name, value := range p.Attributes {
		n += len(name) + len(value)
	}
	return n
}

func (p *Published) check() error {
	broken := func(r rune) bool { return r < ' ' || r == 0x7F }
	switch {
	case p.Message == "" || !utf8.ValidString(p.Message):
		return refuse("InvalidParameter", "Invalid parameter: Message")
	case p.size() > topicLimit:
		return refuse("InvalidParameter", "Invalid parameter: Message too long")
	case utf8.RuneCountInString(p.Subject) >= 100 || strings.ContainsFunc(p.Subject, broken):
		return refuse("InvalidParameter", "Invalid parameter: Subject")
	}
	for name, value := range p.Attributes {
		if value == "" {
			return refuse("ParameterValueInvalid", "The message attribute '%s' must contain non-empty message attribute value.", name)
		}
	}
	return nil
}

func publish(_ context.Context, a *AWS, r request) (answer, error) {
	t, err := a.topic(r.form.Get("TopicArn"))
	if err != nil {
		return answer{}, err
	}
	p := publishedIn(r.form, "")
	if err := p.check(); err != nil {
		return answer{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.published = append(t.published, p)
	return answer{xml: "<MessageId>" + a.uuid() + "</MessageId>"}, nil
}

func publishBatch(_ context.Context, a *AWS, r request) (answer, error) {
	t, err := a.topic(r.form.Get("TopicArn"))
	if err != nil {
		return answer{}, err
	}
	var ids []*string
	total := 0
	prefix := func(i int) string { return fmt.Sprintf("PublishBatchRequestEntries.member.%d.", i+1) }
	for i := 0; r.form.Has(prefix(i) + "Id"); i++ {
		id, p := r.form.Get(prefix(i)+"Id"), publishedIn(r.form, prefix(i))
		ids, total = append(ids, &id), total+p.size()
	}
	if err := checkEntries(ids, func(id **string) *string { return *id }); err != nil {
		return answer{}, err
	}
	if total > topicLimit {
		return answer{}, refuse("BatchRequestTooLong", "The length of all the messages put together is more than the limit.")
	}
	var sent, failed strings.Builder
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, id := range ids {
		p := publishedIn(r.form, prefix(i))
		if err := p.check(); err != nil {
			fmt.Fprintf(&failed, "<member><Id>%s</Id><Code>InvalidParameter</Code><Message>%s</Message><SenderFault>true</SenderFault></member>", *id, escaped(err.Error()))
			continue
		}
		t.published = append(t.published, p)
		fmt.Fprintf(&sent, "<member><Id>%s</Id><MessageId>%s</MessageId></member>", *id, a.uuid())
	}
	return answer{xml: "<Successful>" + sent.String() + "</Successful><Failed>" + failed.String() + "</Failed>"}, nil
}

func createTopic(_ context.Context, a *AWS, r request) (answer, error) {
	name := r.form.Get("Name")
	if !topicName.MatchString(name) {
		return answer{}, refuse("InvalidParameter", "Invalid parameter: Topic Name")
	}
	return answer{xml: "<TopicArn>" + a.CreateTopic(name).ARN + "</TopicArn>"}, nil
}

func deleteTopic(_ context.Context, a *AWS, r request) (answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.topics, r.form.Get("TopicArn"))
	return answer{}, nil
}

func topicAttributes(_ context.Context, a *AWS, r request) (answer, error) {
	t, err := a.topic(r.form.Get("TopicArn"))
	if err != nil {
		return answer{}, err
	}
	return answer{xml: "<Attributes><entry><key>TopicArn</key><value>" + escaped(t.ARN) + "</value></entry></Attributes>"}, nil
}
