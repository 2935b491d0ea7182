package awsfake

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Where the stand-in is unless Options say otherwise.
const (
	DefaultAccount = "123456789012"
	DefaultRegion  = "eu-west-1"
)

// Options change what is strict or slow. The zero value is an account without throttling that is
// consistent at once.
type Options struct {
	Account, Region string
	// Buckets throttles ECS calls as documented: a token bucket for each group of operations.
	Buckets bool
	// Consistency is how long after a change the ECS API still answers with the state before it.
	Consistency time.Duration
	// OnTask is told every new state of a task, in order, without any lock held.
	OnTask func(types.Task)
	// InFlight is how many messages of a queue may be in flight; 0 is the documented 120,000.
	InFlight int
	// Roles that may be assumed, by ARN, with the external id that each asks for (empty: none). Nil: any role.
	Roles map[string]string
}

// AWS is one account in one region.
type AWS struct {
	// URL is the endpoint of every service; empty if New made it.
	URL string

	o          Options
	operations map[string]operation

	skew atomic.Int64 // nanoseconds that the clock is ahead
	made atomic.Int64 // behind every id
	busy atomic.Int64 // calls that are not answered yet

	mu       sync.Mutex
	queues   map[string]*Queue // guarded by mu, like all below
	clusters map[string]*cluster
	names    []string // of clusters, in the order of their making
	families map[string][]definition
	tokens   map[string]started
	sessions map[string]bool // session token: still good
	topics   map[string]*Topic
	buckets  map[string]*bucket
	counts   map[string]int
	throttle int
	passed   []string // roles
}

// New makes an AWS that serves nowhere yet: it is an http.Handler.
func New(o Options) *AWS {
	if o.Account == "" {
		o.Account = DefaultAccount
	}
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	if o.InFlight == 0 {
		o.InFlight = 120_000
	}
	a := &AWS{
		o: o, operations: operations(),
		queues: map[string]*Queue{}, clusters: map[string]*cluster{}, families: map[string][]definition{},
		tokens: map[string]started{}, sessions: map[string]bool{}, topics: map[string]*Topic{},
		buckets: map[string]*bucket{}, counts: map[string]int{},
	}
	return a
}

// Start serves on loopback until the test ends.
func Start(t testing.TB, o Options) *AWS {
	t.Helper()
	a := New(o)
	server := httptest.NewServer(a)
	a.URL = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return a
}

// Config is for AWS clients of a test. Connections end with each request, so that none is left over.
func (a *AWS) Config() aws.Config { return ConfigOf(a.URL, a.o.Region) }

// ConfigOf is for AWS clients that talk to any endpoint, such as a proxy before the stand-in.
func ConfigOf(endpoint, region string) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
		HTTPClient:   &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// Count returns how many calls of an operation, such as ecs:ListTasks, have come, refused ones included.
func (a *AWS) Count(operation string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts[operation]
}

// Throttled returns how many calls the token buckets have refused.
func (a *AWS) Throttled() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.throttle
}

// Busy returns how many calls are not answered yet, long polls among them. A client that has hung up is
// noticed a moment later; what is sent before that may still be received for it, as with SQS.
func (a *AWS) Busy() int { return int(a.busy.Load()) }

// Now is the time of the stand-in.
func (a *AWS) Now() time.Time { return time.Now().Add(time.Duration(a.skew.Load())) }

// Advance sets the clock of the stand-in ahead: messages become visible, stopped tasks are forgotten and
// token buckets fill as if d had passed. What clients wait for still takes its time.
func (a *AWS) Advance(d time.Duration) {
	a.skew.Add(int64(d))
	a.mu.Lock()
	queues := slices.Collect(maps.Values(a.queues))
	a.mu.Unlock()
	for _, q := range queues {
		q.wake()
	}
}
