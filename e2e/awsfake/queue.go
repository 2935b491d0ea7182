package awsfake

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

// Queue is a queue of SQS.
type Queue struct {
	// URL is what AWS calls it: the real host of the region, so that a client that reads the region from
	// the URL gets it. Calls reach the stand-in by the endpoint.
	URL, ARN string

	aws  *AWS
	name string

	mu          sync.Mutex
	attributes  map[string]string // as set; guarded by mu, like all below
	visibility  time.Duration
	retention   time.Duration
	wait        time.Duration
	delay       time.Duration
	maxSize     int
	maxReceives int
	deadARN     string
	created     time.Time
	purged      time.Time
	gone        bool

	line    []*message // visible, the oldest first; deleted ones among them
	hidden  hidden
	byID    map[string]*message
	delayed int           // how many of hidden were never received
	news    chan struct{} // closed when there may be something to receive

	sent, deleted, most int
}

// CreateQueue makes a queue without asking for it over HTTP. A fault in the attributes is a fault of the
// test and makes the queue unusable: every call answers QueueDoesNotExist.
func (a *AWS) CreateQueue(name string, attributes map[string]string) *Queue {
	q, err := a.createQueue(name, attributes)
	if err != nil {
		return &Queue{URL: "invalid: " + err.Error(), aws: a, name: name, gone: true, byID: map[string]*message{}, news: make(chan struct{})}
	}
	return q
}

func (a *AWS) createQueue(name string, attributes map[string]string) (*Queue, error) {
	if !queueName.MatchString(name) {
		return nil, refuse("InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	for attribute, value := range attributes {
		if err := checkAttribute(attribute, value); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if old, ok := a.queues[name]; ok {
		if !old.agrees(attributes) {
			return nil, refuse("QueueNameExists", "A queue already exists with the same name and a different value for an attribute")
		}
		return old, nil
	}
	q := &Queue{
		URL:  fmt.Sprintf("https://sqs.%s.amazonaws.com/%s/%s", a.o.Region, a.o.Account, name),
		ARN:  fmt.Sprintf("arn:aws:sqs:%s:%s:%s", a.o.Region, a.o.Account, name),
		aws:  a,
		name: name, created: a.Now(), byID: map[string]*message{}, news: make(chan struct{}),
		attributes: map[string]string{}, visibility: 30 * time.Second, retention: 4 * 24 * time.Hour, maxSize: 1 << 20,
	}
	if err := q.set(attributes); err != nil {
		return nil, err
	}
	a.queues[name] = q
	return q, nil
}

// Send puts messages on the queue and returns their ids.
func (q *Queue) Send(bodies ...string) []string {
	var ids []string
	for _, body := range bodies {
		ids = append(ids, q.add(&message{body: body, sum: sumOf(body)}, 0))
	}
	return ids
}

// add takes a message in; it may be received after delay.
func (q *Queue) add(m *message, delay time.Duration) (id string) {
	now := q.aws.Now()
	if m.id == "" {
		m.id, m.sent = q.aws.uuid(), now
	}
	q.mu.Lock()
	m.at, m.gone = -1, false
	q.byID[m.id] = m
	q.sent++
	if delay > 0 {
		q.hide(m, now.Add(delay))
	} else {
		q.line = append(q.line, m)
	}
	q.tell()
	q.mu.Unlock()
	return m.id
}

// tell wakes the waiting receivers; the caller holds mu.
func (q *Queue) tell() {
	close(q.news)
	q.news = make(chan struct{})
}

func (q *Queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tell()
}

// Visible returns how many messages may be received now.
func (q *Queue) Visible() int {
	visible, _, _ := q.depth()
	return visible
}

// InFlight returns how many messages are received and neither deleted nor visible again.
func (q *Queue) InFlight() int {
	_, flying, _ := q.depth()
	return flying
}

// Len returns how many messages the queue holds, in flight or not.
func (q *Queue) Len() int {
	visible, flying, delayed := q.depth()
	return visible + flying + delayed
}

func (q *Queue) depth() (visible, flying, delayed int) {
	now := q.aws.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.show(now)
	return len(q.byID) - len(q.hidden), len(q.hidden) - q.delayed, q.delayed
}

// Bodies returns the body of every message that the queue holds, in flight or not, in no order.
func (q *Queue) Bodies() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var bodies []string
	for _, m := range q.byID {
		bodies = append(bodies, m.body)
	}
	return bodies
}

// Received returns how often a message that the queue still holds was received; 0 if it is gone.
func (q *Queue) Received(id string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := q.byID[id]; m != nil {
		return m.receives
	}
	return 0
}

// MostReceived returns how often the most received message, deleted ones included, was received.
func (q *Queue) MostReceived() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.most
}

// Deleted returns how many messages receivers have deleted.
func (q *Queue) Deleted() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.deleted
}

// Sent returns how many messages have come, those moved from another queue included.
func (q *Queue) Sent() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sent
}

// Purge loses every message, as events that never came.
func (q *Queue) Purge() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.line, q.hidden, q.delayed, q.byID = nil, nil, 0, map[string]*message{}
}

// Delete deletes the queue: what it held is lost and calls answer QueueDoesNotExist.
func (q *Queue) Delete() {
	q.aws.mu.Lock()
	if q.aws.queues[q.name] == q {
		delete(q.aws.queues, q.name)
	}
	q.aws.mu.Unlock()
	q.Purge()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gone = true
	q.tell()
}

// SetAttributes changes attributes; the error is what SQS would answer.
func (q *Queue) SetAttributes(attributes map[string]string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.set(attributes)
}

// agrees says whether every given attribute is what the queue has.
func (q *Queue) agrees(attributes map[string]string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	merged := maps.Clone(q.attributes)
	maps.Copy(merged, attributes)
	return maps.Equal(merged, q.attributes)
}

// queueOf finds a queue by its URL, which must be of this account and, if it names one, of this region.
func (a *AWS) queueOf(address *string) (*Queue, error) {
	if address == nil {
		return nil, refuse("MissingParameter", "The request must contain the parameter QueueUrl.")
	}
	missing := refuse("QueueDoesNotExist", "The specified queue does not exist.")
	u, err := url.Parse(*address)
	if err != nil {
		return nil, missing
	}
	account, name := path.Split(strings.TrimPrefix(u.Path, "/"))
	foreign := strings.HasSuffix(u.Host, ".amazonaws.com") && u.Host != "sqs."+a.o.Region+".amazonaws.com"
	a.mu.Lock()
	defer a.mu.Unlock()
	q, ok := a.queues[name]
	if !ok || account != a.o.Account+"/" || foreign {
		return nil, missing
	}
	return q, nil
}
