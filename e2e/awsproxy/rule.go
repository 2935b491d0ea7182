package awsproxy

import (
	"hash/fnv"
	"path"
	"strconv"
	"time"
)

// Fault is what happens to a call.
type Fault int

// Faults.
const (
	// Status answers with the rule's Code and HTTPStatus in the place of the server.
	Status Fault = iota
	// LoseResponse lets the server do its work and cuts the connection instead of telling the caller.
	LoseResponse
	// Reset cuts the connection before the server sees the call.
	Reset
	// Delay forwards after the rule's Delay.
	Delay
	// Twice forwards two times and tells the second answer.
	Twice
	// PartialBatch keeps every other entry of an SQS batch from the server and tells that it failed, with
	// the rule's Code or InternalError.
	PartialBatch
	// Throttled, Denied (by IAM), Expired (the session), KMSDenied and KMSThrottled are what the called
	// service says in these cases.
	Throttled
	Denied
	Expired
	KMSDenied
	KMSThrottled
	// Skewed is a server whose clock is the rule's Delay ahead of the caller's, or an hour: what is signed more
	// than five minutes off is refused, the rest is forwarded. The SDK learns the server's time from the
	// refusal and signs anew, unless it may not try again.
	Skewed
)

// Rule makes calls fail.
type Rule struct {
	// Op is such as sqs:DeleteMessageBatch, sqs:* or *.
	Op string
	// P is the share of the calls that fail, 0 to 1; 0 is all of them.
	P float64
	// Skip is how many calls pass first, Times how many may fail in all; 0 is no end.
	Skip, Times int
	Fault       Fault
	// Code and HTTPStatus are for Status (400 if 0); Message is what people read.
	Code       string
	HTTPStatus int
	Message    string
	Delay      time.Duration
}

// Active is a rule in force.
type Active struct {
	proxy *Proxy
	rule  Rule
	seed  uint64
	seen  int // guarded by proxy.mu, like all below
	hits  int
	off   bool
}

// Hits returns how many calls the rule has hit.
func (a *Active) Hits() int {
	a.proxy.mu.Lock()
	defer a.proxy.mu.Unlock()
	return a.hits
}

// Off ends the rule.
func (a *Active) Off() {
	a.proxy.mu.Lock()
	defer a.proxy.mu.Unlock()
	a.off = true
}

// Add puts a rule in force. The oldest rule that fits a call decides.
func (p *Proxy) Add(r Rule) *Active {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &Active{proxy: p, rule: r, seed: p.seed + uint64(len(p.rules))}
	p.rules = append(p.rules, a)
	return a
}

// Clear ends all rules and buckets.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.rules {
		a.off = true
	}
	p.rules, p.buckets = nil, nil
}

// Limit throttles operations as a token bucket of the server's would: Burst calls at once and Rate a second.
type Limit struct {
	Op          string
	Burst, Rate float64
}

// bucket is a limit in force.
type bucket struct {
	Limit
	tokens float64
	filled time.Time
}

// Limit puts a token bucket in force.
func (p *Proxy) Limit(l Limit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buckets = append(p.buckets, &bucket{Limit: l, tokens: l.Burst, filled: time.Now()})
}

// pick finds the rule for a call, and whether there is one.
func (p *Proxy) pick(op string) (Rule, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.buckets {
		if !matches(b.Op, op) {
			continue
		}
		now := time.Now()
		b.tokens = min(b.Burst, b.tokens+now.Sub(b.filled).Seconds()*b.Rate)
		b.filled = now
		if b.tokens < 1 {
			return Rule{Fault: Throttled}, true
		}
		b.tokens--
	}
	for _, a := range p.rules {
		if a.hit(op) {
			return a.rule, true
		}
	}
	return Rule{}, false
}

func (a *Active) hit(op string) bool {
	r := a.rule
	if a.off || !matches(r.Op, op) || r.Times > 0 && a.hits >= r.Times {
		return false
	}
	a.seen++
	if a.seen <= r.Skip || r.P > 0 && chance(a.seed, a.seen) >= r.P {
		return false
	}
	a.hits++
	return true
}

// chance is a number from 0 to 1 that belongs to the nth call of a seed.
func chance(seed uint64, n int) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strconv.FormatUint(seed, 10) + " " + strconv.Itoa(n))) // a hash takes everything
	mixed := h.Sum64() * 0x9E3779B97F4A7C15                                      // the last letters alone hardly move its high bits
	mixed ^= mixed >> 29
	mixed *= 0xBF58476D1CE4E5B9
	return float64(mixed>>11) / (1 << 53)
}

func matches(pattern, op string) bool {
	ok, err := path.Match(pattern, op)
	return err == nil && ok
}
